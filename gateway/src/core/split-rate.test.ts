import fc from "fast-check";
import { expect, test } from "vitest";
import { splitRate } from "./split-rate.js";

test.each<[number, readonly number[], readonly number[]]>([
  [100, [500, 500], [50, 50]],
  [100, [900, 100], [90, 10]],
  [12.5, [1, 1, 1, 1, 1, 1, 1, 1], [2, 2, 2, 2, 1, 1, 1, 1]],
  [3, [10, 10, 10, 10], [1, 1, 1, 0]],
  [0.5, [10, 20, 5], [0, 0.5, 0]],
  [10, [0, 7], [0, 10]],
  [10, [0, 0], [0, 0]],
  [0, [5, 5], [0, 0]],
  [10, [], []],
])("%d a second over %j", (perSecond, remaining, shares) => {
  expect(splitRate(perSecond, remaining)).toEqual(shares);
});

test("the shares add up to the whole part of the grant, and nobody gets any for nothing", () => {
  fc.assert(
    fc.property(
      fc.double({ min: 1, max: 5000, noNaN: true }),
      fc.array(fc.nat(500_000), { minLength: 1, maxLength: 64 }),
      (perSecond, remaining) => {
        const shares = splitRate(perSecond, remaining);
        const sum = shares.reduce((all, share) => all + share, 0);
        expect(sum).toBe(remaining.some((count) => count > 0) ? Math.floor(perSecond) : 0);
        for (const [index, share] of shares.entries()) if (remaining[index] === 0) expect(share).toBe(0);
      },
    ),
  );
});
