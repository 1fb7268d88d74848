/** A rate with a burst, shared by all who obey it. Each of them keeps one number, `dueMs` (0 at first): when its allowance is full again
 *  (generic cell rate algorithm, ITU-T I.371). Nothing is allocated. */
export interface RateLimit {
  readonly intervalMs: number;
  readonly toleranceMs: number;
}

/** `burst` ≥ 1 at once, `perSecond` > 0 for good. */
export function rateLimit(perSecond: number, burst: number): RateLimit {
  const intervalMs = 1000 / perSecond;
  return { intervalMs, toleranceMs: (burst - 1) * intervalMs };
}

/** ms until one more is allowed; 0: now. */
export function waitMs(limit: RateLimit, dueMs: number, nowMs: number): number {
  return Math.max(0, dueMs - limit.toleranceMs - nowMs);
}

/** The new `dueMs` after one more was let through. Whole ms, rounded up: a small integer costs a connection no memory of its own. */
export function takeOne(limit: RateLimit, dueMs: number, nowMs: number): number {
  return Math.ceil(Math.max(dueMs, nowMs) + limit.intervalMs);
}
