import type { Cursor, NotificationId, UserId } from "@pushfleet/protocol";

/** Where each (user, notification id) was stored last by this router. Entered only after a confirmed append; bounded, the longest unused
 *  go first: a repetition after that is appended again, which a store takes for the same notification. */
export class Dedupe {
  readonly #entriesMax: number;
  readonly #cursors = new Map<string, Cursor>();

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  get(user: UserId, notificationId: NotificationId): Cursor | undefined {
    return this.#cursors.get(key(user, notificationId));
  }

  set(user: UserId, notificationId: NotificationId, cursor: Cursor): void {
    const at = key(user, notificationId);
    this.#cursors.delete(at);
    this.#cursors.set(at, cursor);
    if (this.#cursors.size <= this.#entriesMax) return;
    const oldest = this.#cursors.keys().next();
    if (oldest.done !== true) this.#cursors.delete(oldest.value);
  }
}

/** A space is in no id. */
function key(user: UserId, notificationId: NotificationId): string {
  return `${user} ${notificationId}`;
}
