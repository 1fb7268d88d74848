import type { NotificationId } from "@pushfleet/protocol";
import { comparePositions, type Position } from "./position.js";

/** Up to here ids are found by looking at each item: nearly every user has a few, and a `Map` in each would be most of their memory. */
const itemsUnindexed = 16;

/** Items in the order of their positions, each notification id once. Items come nearly in order: putting one last costs nothing. */
export class PositionLog<Item extends Position & { readonly notificationId: NotificationId }> {
  readonly #items: Item[] = [];
  #byId: Map<NotificationId, Item> | undefined;

  get length(): number {
    return this.#items.length;
  }

  first(): Item | undefined {
    return this.#items[0];
  }

  last(): Item | undefined {
    return this.#items.at(-1);
  }

  at(index: number): Item | undefined {
    return this.#items[index];
  }

  find(id: NotificationId): Item | undefined {
    if (this.#byId !== undefined) return this.#byId.get(id);
    return this.#items.find((item) => item.notificationId === id);
  }

  /** Its id must not be in the log. */
  add(item: Item): void {
    const last = this.#items.at(-1);
    if (last === undefined || comparePositions(last, item) < 0) this.#items.push(item);
    else this.#items.splice(this.indexAfter(item), 0, item);
    if (this.#byId !== undefined) this.#byId.set(item.notificationId, item);
    else if (this.#items.length > itemsUnindexed) this.#byId = new Map(this.#items.map((each) => [each.notificationId, each]));
  }

  /** It must be in the log. */
  remove(item: Item): void {
    if (this.#items[0] === item) this.#items.shift();
    else this.#items.splice(this.indexAfter(item) - 1, 1);
    this.#byId?.delete(item.notificationId);
  }

  /** Index of the first item strictly after `position`; the length when there is none. */
  indexAfter(position: Position): number {
    let low = 0;
    let high = this.#items.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const item = this.#items[middle];
      if (item !== undefined && comparePositions(item, position) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
