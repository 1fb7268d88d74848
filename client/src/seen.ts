/** Which notifications were handed on, and which read marks wait for theirs. Both bounded: the oldest is forgotten first. */
export class Seen {
  readonly #ids = new Set<string>();
  readonly #readEarly = new Set<string>();
  readonly #bound: number;

  constructor(bound = 10_000) {
    this.#bound = bound;
  }

  /** `new`, with `read` true when a read mark came before it; `seen`: not to be handed on again. */
  arrive(notificationId: string): { readonly kind: "new"; readonly read: boolean } | { readonly kind: "seen" } {
    if (this.#ids.has(notificationId)) return { kind: "seen" };
    add(this.#ids, notificationId, this.#bound);
    return { kind: "new", read: this.#readEarly.delete(notificationId) };
  }

  /** Ids among `notificationIds` that were handed on; the others are remembered and applied on arrival. */
  markRead(notificationIds: readonly string[]): readonly string[] {
    const known: string[] = [];
    for (const id of notificationIds) {
      if (this.#ids.has(id)) known.push(id);
      else add(this.#readEarly, id, this.#bound);
    }
    return known;
  }
}

function add(set: Set<string>, id: string, bound: number): void {
  set.add(id);
  if (set.size <= bound) return;
  const oldest = set.values().next();
  if (oldest.done !== true) set.delete(oldest.value);
}
