import fc from "fast-check";
import { expect, test } from "vitest";
import { DeadlineWheel, noDeadline, type Timed } from "./deadline-wheel.js";

interface Item extends Timed {
  readonly name: number;
}

test("each deadline comes up once, in its slot or the next tick, whatever is set, cleared and skipped", () => {
  const command = fc.oneof(
    fc.record({ kind: fc.constant("set" as const), name: fc.nat(9), inMs: fc.oneof(fc.nat(100), fc.nat(5000), fc.constant(200_000)) }),
    fc.record({ kind: fc.constant("clear" as const), name: fc.nat(9) }),
    fc.record({ kind: fc.constant("wait" as const), ms: fc.oneof(fc.nat(300), fc.constant(60_000)) }),
  );
  fc.assert(
    fc.property(fc.array(command, { maxLength: 200 }), (commands) => {
      const wheel = new DeadlineWheel<Item>(100, 0);
      const items = Array.from({ length: 10 }, (_, name): Item => ({ ...noDeadline, name }));
      const expected = new Map<number, number>();
      let nowMs = 0;
      for (const step of commands) {
        const item = "name" in step ? items[step.name] : undefined;
        if (step.kind === "set" && item !== undefined) {
          wheel.set(item, nowMs + step.inMs);
          expected.set(item.name, nowMs + step.inMs);
        }
        if (step.kind === "clear" && item !== undefined) {
          wheel.clear(item);
          expected.delete(item.name);
        }
        if (step.kind === "wait") {
          nowMs += step.ms;
          wheel.tick(nowMs, ({ name }) => {
            expect(expected.get(name), `item ${name} at ${nowMs}`).toBeLessThanOrEqual(nowMs);
            expected.delete(name);
          });
          for (const atMs of expected.values()) expect(atMs).toBeGreaterThan(nowMs - 200);
        }
      }
    }),
  );
});

test("a deadline set while others come up is kept", () => {
  const wheel = new DeadlineWheel<Item>(1000, 0);
  const item: Item = { ...noDeadline, name: 1 };
  let fired = 0;
  wheel.set(item, 1000);
  const again = () => {
    fired += 1;
    wheel.set(item, fired * 1000 + 1000);
  };
  for (let nowMs = 1000; nowMs <= 5000; nowMs += 1000) wheel.tick(nowMs, again);
  expect(fired).toBe(5);
});
