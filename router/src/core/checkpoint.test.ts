import fc from "fast-check";
import { expect, test } from "vitest";
import { Checkpoint } from "./checkpoint.js";

test("only the prefix that is wholly done may be committed, in whatever order offsets are resolved", () => {
  const offsets = fc.uniqueArray(fc.nat(5000), { maxLength: 200 }).map((list) => list.sort((a, b) => a - b));
  fc.assert(
    fc.property(offsets, fc.infiniteStream(fc.nat()), (tracked, random) => {
      const checkpoint = new Checkpoint();
      const waiting = tracked.map((offset) => ({ offset, done: false }));
      for (const ticket of waiting) checkpoint.track(ticket);
      const open = new Set(tracked);
      while (waiting.length > 0) {
        const [one] = waiting.splice((random.next().value ?? 0) % waiting.length, 1);
        if (one === undefined) continue;
        checkpoint.resolve(one);
        open.delete(one.offset);
        const firstOpen = tracked.find((offset) => open.has(offset));
        const done = tracked.filter((offset) => firstOpen === undefined || offset < firstOpen);
        expect(checkpoint.committable).toBe(done.length === 0 ? undefined : (done.at(-1) ?? 0) + 1);
        expect(checkpoint.pending).toBe(tracked.length - done.length);
      }
    }),
  );
});

test("a partition of a million records keeps only what is under way", () => {
  const checkpoint = new Checkpoint();
  for (let offset = 0; offset < 1_000_000; offset++) {
    const ticket = { offset, done: false };
    checkpoint.track(ticket);
    checkpoint.resolve(ticket);
  }
  expect([checkpoint.committable, checkpoint.pending]).toEqual([1_000_000, 0]);
});
