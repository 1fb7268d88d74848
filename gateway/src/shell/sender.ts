import { type Cursor, closeCodes, gapFrame, limits, utf8Bytes } from "@pushfleet/protocol";
import { Outbox, type OutboxLane } from "../core/outbox.js";
import type { Connection, Payload } from "./connection.js";

/** What is to be known of a frame when its socket is slow; `OutboxFrame` says more. */
export interface Sending {
  readonly payload: Payload;
  readonly lane: OutboxLane;
  readonly cursor: Cursor | undefined;
  /** Wall clock, ms; 0: never. */
  readonly expiresAtMs: number;
  readonly collapseKey: string;
}

const bounds = {
  bytesMax: limits.outboxBytesMax,
  framesMax: limits.outboxFramesMax,
  bytesHard: limits.outboxBytesHard,
  stayMs: limits.outboxStayMs,
};

/** Gives frames to sockets: straight while they are fast, through an outbox while they are not. */
export class Sender {
  readonly #wallMs: () => number;
  readonly #onEmpty: (connection: Connection) => void;
  readonly #slow = new Set<Connection>();

  constructor(options: { readonly wallMs: () => number; readonly onEmpty: (connection: Connection) => void }) {
    this.#wallMs = options.wallMs;
    this.#onEmpty = options.onEmpty;
  }

  control(connection: Connection, frame: string): void {
    this.send(connection, { payload: frame, lane: "control", cursor: undefined, expiresAtMs: 0, collapseKey: "" });
  }

  /** `written`: the socket or its outbox has it. `overflow`: dropped, a `gap` follows (or the connection is closed with 4410). */
  send(connection: Connection, sending: Sending): "written" | "overflow" {
    const { socket } = connection;
    if (socket === undefined) return "overflow";
    if (connection.outbox === undefined) {
      socket.send(sending.payload, false);
      if (socket.getBufferedAmount() > limits.socketBufferedBytesMax) {
        connection.outbox = new Outbox(bounds);
        this.#slow.add(connection);
      }
      return "written";
    }
    const { payload } = sending;
    const bytes = typeof payload === "string" ? utf8Bytes(payload) : payload.byteLength;
    const enqueued = connection.outbox.enqueue({ ...sending, bytes }, this.#wallMs());
    if (enqueued === "slow_consumer") this.#closeSlow(connection);
    return enqueued === "queued" ? "written" : "overflow";
  }

  /** True when a frame given now goes straight to the socket. */
  isFast(connection: Connection): boolean {
    return connection.outbox === undefined;
  }

  /** The socket has taken bytes. */
  drained(connection: Connection): void {
    const { socket, outbox } = connection;
    if (socket === undefined || outbox === undefined) return;
    while (socket.getBufferedAmount() <= limits.socketBufferedBytesMax) {
      const next = outbox.next(this.#wallMs());
      if (next.kind === "empty") {
        this.forget(connection);
        this.#onEmpty(connection);
        return;
      }
      socket.send(next.kind === "frame" ? next.payload : gapFrame(next.after), false);
    }
  }

  /** Once a second: what waits too long is closed. */
  checkAge(): void {
    for (const connection of this.#slow) if (connection.outbox?.isOverdue(this.#wallMs()) === true) this.#closeSlow(connection);
  }

  forget(connection: Connection): void {
    connection.outbox = undefined;
    this.#slow.delete(connection);
  }

  #closeSlow(connection: Connection): void {
    const { code, reason } = closeCodes.slowConsumer;
    connection.socket?.end(code, reason);
  }
}
