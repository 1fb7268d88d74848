/** Which offsets of one partition are done, and up to where all are: only that may be committed. Offsets come in rising order (a topic may have
 *  gaps between them); they are resolved in any order. No clock, no Kafka. Source: Jeffail/checkpoint, the uncapped one. */
export class Checkpoint {
  /** Offsets under way and those done behind one that is not, in order. */
  readonly #offsets: { readonly offset: number; done: boolean }[] = [];
  #first = 0;
  #committable: number | undefined;

  /** Offsets that are not yet below what is committable. */
  get pending(): number {
    return this.#offsets.length - this.#first;
  }

  /** What a consumer that starts again should read first: one above the last offset whose whole prefix is done. */
  get committable(): number | undefined {
    return this.#committable;
  }

  /** Call the result once when `offset` is stored and has all its outcomes, or lies in the dead-letter topic. */
  track(offset: number): () => void {
    const entry = { offset, done: false };
    this.#offsets.push(entry);
    return () => {
      entry.done = true;
      this.#advance();
    };
  }

  #advance(): void {
    for (;;) {
      const entry = this.#offsets[this.#first];
      if (entry === undefined || !entry.done) break;
      this.#committable = entry.offset + 1;
      this.#first++;
    }
    if (this.#first > 1024 && this.#first * 2 > this.#offsets.length) {
      this.#offsets.splice(0, this.#first);
      this.#first = 0;
    }
  }
}
