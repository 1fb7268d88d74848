import fc from "fast-check";
import { expect, test } from "vitest";
import { retryDelayMs } from "./retry-delay.js";

const bounds = { minMs: 100, maxMs: 2_000 };

test.each([
  [1, 0, 50],
  [1, 1, 100],
  [2, 1, 200],
  [5, 1, 1_600],
  [6, 1, 2_000],
  [6, 0, 1_000],
  [0, 1, 100],
])("attempt %i with random %d waits %d ms", (attempt, random, expected) => {
  expect(retryDelayMs(attempt, random, bounds)).toBe(expected);
});

test("a delay stays within its bounds, however many attempts there were", () => {
  fc.assert(
    fc.property(fc.nat(100_000), fc.double({ min: 0, max: 1, noNaN: true }), (attempt, random) => {
      const delay = retryDelayMs(attempt, random, bounds);
      expect(delay).toBeGreaterThanOrEqual(bounds.minMs / 2);
      expect(delay).toBeLessThanOrEqual(bounds.maxMs);
    }),
  );
});
