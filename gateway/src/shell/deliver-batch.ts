import type { v1 } from "@pushfleet/service";

/** Reads `DeliverBatch` of protocol/delivery.proto where it stands. The generated decoder makes an object and up to five strings for each
 *  delivery, which costs more than giving the frame to its socket; here a target is compared with its connection byte by byte, and a
 *  delivery's texts are made only when its socket is slow. Fields in any order, unknown ones skipped, the last of several wins, as protobuf
 *  wants it; a field of another wire type is not ours and skipped too. */

/** One delivery: numbers, and where its texts stand. */
export class WireDelivery {
  readonly #bytes: Buffer;
  #frame: Uint8Array | undefined;
  frameStart = 0;
  frameEnd = 0;
  cursorStart = 0;
  cursorEnd = 0;
  notificationIdStart = 0;
  notificationIdEnd = 0;
  collapseKeyStart = 0;
  collapseKeyEnd = 0;
  kind: v1.FrameKind = 0;
  lane: v1.Lane = 0;
  createdAtMs = 0;
  expiresAtMs = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** A view of the message, no copy. */
  get frame(): Uint8Array {
    this.#frame ??= this.#bytes.subarray(this.frameStart, this.frameEnd);
    return this.#frame;
  }

  get cursor(): string {
    return this.#bytes.toString("utf8", this.cursorStart, this.cursorEnd);
  }

  get notificationId(): string {
    return this.#bytes.toString("utf8", this.notificationIdStart, this.notificationIdEnd);
  }

  get collapseKey(): string {
    return this.#bytes.toString("utf8", this.collapseKeyStart, this.collapseKeyEnd);
  }
}

/** One target, while it is visited; the same object each time. */
export class WireTarget {
  #bytes: Buffer = Buffer.alloc(0);
  #userStart = 0;
  #userEnd = 0;
  #deviceStart = 0;
  #deviceEnd = 0;
  #connectionStart = 0;
  #connectionEnd = 0;

  /** The connection's number; −1 for an id that is none. */
  get connectionNumber(): number {
    const length = this.#connectionEnd - this.#connectionStart;
    if (length === 0 || length > 11) return -1;
    let number = 0;
    for (let at = this.#connectionStart; at < this.#connectionEnd; at++) {
      const unit = this.#bytes[at] ?? 0;
      const digit = unit >= 48 && unit <= 57 ? unit - 48 : unit >= 97 && unit <= 122 ? unit - 87 : -1;
      if (digit < 0) return -1;
      number = number * 36 + digit;
    }
    return number;
  }

