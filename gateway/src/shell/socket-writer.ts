import { assertNever, gapFrame, limits, type Priority, parseCursor } from "@pushfleet/protocol";
import type { Clock } from "@pushfleet/service";
import { Outbox, type OutboxFrame, type OutboxLimits } from "../core/outbox.js";
import type { Connection, Payload } from "./connection.js";
import type { WireDelivery } from "./deliver-batch.js";

const outboxLimits: OutboxLimits = {
  bytesMax: limits.outboxBytesMax,
  framesMax: limits.outboxFramesMax,
  bytesHard: limits.outboxBytesHard,
  stayMs: limits.outboxStayMs,
};

/** By `Lane`. */
const lanes: readonly Priority[] = ["normal", "high", "low"];

/** `accepted`: by the socket or its outbox. `slow_consumer`: nothing was taken, close with 4410. */
export type Written = "accepted" | "overflow" | "slow_consumer" | "closed";

/** Gives frames to sockets; what a slow socket does not take waits in an outbox, made when it is needed.
 *
 *  uWebSockets.js' `send` says 1: taken by the kernel, 0: it buffers a part, 2: dropped (never: `maxBackpressure` is off, the outbox is the
 *  bound). After a 0 the socket is pressed until `drain` comes with nothing buffered. Up to `socketBufferedBytesMax` it may hold, beyond that
 *  frames wait here, where they have priority, expiry and a bound. */
export class SocketWriter {
  readonly #clock: Clock;
  readonly #onEmpty: (connection: Connection) => void;
  /** Those with an outbox. */
  readonly #slow = new Set<Connection>();
  /** Those whose socket's buffer has shrunk in this turn. */
  readonly #drained = new Set<Connection>();

  /** `onEmpty`: everything a pressed connection was owed has gone to the network. */
  constructor(clock: Clock, onEmpty: (connection: Connection) => void) {
    this.#clock = clock;
    this.#onEmpty = onEmpty;
  }

  /** One of our own frames: kept whatever happens, ahead of the rest when it has to wait. */
  sendControl(connection: Connection, frame: string): Written {
    if (this.#isFree(connection)) return this.#give(connection, frame);
    return this.#enqueue(connection, keptFrame(frame, "control"));
  }

  /** A complete frame of a router that is never dropped: `sync_batch`, `mark_read`. */
  sendKept(connection: Connection, frame: Uint8Array): Written {
    if (this.#isFree(connection)) return this.#give(connection, frame);
    return this.#enqueue(connection, keptFrame(new Uint8Array(frame), "normal"));
  }

  /** A notification. Its bytes are copied only when they have to wait: the message they came in can go. `wallMs`: now, on the clock of
   *  `expires_at_ms`. */
  sendNotification(connection: Connection, delivery: WireDelivery, wallMs: number): Written {
    const { frame } = delivery;
    if (this.#isFree(connection)) return this.#give(connection, frame);
    const nowMs = this.#clock.monotonicMs();
    const { expiresAtMs } = delivery;
    return this.#enqueue(connection, {
      payload: new Uint8Array(frame),
      bytes: frame.byteLength,
      lane: lanes[delivery.lane] ?? "normal",
      cursor: parseCursor(delivery.cursor),
      expiresAtMs: expiresAtMs === 0 ? 0 : nowMs + expiresAtMs - wallMs,
      collapseKey: delivery.collapseKey,
    });
  }

  /** Holds back everything but `sendFirst` until `release`: a delivery must not overtake hello. */
  hold(connection: Connection): void {
    if (connection.outbox === undefined) this.#makeOutbox(connection);
  }

  /** Hello: before whatever waits. */
  sendFirst(connection: Connection, frame: string): void {
    this.#give(connection, frame);
    if (connection.outbox !== undefined) this.flush(connection);
  }

  /** The socket's buffer has shrunk. What follows is done outside of uWebSockets.js' own call: there a large frame that the kernel takes in part
   *  only is never finished, for after the call it stops waiting for the socket (us_socket_write2 does not set last_write_failed). */
  onDrain(connection: Connection): void {
    if (this.#drained.size === 0) setImmediate(() => this.#afterDrains());
    this.#drained.add(connection);
  }

  #afterDrains(): void {
    const drained = [...this.#drained];
    this.#drained.clear();
    for (const connection of drained) this.#afterDrain(connection);
  }

  #afterDrain(connection: Connection): void {
    if (connection.outbox !== undefined) {
      if (!connection.isOpen) return;
      this.flush(connection);
    }
    if (connection.socket === undefined || connection.socket.getBufferedAmount() > 0) return;
    connection.isPressed = false;
    if (connection.outbox === undefined) this.#onEmpty(connection);
  }

  /** After sends inside a cork, whose results say nothing. */
  checkPressed(connection: Connection): void {
    if (connection.socket !== undefined && connection.socket.getBufferedAmount() > 0) connection.isPressed = true;
  }

  flush(connection: Connection): void {
    const { outbox, socket } = connection;
    if (outbox === undefined || socket === undefined) return;
    const nowMs = this.#clock.monotonicMs();
    while (socket.getBufferedAmount() <= limits.socketBufferedBytesMax) {
      const next = outbox.next(nowMs);
      switch (next.kind) {
        case "frame":
          this.#give(connection, next.payload);
          break;
        case "gap":
          this.#give(connection, gapFrame(next.after));
          break;
        case "empty":
          this.forget(connection);
          return;
        default:
          assertNever(next);
      }
    }
  }

  /** Connections in whose outbox a frame has waited too long: close them with 4410. Call it about once a second. */
  overdue(): readonly Connection[] {
    const nowMs = this.#clock.monotonicMs();
    const overdue: Connection[] = [];
    for (const connection of this.#slow) if (connection.outbox?.isOverdue(nowMs) === true) overdue.push(connection);
    return overdue;
  }

  /** Lets an outbox go, empty or with its connection. */
  forget(connection: Connection): void {
    if (connection.outbox === undefined) return;
    connection.outbox = undefined;
    this.#slow.delete(connection);
  }

  #isFree(connection: Connection): boolean {
    if (connection.outbox !== undefined) return false;
    return !connection.isPressed || (connection.socket?.getBufferedAmount() ?? 0) <= limits.socketBufferedBytesMax;
  }

  #give(connection: Connection, payload: Payload): Written {
    const { socket } = connection;
    if (socket === undefined) return "closed";
    if (socket.send(payload) !== 1 && socket.getBufferedAmount() > 0) connection.isPressed = true;
    return "accepted";
  }

  #enqueue(connection: Connection, frame: OutboxFrame<Payload>): Written {
    if (connection.socket === undefined) return "closed";
    const outbox = connection.outbox ?? this.#makeOutbox(connection);
    const enqueued = outbox.enqueue(frame, this.#clock.monotonicMs());
    return enqueued === "queued" ? "accepted" : enqueued;
  }

  #makeOutbox(connection: Connection): Outbox<Payload> {
    const outbox = new Outbox<Payload>(outboxLimits);
    connection.outbox = outbox;
    this.#slow.add(connection);
    return outbox;
  }
}

function keptFrame(payload: Payload, lane: OutboxFrame<Payload>["lane"]): OutboxFrame<Payload> {
  const bytes = typeof payload === "string" ? Buffer.byteLength(payload) : payload.byteLength;
  return { payload, bytes, lane, cursor: undefined, expiresAtMs: 0, collapseKey: "" };
}
