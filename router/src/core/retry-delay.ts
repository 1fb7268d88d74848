const firstMs = 100;
const mostMs = 2_000;

/** Before attempt number `attempt` (1 is the first repetition): 100 ms, doubled up to 2 s, each uniform in [d/2, d]. `random` in [0, 1). */
export function retryDelayMs(attempt: number, random: number): number {
  const base = Math.min(firstMs * 2 ** Math.max(0, attempt - 1), mostMs);
  return base / 2 + (base / 2) * random;
}
