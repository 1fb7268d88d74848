/** After this long an older observation says less than a new one: clocks drift, and NTP may set Redis's back. */
const trustMs = 60_000;

interface Observation {
  /** Redis's time less ours, µs. Never above the truth: the answer was under way for some of it. */
  readonly offsetUs: number;
  readonly atMs: number;
}

/** What time it is at Redis, from the times in its answers. Errs towards the past, by no more than an answer was under way. */
export class RedisClock {
  #best: Observation | undefined;

  /** `redisUs` stood in an answer that was read at `monotonicMs`. */
  observe(redisUs: number, monotonicMs: number): void {
    const offsetUs = redisUs - monotonicMs * 1000;
    const best = this.#best;
    if (best === undefined || offsetUs >= best.offsetUs || monotonicMs - best.atMs > trustMs) {
      this.#best = { offsetUs, atMs: monotonicMs };
    }
  }

  /** µs since the epoch, an integer; `undefined` before the first observation. */
  estimateUs(monotonicMs: number): number | undefined {
    return this.#best === undefined ? undefined : Math.floor(this.#best.offsetUs + monotonicMs * 1000);
  }

  /** Another server may answer from now on. */
  forget(): void {
    this.#best = undefined;
  }
}
