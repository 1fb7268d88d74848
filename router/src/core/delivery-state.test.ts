import {
  connectionIdFromNumber,
  cursorMs,
  type DeviceId,
  formatCursor,
  type Incarnation,
  limits,
  parseDeviceId,
} from "@pushfleet/protocol";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DeliveryState, type DeviceTarget, type TargetOutcome } from "./delivery-state.js";

const incarnation = "aaaaaaaaaa" as Incarnation;
const target = (device: string, connection = 1): DeviceTarget => {
  const parsed = parseDeviceId(device);
  if (parsed === undefined) throw new Error("not a device");
  return { device: parsed, entry: { incarnation, connection: connectionIdFromNumber(connection) } };
};
type Answer = TargetOutcome | "broken";

/** One pass: a look-up finds `devices`, each target is answered as `answers` says (default: written). */
function pass(state: DeliveryState, devices: readonly DeviceTarget[], answers: Readonly<Record<string, Answer>> = {}) {
  const sent = state.located(devices);
  for (const one of sent) {
    const answer = answers[one.device] ?? "written";
    if (answer === "broken") state.broken(one);
    else state.answered(one, answer);
  }
  return { sent: sent.map((one) => `${one.device}/${one.entry.connection}`), next: state.conclude() };
}
const outcomes = ({ written, offline, stale, overflow }: DeliveryState) => ({ written, offline, stale, overflow });
const none = { written: 0, offline: 0, stale: 0, overflow: 0 };

describe("one notification for one user", () => {
  test("without a device is offline", () => {
    const state = new DeliveryState();
    expect(pass(state, [])).toEqual({ sent: [], next: "done" });
    expect(outcomes(state)).toEqual({ ...none, offline: 1 });
  });

  test("is done when each device was written to or overflowed", () => {
    const state = new DeliveryState();
    expect(pass(state, [target("a"), target("b")], { b: "overflow" })).toEqual({ sent: ["a/1", "b/1"], next: "done" });
    expect(outcomes(state)).toEqual({ ...none, written: 1, overflow: 1 });
  });

  test("that is stale is looked up once more: moved, it is sent there, and to no device that had its outcome", () => {
    const state = new DeliveryState();
    expect(pass(state, [target("a"), target("b")], { b: "stale" }).next).toBe("look_up");
    expect(pass(state, [target("a"), target("b", 2)])).toEqual({ sent: ["b/2"], next: "done" });
    expect(outcomes(state)).toEqual({ ...none, written: 2 });
  });

  test.each([
    ["the entry is the same: stale", [target("a")], { ...none, stale: 1 }],
    ["the entry is gone: offline", [], { ...none, offline: 1 }],
  ])("that is stale is looked up once more, and counts when %s", (_, found, expected) => {
    const state = new DeliveryState();
    pass(state, [target("a")], { a: "stale" });
    expect(pass(state, found)).toEqual({ sent: [], next: "done" });
    expect(outcomes(state)).toEqual(expected);
  });

  test("that is stale twice counts as stale, wherever it was found the second time", () => {
    const state = new DeliveryState();
    pass(state, [target("a")], { a: "stale" });
    expect(pass(state, [target("a", 2)], { a: "stale" }).next).toBe("done");
    expect(outcomes(state)).toEqual({ ...none, stale: 1 });
  });

  test("whose stream broke is retried for the devices without an outcome only", () => {
    const state = new DeliveryState();
    expect(pass(state, [target("a"), target("b")], { a: "broken" }).next).toBe("retry");
    expect(pass(state, [target("a"), target("b")], { a: "broken" })).toEqual({ sent: ["a/1"], next: "retry" });
    expect(pass(state, [target("b")])).toEqual({ sent: [], next: "done" });
    expect(outcomes(state)).toEqual({ ...none, written: 1, offline: 1 });
  });

  test("also goes to a device that came between two passes", () => {
    const state = new DeliveryState();
    pass(state, [target("a")], { a: "broken" });
    expect(pass(state, [target("a"), target("new")])).toEqual({ sent: ["a/1", "new/1"], next: "done" });
  });

  test("is appended before its first look-up, and again before the next one once the append is appendFreshMs old", () => {
    const state = new DeliveryState();
    expect(state.next(0)).toBe("append");
    const cursor = formatCursor(1_000_000, 3);
    state.appended(cursor);
    expect(state.cursor).toBe(cursor);
    expect(state.next(1_000_000)).toBe("look_up");
    expect(state.next(cursorMs(cursor) + limits.appendFreshMs - 1)).toBe("look_up");
    expect(state.next(cursorMs(cursor) + limits.appendFreshMs)).toBe("append");
    state.appended(formatCursor(1_000_000 + limits.appendFreshMs, 0));
    expect(state.next(1_000_000 + limits.appendFreshMs)).toBe("look_up");
  });
});

test("whatever happens to the devices, each that was ever found has exactly one outcome in the end, and none is sent to after it", () => {
  const answer = fc.constantFrom<Answer>("written", "overflow", "stale", "broken");
  const world = fc.dictionary(fc.constantFrom("a", "b", "c", "d"), fc.record({ connection: fc.nat(2), answer }));
  fc.assert(
    fc.property(fc.array(world, { minLength: 1, maxLength: 8 }), (worlds) => {
      const state = new DeliveryState();
      const sentTo = new Set<DeviceId>();
      const settled = new Map<DeviceId, Answer>();
      let next: string = "look_up";
      let staleRounds = 0;
      for (const [index, one] of worlds.entries()) {
        const last = index === worlds.length - 1;
        const sent = state.located(Object.entries(one).map(([device, { connection }]) => target(device, connection)));
        for (const each of sent) {
          expect(settled.has(each.device)).toBe(false);
          sentTo.add(each.device);
          const given = one[each.device]?.answer ?? "written";
          const real = last ? "written" : given;
          if (real === "broken") state.broken(each);
          else state.answered(each, real);
          if (real === "written" || real === "overflow") settled.set(each.device, real);
        }
        next = state.conclude();
        if (next === "done") break;
        staleRounds = next === "look_up" ? staleRounds + 1 : 0;
      }
      expect(next).toBe("done");
      expect(staleRounds).toBeLessThanOrEqual(4);
      const { written, offline, stale, overflow } = state;
      expect(written + offline + stale + overflow).toBe(Math.max(sentTo.size, 1));
      expect(written + overflow).toBe(settled.size);
    }),
    { numRuns: 500 },
  );
});
