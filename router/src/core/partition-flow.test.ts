import fc from "fast-check";
import { expect, test } from "vitest";
import type { Ticket } from "./checkpoint.js";
import { PartitionFlow } from "./partition-flow.js";

const records = (from: number, to: number): Ticket[] =>
  Array.from({ length: to - from }, (_, index) => ({ offset: from + index, done: false }));

function takeAll(flow: PartitionFlow<Ticket>): Ticket[] {
  const taken: Ticket[] = [];
  for (let next = flow.take(); next !== undefined; next = flow.take()) taken.push(next);
  return taken;
}

test("records are started in order and committed up to the first that is not done", () => {
  const flow = new PartitionFlow(10);
  expect(flow.offer(records(5, 8))).toBe(true);
  const [first, second, third] = takeAll(flow);
  expect([first?.offset, second?.offset, third?.offset]).toEqual([5, 6, 7]);
  if (second !== undefined) flow.resolve(second);
  expect([flow.committed, flow.committable, flow.pending]).toEqual([5, undefined, 3]);
  if (first !== undefined) flow.resolve(first);
  expect([flow.committable, flow.pending]).toEqual([7, 1]);
  flow.confirmCommit(7);
  expect([flow.committed, flow.committable]).toEqual([7, undefined]);
});

test("nothing new is started while a record is retried, and fetching pauses", () => {
  const flow = new PartitionFlow(10);
  flow.offer(records(0, 3));
  flow.take();
  flow.retrying(true);
  flow.retrying(true);
  expect([flow.take(), flow.changeOfPause(), flow.changeOfPause()]).toEqual([undefined, "pause", undefined]);
  flow.retrying(false);
  expect(flow.changeOfPause()).toBeUndefined();
  flow.retrying(false);
  expect([flow.changeOfPause(), flow.take()?.offset]).toEqual(["resume", 1]);
});

test("fetching pauses at the bound and goes on at half of it", () => {
  const flow = new PartitionFlow(4);
  flow.offer(records(0, 4));
  expect([flow.changeOfPause(), flow.paused]).toEqual(["pause", true]);
  flow.take();
  flow.take();
  expect(flow.changeOfPause()).toBeUndefined();
  flow.take();
  expect([flow.changeOfPause(), flow.paused]).toEqual(["resume", false]);
});

test("after a rejoin what is under way or waits is not taken twice", () => {
  const flow = new PartitionFlow(100);
  flow.offer(records(0, 10));
  const first = flow.take();
  flow.rejoined();
  expect(flow.offer(records(0, 12))).toBe(true);
  expect(takeAll(flow).map(({ offset }) => offset)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  if (first !== undefined) flow.resolve(first);
  expect(flow.committable).toBe(1);
});

test.each([
  ["a log that starts anew without a rejoin", false, 3],
  ["offsets that were reset below what was committed", true, 1],
])("%s needs a new flow", (_, rejoin, from) => {
  const flow = new PartitionFlow(100);
  flow.offer(records(2, 5));
  if (rejoin) flow.rejoined();
  expect(flow.offer(records(from, 10))).toBe(false);
});

test("whatever is fetched again after rejoins, each record is started once, in order, and only what is done is committed", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("fetch" as const), count: fc.nat(8) }),
    fc.record({ kind: fc.constant("start" as const), count: fc.nat(8) }),
    fc.record({ kind: fc.constant("finish" as const), pick: fc.nat(50) }),
    fc.record({ kind: fc.constant("commit" as const) }),
    fc.record({ kind: fc.constant("rejoin" as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const flow = new PartitionFlow<Ticket>(5);
      const started: number[] = [];
      const open: Ticket[] = [];
      let fetchAt = 0;
      for (const one of steps) {
        if (one.kind === "fetch") {
          expect(flow.offer(records(fetchAt, fetchAt + one.count))).toBe(true);
          fetchAt += one.count;
        } else if (one.kind === "start") {
          for (let i = 0; i < one.count; i++) {
            const next = flow.take();
            if (next === undefined) break;
            started.push(next.offset);
            open.push(next);
          }
        } else if (one.kind === "finish") {
          const [done] = open.splice(one.pick % Math.max(open.length, 1), 1);
          if (done !== undefined) flow.resolve(done);
        } else if (one.kind === "commit") {
          const offset = flow.committable;
          if (offset !== undefined) flow.confirmCommit(offset);
        } else if (flow.committed !== undefined) {
          flow.rejoined();
          fetchAt = flow.committed;
        }
        expect(started).toEqual(started.map((_, index) => index));
        const firstOpen = Math.min(...open.map(({ offset }) => offset), started.length);
        expect(flow.committed ?? 0).toBeLessThanOrEqual(firstOpen);
        expect(flow.committable ?? 0).toBeLessThanOrEqual(firstOpen);
      }
    }),
    { numRuns: 500 },
  );
});
