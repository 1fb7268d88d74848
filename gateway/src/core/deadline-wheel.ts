/** What the wheel keeps on each item, written by the wheel alone. Start with `noDeadline`'s values. */
export interface Timed {
  /** −1 while it has no deadline. */
  deadlineSlot: number;
  deadlinePosition: number;
  /** Turn of the wheel at which it is due. */
  deadlineTurn: number;
}

export const noDeadline: Readonly<Timed> = { deadlineSlot: -1, deadlinePosition: -1, deadlineTurn: 0 };

const slotCount = 512;

/** One deadline for each of very many connections (first message, registration, token expiry) without a timer for each: a hashed wheel
 *  (Varghese and Lauck, scheme 6). Setting and clearing are O(1); a deadline comes up to one slot late, never early. */
export class DeadlineWheel<Item extends Timed> {
  readonly slotMs: number;
  readonly #slots: Item[][] = [];
  readonly #startMs: number;
  #turn = 0;

  constructor(slotMs: number, nowMs: number) {
    this.slotMs = slotMs;
    this.#startMs = nowMs;
    for (let i = 0; i < slotCount; i++) this.#slots.push([]);
  }

  /** Replaces the deadline the item had. */
  set(item: Item, atMs: number): void {
    this.clear(item);
    const turn = Math.max(this.#turn + 1, Math.ceil((atMs - this.#startMs) / this.slotMs));
    item.deadlineSlot = turn % slotCount;
    item.deadlineTurn = turn;
    const slot = this.#slots[item.deadlineSlot] ?? [];
    item.deadlinePosition = slot.length;
    slot.push(item);
  }

  clear(item: Item): void {
    const slot = this.#slots[item.deadlineSlot];
    if (slot === undefined) return;
    const last = slot.pop();
    if (last !== undefined && last !== item) {
      slot[item.deadlinePosition] = last;
      last.deadlinePosition = item.deadlinePosition;
    }
    item.deadlineSlot = -1;
    item.deadlinePosition = -1;
  }

  /** Gives `due` each item whose deadline has come, cleared; `due` may set and clear deadlines. Call it every `slotMs`. */
  tick(nowMs: number, due: (item: Item) => void): void {
    const target = Math.floor((nowMs - this.#startMs) / this.slotMs);
    const from = Math.max(this.#turn + 1, target - slotCount + 1);
    if (target <= this.#turn) return;
    for (let turn = from; turn <= target; turn++) {
      this.#turn = turn;
      this.#visit(this.#slots[turn % slotCount] ?? [], target, due);
    }
  }

  #visit(slot: readonly Item[], target: number, due: (item: Item) => void): void {
    for (let i = slot.length - 1; i >= 0; i--) {
      const item = slot[i];
      if (item === undefined || item.deadlineTurn > target) continue;
      this.clear(item);
      due(item);
    }
  }
}
