import { type Cursor, cursorBefore, type Priority } from "@pushfleet/protocol";
import { FrameList, type ListNode } from "./frame-list.js";

/** `control` frames (pong, reconnect, error, auth_expiring) go before the rest. */
export type OutboxLane = "control" | Priority;

/** A frame that waits for its socket. `Payload` is what the socket is given, untouched. */
export interface OutboxFrame<Payload> {
  readonly payload: Payload;
  /** Of the payload in UTF-8. */
  readonly bytes: number;
  readonly lane: OutboxLane;
  /** Of a notification: it may be dropped, and the client is then sent `gap`. `undefined`: the frame is kept whatever happens
   *  (`sync_batch`, `mark_read`, everything we say ourselves). */
  readonly cursor: Cursor | undefined;
  /** ms, on the clock of `nowMs`; 0: never. An expired notification is left out, without `gap`. */
  readonly expiresAtMs: number;
  /** A later notification with the same key takes the place of one that still waits; "": none. */
  readonly collapseKey: string;
}

/** `queued`: counts as written. `overflow`: this notification was dropped; the outbox will give `gap`. `slow_consumer`: nothing was queued,
 *  close with 4410. */
export type Enqueued = "queued" | "overflow" | "slow_consumer";

export type NextFrame<Payload> =
  | { readonly kind: "frame"; readonly payload: Payload }
  /** Send `gapFrame(after)`: the earliest notification dropped since the last gap comes right behind `after`. */
  | { readonly kind: "gap"; readonly after: Cursor }
  | { readonly kind: "empty" };

/** `limits.outbox…` in production. */
export interface OutboxLimits {
  /** Notifications are dropped to stay within these two: those waiting, not counting the frames that are kept. */
  readonly bytesMax: number;
  readonly framesMax: number;
  /** Everything that waits stays within this (and the kept frames within `framesMax`); a kept frame beyond it closes the connection. */
  readonly bytesHard: number;
  readonly stayMs: number;
}

const lanes: readonly OutboxLane[] = ["control", "high", "normal", "low"];

/** Frames of one slow connection, made when its socket first pushes back and let go when it is empty; while a socket is fast there is none.
 *  Lanes go strictly in order of priority, frames of a lane in the order they came. What overtakes does no harm: no frame stays longer than
 *  `stayMs`, and a sync reads from further back than that (`limits.syncOverlapMs`). */
export class Outbox<Payload> {
  readonly #limits: OutboxLimits;
  readonly #lists: Readonly<Record<OutboxLane, FrameList<OutboxFrame<Payload>>>>;
  /** Bytes of the waiting notifications of each lane. */
  readonly #laneBytes: Record<OutboxLane, number> = { control: 0, high: 0, normal: 0, low: 0 };
  /** The waiting notification of each collapse key. */
  readonly #byKey = new Map<string, ListNode<OutboxFrame<Payload>>>();
  #notifications = 0;
  /** Of these, how many can expire. */
  #expiring = 0;
  #kept = 0;
  #keptBytes = 0;
  #gapAfter: Cursor | undefined;
  #gapSinceMs = 0;

  constructor(bounds: OutboxLimits) {
    this.#limits = bounds;
    this.#lists = { control: new FrameList(), high: new FrameList(), normal: new FrameList(), low: new FrameList() };
  }

  get bytes(): number {
    return this.#keptBytes + this.#notificationBytes;
  }

  get frames(): number {
    return this.#notifications + this.#kept;
  }

  /** Nothing waits, no gap either: the object can go. */
  get isEmpty(): boolean {
    return this.frames === 0 && this.#gapAfter === undefined;
  }

