import type { Cursor, NotificationId, UserId } from "@pushfleet/protocol";

/** `read`: the store said so at the append, or a read mark has come through this router since. One that came through another router is not
 *  known here until the next append; the devices have it as `mark_read`, or from their sync. */
export interface KnownAppend {
  readonly cursor: Cursor;
  readonly read: boolean;
}

/** Where each (user, notification id) was stored last by this router. Entered only after a confirmed append; bounded, the longest unused
 *  go first: a repetition after that is appended again, which a store takes for the same notification. */
export class Dedupe {
  readonly #entriesMax: number;
  readonly #cursors = new Map<string, Cursor>();
  /** Of `#cursors`: few are read while they are kept, and a million entries need no object each. */
  readonly #read = new Set<string>();

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  get(user: UserId, notificationId: NotificationId): KnownAppend | undefined {
    const at = key(user, notificationId);
    const cursor = this.#cursors.get(at);
    return cursor === undefined ? undefined : { cursor, read: this.#read.has(at) };
  }

  set(user: UserId, notificationId: NotificationId, { cursor, read }: KnownAppend): void {
    const at = key(user, notificationId);
    this.#forget(at);
    this.#cursors.set(at, cursor);
    if (read) this.#read.add(at);
    if (this.#cursors.size <= this.#entriesMax) return;
    const oldest = this.#cursors.keys().next();
    if (oldest.done !== true) this.#forget(oldest.value);
  }

  /** Those of `notificationIds` that are known. */
  markRead(user: UserId, notificationIds: readonly NotificationId[]): void {
    for (const notificationId of notificationIds) {
      const at = key(user, notificationId);
      if (this.#cursors.has(at)) this.#read.add(at);
    }
  }

  #forget(at: string): void {
    this.#cursors.delete(at);
    this.#read.delete(at);
  }
}

/** A space is in no id. */
function key(user: UserId, notificationId: NotificationId): string {
  return `${user} ${notificationId}`;
}
