/** Which notifications were handed on, which of them are known to be read, and which read marks wait for theirs. All bounded: the oldest
 *  is forgotten first. */
export class Seen {
  /** Id → whether the application knows that it was read. */
  readonly #read = new Map<string, boolean>();
  readonly #readEarly = new Set<string>();
  readonly #bound: number;

  constructor(bound = 10_000) {
    this.#bound = bound;
  }

  /** `read`: the frame says that the notification was read. `new`, with `read` true when a read mark came before it or with it; `seen`:
   *  not to be handed on again, a read mark in it goes to `markRead`. */
  arrive(notificationId: string, read: boolean): { readonly kind: "new"; readonly read: boolean } | { readonly kind: "seen" } {
    if (this.#read.has(notificationId)) return { kind: "seen" };
    const readBefore = this.#readEarly.delete(notificationId) || read;
    this.#read.set(notificationId, readBefore);
    forgetOldest(this.#read, this.#bound);
    return { kind: "new", read: readBefore };
  }

  /** Ids among `notificationIds` that were handed on and are now read for the first time; unseen ones are remembered and applied on
   *  arrival. */
  markRead(notificationIds: readonly string[]): readonly string[] {
    const marked: string[] = [];
    for (const id of notificationIds) {
      const read = this.#read.get(id);
      if (read === false) marked.push(id);
      if (read === undefined) {
        this.#readEarly.add(id);
        forgetOldest(this.#readEarly, this.#bound);
      } else this.#read.set(id, true);
    }
    return marked;
  }
}

/** Sets and maps keep the order in which their keys were first put in. */
function forgetOldest(ids: Set<string> | Map<string, unknown>, bound: number): void {
  if (ids.size <= bound) return;
  const oldest = ids.keys().next();
  if (oldest.done !== true) ids.delete(oldest.value);
}
