import { describe, expect, test } from "vitest";
import { scaleTarget } from "./scale-target.js";
import type { ScalingInput, ScalingPod } from "./scaling-input.js";
import { couldDoWithout, leastLoaded, othersHold } from "./victim.js";

const serving = (name: string, connections: number, more: Partial<ScalingPod> = {}): ScalingPod => ({
  ...{ name, uid: name, connections, accepting: true, starting: false, capacity: 100, slots: 180 },
  ...more,
});
const starting = (name: string): ScalingPod => serving(name, 0, { accepting: false, starting: true });
const loads = (...connections: number[]) => connections.map((count, index) => serving(`p${index}`, count));

function input(pods: readonly ScalingPod[], more: Partial<ScalingInput> = {}): ScalingInput {
  return {
    ...{
      minReplicas: 1,
      maxReplicas: 10,
      target: pods.length,
      pods,
      restorable: [],
      newPodCapacity: 100,
      stillDraining: 0,
      ofRemovedPools: 0,
    },
    ...{ netArrivalsPerSecond: 0, handshakesPerSecond: 0, podHandshakesPerSecond: 100, timeToReadyMs: 10_000 },
    ...{ reporting: pods.length, expected: pods.length, unsettled: undefined },
    ...{ shrinkableSinceMs: undefined, stabilizationMs: 60_000, nowMs: 1_000_000 },
    ...more,
  };
}

describe("growing", () => {
  test.each([
    ["holds while the others could take the loss of the fullest", input(loads(60, 60, 60)), "hold", 3],
    ["grows when they could not", input(loads(80, 80, 80)), "grow", 4],
    ["by as many as it takes", input(loads(150, 150)), "grow", 4],
    ["for arrivals until a new pod is ready", input(loads(60, 60, 60), { netArrivalsPerSecond: 7 }), "grow", 4],
    ["not for what leaves", input(loads(60, 60, 60), { netArrivalsPerSecond: -7 }), "hold", 3],
    ["for what is still draining", input(loads(60, 60, 60), { stillDraining: 61 }), "grow", 4],
    ["pods that start count already", input([...loads(80, 80, 80), starting("new")]), "hold", 4],
    ["so do pods of the target that are not there yet", input(loads(80, 80, 80), { target: 4 }), "hold", 4],
    ["pods above their capacity do not take room from others", input(loads(130, 20, 20)), "hold", 3],
    ["for handshakes above 70 % of what pods accept", input(loads(10, 10), { handshakesPerSecond: 141 }), "grow", 3],
    ["not at 70 %", input(loads(10, 10, 10), { handshakesPerSecond: 140, minReplicas: 3 }), "hold", 3],
    [
      "for a pod above 90 % of its hard limit when none is half empty",
      input([serving("a", 181), ...loads(51, 51, 51, 51, 51, 51)]),
      "grow",
      8,
    ],
    ["not when one is", input([serving("a", 181), ...loads(50, 51, 51, 51, 51, 51)]), "hold", 7],
  ])("%s", (_, given, kind, target) => {
    expect(scaleTarget(given)).toMatchObject({ kind, target });
  });

  test("never above the maximum, and says so", () => {
    expect(scaleTarget(input(loads(150, 150), { maxReplicas: 3 }))).toMatchObject({
      target: 3,
      limited: true,
      why: expect.stringContaining("maxReplicas 3 forbids 4"),
    });
    expect(scaleTarget(input(loads(150, 150), { maxReplicas: 2 }))).toMatchObject({ kind: "hold", target: 2, limited: true });
  });

  test("restores a draining pod before creating, and its clients need no new place then", () => {
    const restorable = [serving("draining", 40, { accepting: false })];
    expect(scaleTarget(input(loads(70, 70), { restorable, stillDraining: 40 }))).toMatchObject({ kind: "grow", target: 3 });
  });

  test("under 90 % reporting neither grows nor shrinks", () => {
    expect(scaleTarget(input(loads(150, 150), { reporting: 17, expected: 19 }))).toMatchObject({ kind: "hold", target: 2 });
    expect(scaleTarget(input(loads(1, 1), { reporting: 17, expected: 19, shrinkableSinceMs: 0 }))).toMatchObject({
      kind: "hold",
      target: 2,
    });
    expect(scaleTarget(input(loads(150, 150), { reporting: 18, expected: 20 }))).toMatchObject({ kind: "grow" });
  });
});

describe("shrinking", () => {
  test("only after the whole stabilization window, the least loaded first", () => {
    const first = scaleTarget(input(loads(20, 10, 30)));
    expect(first).toMatchObject({ kind: "hold", target: 3, shrinkableSinceMs: 1_000_000, why: expect.stringContaining("60 s more") });
    expect(scaleTarget(input(loads(20, 10, 30), { shrinkableSinceMs: 940_001 }))).toMatchObject({ kind: "hold" });
    expect(scaleTarget(input(loads(20, 10, 30), { shrinkableSinceMs: 940_000 }))).toMatchObject({
      kind: "shrink",
      target: 2,
      victim: "p1",
    });
  });

  const ready = { shrinkableSinceMs: 0 };
  test.each([
    ["not below the minimum", input(loads(1, 1), { ...ready, minReplicas: 2 })],
    ["not the last", input(loads(0), ready)],
    ["not while something else is going on", input(loads(1, 1, 1), { ...ready, unsettled: "a pod is being drained" })],
    ["not when the others would need the room for the loss of one of them", input(loads(60, 60, 60), ready)],
    ["not when handshakes need the pods", input(loads(1, 1, 1), { ...ready, handshakesPerSecond: 141 })],
    ["not when one of the others is above its capacity", input(loads(1, 1, 101), ready)],
  ])("%s, and the window begins again", (_, given) => {
    expect(scaleTarget(given)).toMatchObject({ kind: "hold", target: given.target });
    expect(scaleTarget(given).shrinkableSinceMs).toBeUndefined();
  });

  test("a pod that never came is given up without a victim", () => {
    const decision = scaleTarget(input(loads(10, 10), { target: 3, shrinkableSinceMs: 0 }));
    expect(decision).toMatchObject({ kind: "shrink", target: 2 });
    expect(decision.victim).toBeUndefined();
  });

  test("what shrank does not grow again under the same load", () => {
    for (let total = 10; total < 900; total += 7) {
      for (let count = 2; count <= 9; count += 1) {
        const pods = loads(...Array.from({ length: count }, () => total / count));
        if (!couldDoWithout(input(pods), pods[0])) continue;
        const after = loads(...Array.from({ length: count - 1 }, () => total / (count - 1)));
        expect(scaleTarget(input(after)).kind).not.toBe("grow");
      }
    }
  });
});

describe("victims", () => {
  test("are the least loaded, and of equals the last by name, for every operator", () => {
    expect(leastLoaded([serving("a", 3), serving("c", 2), serving("b", 2)])?.name).toBe("c");
    expect(leastLoaded([])).toBeUndefined();
  });

  test("of a user's wish need only a place for their clients", () => {
    const [a = serving("a", 0), b = serving("b", 0)] = [serving("a", 90), serving("b", 90)];
    expect(othersHold([a, b], a)).toBe(true);
    expect(othersHold([serving("a", 91), serving("b", 90)], b)).toBe(false);
    expect(othersHold([a], a)).toBe(false);
    expect(othersHold([serving("empty", 0)], serving("empty", 0))).toBe(true);
  });
});
