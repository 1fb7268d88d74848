import fc from "fast-check";
import { expect, test } from "vitest";
import { RedisClock } from "./redis-clock.js";

test("knows nothing before the first answer, nor after another server took over", () => {
  const clock = new RedisClock();
  expect(clock.estimateUs(5)).toBeUndefined();
  clock.observe(1_000_000, 5);
  expect(clock.estimateUs(7)).toBe(1_002_000);
  clock.forget();
  expect(clock.estimateUs(7)).toBeUndefined();
});

test("an old observation gives way to a lower one: Redis's clock was set back", () => {
  const clock = new RedisClock();
  clock.observe(10_000_000, 0);
  clock.observe(5_000_000, 1);
  expect(clock.estimateUs(1)).toBe(10_001_000);
  clock.observe(5_000_000, 60_001);
  expect(clock.estimateUs(60_001)).toBe(5_000_000);
});

test("is never ahead of Redis, and behind by no more than its best answer was under way", () => {
  const delays = fc.array(fc.record({ gapMs: fc.nat(1000), delayMs: fc.nat(500) }), { minLength: 1, maxLength: 50 });
  const property = fc.property(delays, (answers) => {
    const clock = new RedisClock();
    const aheadUs = 1_700_000_000_000_000;
    let nowMs = 0;
    for (const { gapMs, delayMs } of answers) {
      nowMs += gapMs + delayMs;
      clock.observe(aheadUs + (nowMs - delayMs) * 1000, nowMs);
      const behindUs = aheadUs + nowMs * 1000 - (clock.estimateUs(nowMs) ?? 0);
      expect(behindUs).toBeGreaterThanOrEqual(0);
      expect(behindUs).toBeLessThanOrEqual(delayMs * 1000);
    }
  });
  fc.assert(property);
});
