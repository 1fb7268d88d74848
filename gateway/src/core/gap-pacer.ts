import type { Cursor } from "@pushfleet/protocol";

/** Spreads `gap` frames over time: each is answered by a sync, so all at once would be a storm on the store. A connection waits at most
 *  once, with the earliest cursor it was given. First come, first served. */
export class GapPacer<Connection> {
  readonly #perMs: number;
  readonly #waiting = new Map<Connection, Cursor>();
  #credit = 0;
  #takenAtMs: number;

  constructor(perSecond: number, nowMs: number) {
    this.#perMs = perSecond / 1000;
    this.#takenAtMs = nowMs;
  }

  get size(): number {
    return this.#waiting.size;
  }

  add(connection: Connection, after: Cursor): void {
    const waiting = this.#waiting.get(connection);
    if (waiting === undefined || after < waiting) this.#waiting.set(connection, after);
  }

  /** A connection that closed. */
  remove(connection: Connection): void {
    this.#waiting.delete(connection);
  }

  /** Gives `send` those whose turn it is. At most a second's worth after a pause, one at least as soon as it is due. Call it every
   *  `limits.drainSliceMs` or so while `size` is above 0; it allocates nothing when nothing waits. */
  take(nowMs: number, send: (connection: Connection, after: Cursor) => void): void {
    const elapsedMs = Math.max(0, nowMs - this.#takenAtMs);
    this.#takenAtMs = nowMs;
    this.#credit = Math.min(this.#credit + elapsedMs * this.#perMs, Math.max(1, this.#perMs * 1000));
    if (this.#waiting.size === 0 || this.#credit < 1) return;
    for (const [connection, after] of this.#waiting) {
      if (this.#credit < 1) return;
      this.#credit -= 1;
      this.#waiting.delete(connection);
      send(connection, after);
    }
  }
}
