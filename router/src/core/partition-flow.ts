import { Checkpoint, type Ticket } from "./checkpoint.js";

/** One partition of this consumer: what was fetched and waits, what is under way, what may be committed, and when fetching should pause. It
 *  outlives a rebalance that leaves the partition here, so that what is under way is neither repeated nor lost. No clock, no Kafka. */
export class PartitionFlow<Item extends Ticket> {
  readonly #queuedMax: number;
  readonly #checkpoint = new Checkpoint();
  #queue: Item[] = [];
  #first = 0;
  /** Behind the last record that was queued. */
  #position = -1;
  /** Behind the last record that was fetched: after a rejoin lower than `#position`. */
  #fetched = -1;
  #committed: number | undefined;
  #retrying = 0;
  #paused = false;

  /** `queuedMax`: fetched records that wait before the partition pauses. */
  constructor(queuedMax: number) {
    this.#queuedMax = queuedMax;
  }

  get queued(): number {
    return this.#queue.length - this.#first;
  }

  /** Records taken and not yet below what is committable. */
  get pending(): number {
    return this.#checkpoint.pending;
  }

  /** From where a consumer that starts now would read: what was committed, or else where this one began. Undefined: nothing came yet. */
  get committed(): number | undefined {
    return this.#committed;
  }

  /** The offset to commit; undefined when it has not moved since the last commit. */
  get committable(): number | undefined {
    const offset = this.#checkpoint.committable;
    return offset === undefined || offset <= (this.#committed ?? -1) ? undefined : offset;
  }

  get paused(): boolean {
    return this.#paused;
  }

  confirmCommit(offset: number): void {
    this.#committed = offset;
  }

  /** The group was joined anew and the partition is still ours: fetching starts again at what was committed. */
  rejoined(): void {
    this.#fetched = this.#committed ?? -1;
  }

  /** Takes in fetched records, in order; after a rejoin without those it has already. False: they lie before what is known of the log (the
   *  topic was made anew, or offsets were reset), start with a new flow. */
  offer(items: readonly Item[]): boolean {
    const [head] = items;
    if (head === undefined) return true;
    if (head.offset < this.#fetched) return false;
    this.#committed ??= head.offset;
    for (const item of items) {
      this.#fetched = item.offset + 1;
      if (item.offset < this.#position) continue;
      this.#queue.push(item);
      this.#position = this.#fetched;
    }
    return true;
  }

  /** The next record to start; undefined when none waits, or while one that was started is being retried. `resolve` it when it is done. */
  take(): Item | undefined {
    const item = this.#retrying > 0 ? undefined : this.#queue[this.#first];
    if (item === undefined) return undefined;
    this.#first++;
    if (this.#first === this.#queue.length) {
      this.#queue = [];
      this.#first = 0;
    }
    this.#checkpoint.track(item);
    return item;
  }

  resolve(item: Item): void {
    this.#checkpoint.resolve(item);
  }

  /** A record under way waits to be tried again (`true`), or does so no longer. */
  retrying(waits: boolean): void {
    this.#retrying += waits ? 1 : -1;
  }

  /** Paused from `queuedMax` waiting records, or while one is retried; goes on at half of it. Undefined: as it is. */
  changeOfPause(): "pause" | "resume" | undefined {
    const paused = this.#retrying > 0 || this.queued >= (this.#paused ? this.#queuedMax / 2 : this.#queuedMax);
    if (paused === this.#paused) return undefined;
    this.#paused = paused;
    return paused ? "pause" : "resume";
  }
}
