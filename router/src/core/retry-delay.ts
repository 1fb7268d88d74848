/** Bounds of the delays between attempts. */
export interface RetryBounds {
  readonly minMs: number;
  readonly maxMs: number;
}

/** Before attempt number `attempt` (1 is the first repetition): `minMs`, doubled each time up to `maxMs`, each uniform in [d/2, d]. `random` in
 *  [0, 1). */
export function retryDelayMs(attempt: number, random: number, { minMs, maxMs }: RetryBounds): number {
  const base = Math.min(minMs * 2 ** Math.max(0, attempt - 1), maxMs);
  return base / 2 + (base / 2) * random;
}
