/** One offset. The record itself may be its ticket. */
export interface Ticket {
  readonly offset: number;
  /** Set by `Checkpoint` alone. */
  done: boolean;
}

/** Which offsets of one partition are done, and up to where all are: only that may be committed. Offsets come in rising order (a topic may have
 *  gaps between them); they are resolved in any order. No clock, no Kafka. Source: Jeffail/checkpoint, the uncapped one. */
export class Checkpoint {
  /** Offsets under way and those done behind one that is not, in order. */
  readonly #tickets: Ticket[] = [];
  #first = 0;
  #committable: number | undefined;

  /** Offsets that are not yet below what is committable. */
  get pending(): number {
    return this.#tickets.length - this.#first;
  }

  /** What a consumer that starts again should read first: one above the last offset whose whole prefix is done. Undefined: nothing is. */
  get committable(): number | undefined {
    return this.#committable;
  }

  track(ticket: Ticket): void {
    this.#tickets.push(ticket);
  }

  /** `ticket`'s offset is stored and has all its outcomes, or lies in the dead-letter topic. */
  resolve(ticket: Ticket): void {
    ticket.done = true;
    for (;;) {
      const first = this.#tickets[this.#first];
      if (first === undefined || !first.done) break;
      this.#committable = first.offset + 1;
      this.#first++;
    }
    if (this.#first > 1024 && this.#first * 2 > this.#tickets.length) {
      this.#tickets.splice(0, this.#first);
      this.#first = 0;
    }
  }
}
