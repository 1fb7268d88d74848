/** Collects what many connections send towards a router (acks, events), so that one call carries it. Bounded by the sizes of its items
 *  (ids of an ack, 1 for an event). */
export class Batch<Item> {
  readonly #queueMax: number;
  #items: { readonly item: Item; readonly size: number }[] = [];
  #size = 0;

  constructor(queueMax: number) {
    this.#queueMax = queueMax;
  }

  /** Sum of the items' sizes. */
  get size(): number {
    return this.#size;
  }

  /** `full`: the item was not taken. */
  add(item: Item, size: number): "queued" | "full" {
    if (this.#size + size > this.#queueMax) return "full";
    this.#items.push({ item, size });
    this.#size += size;
    return "queued";
  }

  /** Takes the oldest items out, up to `sizeMax` in all, one at least; for one call. */
  take(sizeMax: number): readonly Item[] {
    let count = 0;
    let taken = 0;
    for (const { size } of this.#items) {
      if (count > 0 && taken + size > sizeMax) break;
      taken += size;
      count += 1;
    }
    this.#size -= taken;
    return this.#items.splice(0, count).map(({ item }) => item);
  }
}
