import type { Cancel, Clock } from "@pushfleet/service";

/** Gathers items that come one by one, from all partitions and requests, and hands them on together: after `delayMs`, or at once when
 *  `itemsMax` wait. One small pipeline for each partition would cost more than the work in it. */
export class Coalescer<Item> {
  readonly #clock: Clock;
  readonly #delayMs: number;
  readonly #itemsMax: number;
  readonly #flush: (items: readonly Item[]) => void;
  #items: Item[] = [];
  #cancel: Cancel | undefined;

  constructor(options: {
    readonly clock: Clock;
    readonly delayMs: number;
    readonly itemsMax: number;
    readonly flush: (items: readonly Item[]) => void;
  }) {
    this.#clock = options.clock;
    this.#delayMs = options.delayMs;
    this.#itemsMax = options.itemsMax;
    this.#flush = options.flush;
  }

  add(item: Item): void {
    this.#items.push(item);
    if (this.#items.length >= this.#itemsMax) this.#hand();
    else this.#cancel ??= this.#clock.after(this.#delayMs, () => this.#hand());
  }

  #hand(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    const items = this.#items;
    this.#items = [];
    if (items.length > 0) this.#flush(items);
  }
}
