import { limits, type NotificationId } from "@pushfleet/protocol";
import type { Connection } from "./connection.js";

/** Remembers when some of the delivered notifications were created, so that an ack tells how long the way to the user took. A sample: at
 *  most `receiptsRemembered` each `receiptWindowMs`, for one to two of those. */
export class Receipts {
  readonly #observe: (seconds: number) => void;
  #current = new Map<string, number>();
  #previous = new Map<string, number>();

  constructor(observe: (seconds: number) => void) {
    this.#observe = observe;
  }

  /** False while enough are remembered: the caller is spared the rest. */
  get hasRoom(): boolean {
    return this.#current.size < limits.receiptsRemembered;
  }

  delivered(connection: Connection, notificationId: string, createdAtMs: number): void {
    this.#current.set(key(connection, notificationId), createdAtMs);
  }

  acked(connection: Connection, notificationIds: readonly NotificationId[], nowMs: number): void {
    if (this.#current.size === 0 && this.#previous.size === 0) return;
    for (const id of notificationIds) {
      const text = key(connection, id);
      const createdAtMs = this.#current.get(text) ?? this.#previous.get(text);
      if (createdAtMs === undefined) continue;
      this.#current.delete(text);
      this.#previous.delete(text);
      this.#observe(Math.max(0, nowMs - createdAtMs) / 1000);
    }
  }

  /** Call it every `limits.receiptWindowMs`. */
  forget(): void {
    this.#previous = this.#current;
    this.#current = new Map();
  }
}

function key(connection: Connection, notificationId: string): string {
  return `${connection.number} ${notificationId}`;
}
