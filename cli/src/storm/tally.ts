/** What the storm counts: every notification published, every one each client got, every move. */
export class Tally {
  readonly #expected = new Map<string, Set<string>>();
  readonly #moves: { readonly atMs: number }[] = [];
  published = 0;
  delivered = 0;
  duplicates = 0;
  handOvers = 0;
  lostConnections = 0;
  slowestReconnectMs = 0;

  /** `notificationId` was accepted for `user`. */
  expect(user: string, notificationId: string): void {
    let missing = this.#expected.get(user);
    if (missing === undefined) {
      missing = new Set();
      this.#expected.set(user, missing);
    }
    missing.add(notificationId);
    this.published++;
  }

  /** It was refused after all. */
  forget(user: string, notificationId: string): void {
    if (this.#expected.get(user)?.delete(notificationId) === true) this.published--;
  }

  receive(user: string, notificationId: string): void {
    if (this.#expected.get(user)?.delete(notificationId) === true) this.delivered++;
    else this.duplicates++;
  }

  /** A client was asked to move. */
  asked(atMs: number): void {
    this.#moves.push({ atMs });
  }

  reconnected(tookMs: number, how: "hand_over" | "lost"): void {
    if (how === "hand_over") this.handOvers++;
    else this.lostConnections++;
    this.slowestReconnectMs = Math.max(this.slowestReconnectMs, tookMs);
  }

  /** Accepted and not received, by anybody. */
  get missing(): number {
    let count = 0;
    for (const ids of this.#expected.values()) count += ids.size;
    return count;
  }

  /** The most moves in any window of 1,000 ms. */
  get peakMovesPerSecond(): number {
    const times = this.#moves.map((move) => move.atMs).sort((a, b) => a - b);
    let peak = 0;
    let from = 0;
    for (const [index, atMs] of times.entries()) {
      while (atMs - (times[from] ?? atMs) >= 1000) from++;
      peak = Math.max(peak, index - from + 1);
    }
    return peak;
  }

  get moves(): number {
    return this.#moves.length;
  }
}