  /** Ids are ASCII. */
  isOf(user: string | undefined, device: string | undefined): boolean {
    return (
      user !== undefined &&
      device !== undefined &&
      isText(this.#bytes, this.#userStart, this.#userEnd, user) &&
      isText(this.#bytes, this.#deviceStart, this.#deviceEnd, device)
    );
  }

  read(bytes: Buffer, start: number, end: number): void {
    this.#bytes = bytes;
    this.#userStart = this.#userEnd = this.#deviceStart = this.#deviceEnd = this.#connectionStart = this.#connectionEnd = 0;
    const fields = new Fields(bytes, start, end);
    while (fields.next()) {
      switch (fields.tag) {
        case userTag:
          this.#userStart = fields.start;
          this.#userEnd = fields.end;
          break;
        case deviceTag:
          this.#deviceStart = fields.start;
          this.#deviceEnd = fields.end;
          break;
        case connectionTag:
          this.#connectionStart = fields.start;
          this.#connectionEnd = fields.end;
          break;
      }
    }
  }
}

/** Calls `visit` for each target of each delivery, in order, and gives the batch's id. Throws for what is not a protobuf message. */
export function readDeliverBatch(bytes: Buffer, visit: (delivery: WireDelivery, target: WireTarget) => void): number {
  const target = new WireTarget();
  const targets: number[] = [];
  let batchId = 0;
  const fields = new Fields(bytes, 0, bytes.length);
  while (fields.next()) {
    if (fields.tag === batchIdTag) batchId = fields.value;
    if (fields.tag !== deliveriesTag) continue;
    targets.length = 0;
    const delivery = readDelivery(bytes, fields.start, fields.end, targets);
    for (let i = 0; i < targets.length; i += 2) {
      target.read(bytes, targets[i] ?? 0, targets[i + 1] ?? 0);
      visit(delivery, target);
    }
  }
  return batchId;
}

function readDelivery(bytes: Buffer, start: number, end: number, targets: number[]): WireDelivery {
  const delivery = new WireDelivery(bytes);
  const fields = new Fields(bytes, start, end);
  while (fields.next()) {
    switch (fields.tag) {
      case frameTag:
        delivery.frameStart = fields.start;
        delivery.frameEnd = fields.end;
        break;
      case targetsTag:
        targets.push(fields.start, fields.end);
        break;
      case kindTag:
        delivery.kind = fields.value;
        break;
      case cursorTag:
        delivery.cursorStart = fields.start;
        delivery.cursorEnd = fields.end;
        break;
      case notificationIdTag:
        delivery.notificationIdStart = fields.start;
        delivery.notificationIdEnd = fields.end;
        break;
      case createdAtTag:
        delivery.createdAtMs = bytes.readDoubleLE(fields.start);
        break;
      case expiresAtTag:
        delivery.expiresAtMs = bytes.readDoubleLE(fields.start);
        break;
      case laneTag:
        delivery.lane = fields.value;
        break;
      case collapseKeyTag:
        delivery.collapseKeyStart = fields.start;
        delivery.collapseKeyEnd = fields.end;
        break;
    }
  }
  return delivery;
}

const [varint, fixed64, lengthDelimited, fixed32] = [0, 1, 2, 5];
const tagOf = (field: number, wireType: number): number => field * 8 + wireType;

const batchIdTag = tagOf(1, varint);
const deliveriesTag = tagOf(2, lengthDelimited);
const frameTag = tagOf(1, lengthDelimited);
const targetsTag = tagOf(2, lengthDelimited);
const kindTag = tagOf(3, varint);
const cursorTag = tagOf(4, lengthDelimited);
const notificationIdTag = tagOf(5, lengthDelimited);
const createdAtTag = tagOf(6, fixed64);
const expiresAtTag = tagOf(7, fixed64);
const laneTag = tagOf(8, varint);
const collapseKeyTag = tagOf(9, lengthDelimited);
const userTag = tagOf(1, lengthDelimited);
const deviceTag = tagOf(2, lengthDelimited);
const connectionTag = tagOf(3, lengthDelimited);

/** Walks over the fields of one message. */
class Fields {
  readonly #bytes: Buffer;
  readonly #end: number;
  #at: number;
  tag = 0;
  /** Of a varint field, its low 32 bits. */
  value = 0;
  /** Where the content of any other field stands. */
  start = 0;
  end = 0;

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** False at the end of the message. */
  next(): boolean {
    if (this.#at >= this.#end) return false;
    this.tag = this.#varint();
    switch (this.tag & 7) {
      case varint:
        this.value = this.#varint();
        return true;
      case fixed64:
        return this.#take(8);
      case lengthDelimited:
        return this.#take(this.#varint());
      case fixed32:
        return this.#take(4);
      default:
        throw new Error(`bad wire type ${this.tag & 7} at byte ${this.#at}`); // groups are not in proto3
    }
  }

  #take(length: number): true {
    this.start = this.#at;
    this.end = this.start + length;
    if (this.end > this.#end) throw new Error(`a field of ${length} bytes ends behind its message at byte ${this.#at}`);
    this.#at = this.end;
    return true;
  }

  #varint(): number {
    const first = this.#byte();
    if (first < 0x80) return first;
    let value = first & 0x7f;
    for (let shift = 7; shift < 70; shift += 7) {
      const next = this.#byte();
      if (shift < 32) value |= (next & 0x7f) << shift;
      if (next < 0x80) return value >>> 0;
    }
    throw new Error(`a number without an end at byte ${this.#at}`);
  }

  #byte(): number {
    if (this.#at >= this.#end) throw new Error(`the message ends within a field at byte ${this.#at}`);
    const byte = this.#bytes[this.#at] ?? 0;
    this.#at += 1;
    return byte;
  }
}

function isText(bytes: Buffer, start: number, end: number, text: string): boolean {
  if (end - start !== text.length) return false;
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text.charCodeAt(i)) return false;
  return true;
}
