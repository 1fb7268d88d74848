import { expect, test } from "vitest";
import { Tally } from "./tally.js";

test("what was accepted and not received is missing, and a second copy is no delivery", () => {
  const tally = new Tally();
  tally.expect("u1", "n1");
  tally.expect("u1", "n2");
  tally.expect("u2", "n1");
  tally.receive("u1", "n1");
  tally.receive("u1", "n1");
  expect([tally.published, tally.delivered, tally.duplicates, tally.missing]).toEqual([3, 1, 1, 2]);
});

test("the peak is the most moves in any window of a second", () => {
  const tally = new Tally();
  for (const atMs of [0, 500, 900, 999, 1000, 1400, 5000]) tally.asked(atMs);
  expect(tally.peakMovesPerSecond).toBe(5);
  expect(tally.moves).toBe(7);
});
