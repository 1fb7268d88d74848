/** What an item needs to hang in an `AgeList`; the list alone sets these. */
export interface AgeLinks<Item> {
  older: Item | undefined;
  newer: Item | undefined;
}

/** Items in the order they came, each of which can leave at any time, at no cost and with nothing to allocate. */
export class AgeList<Item extends AgeLinks<Item>> {
  #oldest: Item | undefined;
  #newest: Item | undefined;

  get oldest(): Item | undefined {
    return this.#oldest;
  }

  get newest(): Item | undefined {
    return this.#newest;
  }

  /** It must be in no list. */
  add(item: Item): void {
    item.older = this.#newest;
    if (this.#newest === undefined) this.#oldest = item;
    else this.#newest.newer = item;
    this.#newest = item;
  }

  /** It must be in this list. */
  remove(item: Item): void {
    if (item.older === undefined) this.#oldest = item.newer;
    else item.older.newer = item.newer;
    if (item.newer === undefined) this.#newest = item.older;
    else item.newer.older = item.older;
    item.older = undefined;
    item.newer = undefined;
  }
}
