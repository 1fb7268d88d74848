import type { Clock } from "@pushfleet/service";

/** Pauses that double from `minMs` to `maxMs`, each uniform in [d/2, d]. `random` in [0, 1). */
export class BackOff {
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  /** Pauses since the last reset. */
  count = 0;

  constructor(minMs: number, maxMs: number, random: () => number) {
    this.#minMs = minMs;
    this.#maxMs = maxMs;
    this.#random = random;
  }

  next(): number {
    const fullMs = Math.min(this.#maxMs, this.#minMs * 2 ** Math.min(this.count, 30));
    this.count += 1;
    return (fullMs * (1 + this.#random())) / 2;
  }

  reset(): void {
    this.count = 0;
  }
}

/** Resolves after `ms`, or as soon as `signal` aborts. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = () => {
      cancel();
      signal.removeEventListener("abort", end);
      resolve();
    };
    const cancel = clock.after(ms, end);
    signal.addEventListener("abort", end, { once: true });
  });
}
