/** At most so many pieces of work at a time; those who wait are served by turns, so that one with much to do holds up nobody with little. */
export class FairSlots {
  #free: number;
  /** By owner, in the order of their turns; never an empty list. */
  readonly #waiting = new Map<object, (() => void)[]>();

  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  /** Runs `work` in a slot of its own, as soon as it is `owner`'s turn. */
  async run<T>(owner: object, work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#wait(owner, resolve));
    try {
      return await work();
    } finally {
      this.#handOn();
    }
  }

  #wait(owner: object, start: () => void): void {
    const queue = this.#waiting.get(owner);
    if (queue === undefined) this.#waiting.set(owner, [start]);
    else queue.push(start);
  }

  /** A slot goes from hand to hand while somebody waits. */
  #handOn(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free += 1;
      return;
    }
    const [owner, queue] = next;
    const start = queue.shift();
    this.#waiting.delete(owner);
    if (queue.length > 0) this.#waiting.set(owner, queue);
    start?.();
  }
}