  get #notificationBytes(): number {
    return this.#laneBytes.control + this.#laneBytes.high + this.#laneBytes.normal + this.#laneBytes.low;
  }

  enqueue(frame: OutboxFrame<Payload>, nowMs: number): Enqueued {
    if (frame.cursor === undefined) return this.#keep(frame, nowMs);
    const collapsed = frame.collapseKey === "" ? undefined : this.#byKey.get(frame.collapseKey);
    if (collapsed !== undefined) this.#remove(collapsed);
    if (!this.#makeRoom(frame, nowMs)) {
      this.#noteGap(frame.cursor, nowMs);
      return "overflow";
    }
    const node = this.#lists[frame.lane].append(frame, nowMs);
    this.#laneBytes[frame.lane] += frame.bytes;
    this.#notifications += 1;
    if (frame.expiresAtMs !== 0) this.#expiring += 1;
    if (frame.collapseKey !== "") this.#byKey.set(frame.collapseKey, node);
    return "queued";
  }

  /** Takes out what the socket is given next. A gap waits until nothing else does, for the sync it causes would only add to the load; but
   *  not longer than half of `stayMs`. */
  next(nowMs: number): NextFrame<Payload> {
    const gapIsDue = this.#gapAfter !== undefined && nowMs - this.#gapSinceMs >= this.#limits.stayMs / 2;
    const node = gapIsDue ? undefined : this.#first(nowMs);
    if (node !== undefined) {
      this.#remove(node);
      return { kind: "frame", payload: node.value.payload };
    }
    if (this.#gapAfter === undefined) return { kind: "empty" };
    const after = this.#gapAfter;
    this.#gapAfter = undefined;
    return { kind: "gap", after };
  }

  /** True when a frame has waited for `stayMs`: close with 4410. Ask about once a second. */
  isOverdue(nowMs: number): boolean {
    return lanes.some((lane) => {
      const oldest = this.#firstOf(lane, nowMs);
      return oldest !== undefined && nowMs - oldest.sinceMs >= this.#limits.stayMs;
    });
  }

  #keep(frame: OutboxFrame<Payload>, nowMs: number): Enqueued {
    const bytesMax = this.#limits.bytesHard - this.#limits.bytesMax;
    if (this.#keptBytes + frame.bytes > bytesMax || this.#kept + 1 > this.#limits.framesMax) return "slow_consumer";
    this.#lists[frame.lane].append(frame, nowMs);
    this.#keptBytes += frame.bytes;
    this.#kept += 1;
    return "queued";
  }

  /** Drops notifications of lower priority, then older ones of the same, until `frame` fits; none when all of them would not be enough. */
  #makeRoom(frame: OutboxFrame<Payload>, nowMs: number): boolean {
    const { bytesMax, framesMax } = this.#limits;
    const isFull = () => this.#notificationBytes + frame.bytes > bytesMax || this.#notifications + 1 > framesMax;
    if (isFull() && this.#expiring > 0) this.#dropExpired(nowMs);
    if (this.#bytesAbove(frame.lane) + frame.bytes > bytesMax) return false;
    while (isFull()) {
      const victim = this.#victim(frame.lane);
      if (victim === undefined) return false;
      this.#remove(victim);
      if (!isExpired(victim.value, nowMs) && victim.value.cursor !== undefined) this.#noteGap(victim.value.cursor, nowMs);
    }
    return true;
  }

  /** What is not wanted any more makes room before anything that is. */
  #dropExpired(nowMs: number): void {
    for (const lane of lanes) {
      let node = this.#lists[lane].oldest;
      while (node !== undefined) {
        const { next } = node;
        if (isExpired(node.value, nowMs)) this.#remove(node);
        node = next;
      }
    }
  }

  #bytesAbove(lane: OutboxLane): number {
    let bytes = 0;
    for (const higher of lanes.slice(0, lanes.indexOf(lane))) bytes += this.#laneBytes[higher];
    return bytes;
  }

  /** The oldest notification of the lowest lane that has one, not above `lane`. */
  #victim(lane: OutboxLane): ListNode<OutboxFrame<Payload>> | undefined {
    for (let rank = lanes.length - 1; rank >= lanes.indexOf(lane); rank--) {
      let node = this.#lists[lanes[rank] ?? lane].oldest;
      while (node !== undefined && node.value.cursor === undefined) node = node.next;
      if (node !== undefined) return node;
    }
    return undefined;
  }

  #first(nowMs: number): ListNode<OutboxFrame<Payload>> | undefined {
    for (const lane of lanes) {
      const node = this.#firstOf(lane, nowMs);
      if (node !== undefined) return node;
    }
    return undefined;
  }

  /** The oldest frame of `lane`; expired ones before it are let go. */
  #firstOf(lane: OutboxLane, nowMs: number): ListNode<OutboxFrame<Payload>> | undefined {
    let node = this.#lists[lane].oldest;
    while (node !== undefined && isExpired(node.value, nowMs)) {
      this.#remove(node);
      node = this.#lists[lane].oldest;
    }
    return node;
  }

  #remove(node: ListNode<OutboxFrame<Payload>>): void {
    const frame = node.value;
    this.#lists[frame.lane].remove(node);
    if (frame.cursor === undefined) {
      this.#kept -= 1;
      this.#keptBytes -= frame.bytes;
      return;
    }
    this.#notifications -= 1;
    if (frame.expiresAtMs !== 0) this.#expiring -= 1;
    this.#laneBytes[frame.lane] -= frame.bytes;
    if (frame.collapseKey !== "" && this.#byKey.get(frame.collapseKey) === node) this.#byKey.delete(frame.collapseKey);
  }

  #noteGap(dropped: Cursor, nowMs: number): void {
    const after = cursorBefore(dropped);
    if (this.#gapAfter === undefined) this.#gapSinceMs = nowMs;
    if (this.#gapAfter === undefined || after < this.#gapAfter) this.#gapAfter = after;
  }
}

function isExpired(frame: OutboxFrame<unknown>, nowMs: number): boolean {
  return frame.cursor !== undefined && frame.expiresAtMs !== 0 && frame.expiresAtMs <= nowMs;
}
