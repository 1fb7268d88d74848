import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pod } from "../../../test/support/observed-fleet.js";
import { ewma, sampleArrivals } from "./arrivals.js";
import { largestFailureDomain } from "./failure-domain.js";
import { describeInfeasible, estimateDrain } from "./feasibility.js";
import { headroomWanted } from "./headroom.js";
import { defaultSettings } from "./settings.js";
import { spreadOnLeastLoaded } from "./spread.js";
import { timeToReadyMs, withTimesToReady } from "./time-to-ready.js";

describe("largest failure domain", () => {
  const on = (name: string, connections: number, node?: string, zone?: string) => ({ name, connections, node, zone });
  test.each([
    ["nothing in an empty fleet", [], "", 0],
    ["the fullest pod where no node is known", [on("a", 5), on("b", 7)], "pod b", 7],
    ["the node whose pods hold the most together", [on("a", 5, "n1"), on("b", 7, "n2"), on("c", 4, "n1")], "node n1", 9],
    [
      "no zone where there are two: nobody could pay for it",
      [on("a", 5, "n1", "z1"), on("b", 5, "n2", "z1"), on("c", 6, "n3", "z2")],
      "node n3",
      6,
    ],
    [
      "the zone where there are three",
      [on("a", 5, "n1", "z1"), on("b", 5, "n2", "z1"), on("c", 6, "n3", "z2"), on("d", 1, "n4", "z3")],
      "zone z1",
      10,
    ],
  ])("is %s", (_, members, name, connections) => {
    expect(largestFailureDomain(members)).toEqual({ name, connections });
  });
});

describe("headroom wanted (G)", () => {
  const base = { pods: [], podCapacity: 1_000, netArrivalsPerSecond: 0, timeToReadyMs: 180_000, stillDraining: 0, ofRemovedPools: 0 };
  test.each([
    ["10 % of a pod in a fleet at rest", base, 100],
    ["arrivals until a pod ordered now is ready", { ...base, netArrivalsPerSecond: 5 }, 900],
    ["the largest domain on top", { ...base, netArrivalsPerSecond: 5, pods: [{ name: "a", connections: 700 }] }, 1_600],
    ["and what is still draining", { ...base, pods: [{ name: "a", connections: 700 }], stillDraining: 300 }, 1_000],
    [
      "a shrinking fleet does not need less than its domain",
      { ...base, netArrivalsPerSecond: -50, pods: [{ name: "a", connections: 700 }] },
      700,
    ],
  ])("is %s", (_, demand, expected) => {
    expect(headroomWanted(demand).connections).toBe(expected);
  });

  test("says in words what it is made of", () => {
    const demand = { ...base, netArrivalsPerSecond: 5, pods: [{ name: "a", node: "n1", connections: 700 }], stillDraining: 3 };
    expect(headroomWanted(demand).because).toBe(
      "900 for arrivals until a new pod is ready + 700 for the loss of node n1 + 3 still draining",
    );
  });
});

describe("spread on the least loaded", () => {
  test.each([
    ["fills the emptiest first", [10, 50, 90], 20, [30, 50, 90]],
    ["then levels", [10, 50, 90], 60, [60, 60, 90]],
    ["all when there is enough", [10, 50, 90], 150, [100, 100, 100]],
    ["changes nothing without anybody", [10, 50], 0, [10, 50]],
    ["has nowhere to go in an empty fleet", [], 10, []],
  ])("%s", (_, loads, extra, after) => {
    expect(spreadOnLeastLoaded(loads, extra)).toEqual(after);
  });

  test("keeps every connection, takes none from a pod, and lifts no pod above another that is lower", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1_000), { minLength: 1, maxLength: 30 }), fc.nat(10_000), (loads, extra) => {
        const after = spreadOnLeastLoaded(loads, extra);
        const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
        expect(sum(after)).toBeCloseTo(sum(loads) + extra, 6);
        const lowest = Math.min(...after);
        for (const [index, load] of after.entries()) {
          const before = loads[index] ?? 0;
          expect(load).toBeGreaterThanOrEqual(before);
          if (load > before) expect(load).toBeCloseTo(lowest, 6);
        }
      }),
      { numRuns: 200 },
    );
  });
});

describe("arrivals", () => {
  const memory = { name: "", pool: "default", reportedAtMs: 0, wasReady: true, gone: false };
  const before = { connections: 100, handshakes: 100, resumed: 0, ...memory };
  const after = (connections: number, handshakes: number, resumed: number) => [pod(0, { connections, report: { handshakes, resumed } })];
  const uid = pod(0).uid;
  test.each([
    ["new clients that stay", after(120, 120, 0), 10, 10],
    ["clients that moved here do not count", after(120, 120, 20), 0, 10],
    ["churn needs no room", after(100, 150, 0), 0, 25],
    ["a pod that loses clients counts against", after(80, 100, 0), -10, 0],
    ["a restarted process counts what it has", after(30, 30, 10), 10, 15],
  ])("%s", (_, pods, netPerSecond, handshakesPerSecond) => {
    expect(sampleArrivals(pods, { [uid]: before }, 2_000)).toEqual({ netPerSecond, handshakesPerSecond });
  });

  test("a pod that does not report says nothing", () => {
    expect(sampleArrivals([pod(0, { report: "none" })], { [uid]: before }, 1_000)).toEqual({ netPerSecond: 0, handshakesPerSecond: 0 });
  });

  test("the average forgets half in a half-life, however it is cut into steps", () => {
    expect(ewma(100, 0, 20_000, 20_000)).toBeCloseTo(50);
    let average = 100;
    for (let step = 0; step < 40; step += 1) average = ewma(average, 0, 500, 20_000);
    expect(average).toBeCloseTo(50);
  });
});

describe("time to ready", () => {
  test.each([
    ["180 s until there are five samples", [1_000, 1_000, 1_000, 1_000], 180_000],
    ["p95 of five is the slowest", [1_000, 2_000, 3_000, 4_000, 9_000], 9_000],
    ["p95 of twenty leaves the slowest out", [...Array.from({ length: 19 }, () => 2_000), 60_000], 2_000],
  ])("is %s", (_, samples, expected) => {
    expect(timeToReadyMs(samples, defaultSettings.timeToReadyMs)).toBe(expected);
  });

  test("learns only from pods whose wait was seen", () => {
    const known = (wasReady: boolean) => ({
      name: "",
      pool: "",
      connections: 0,
      handshakes: 0,
      resumed: 0,
      reportedAtMs: 0,
      wasReady,
      gone: false,
    });
    const memory = {
      atMs: 1_000,
      leadingSinceMs: 0,
      quietUntilMs: 0,
      pools: {},
      pausedRevisions: {},
      pods: { waited: known(false), served: known(true) },
    };
    const pods = [
      pod(0, { uid: "waited", createdAtMs: 500 }),
      pod(1, { uid: "served", createdAtMs: 0 }),
      pod(2, { uid: "quick", createdAtMs: 1_200 }),
      pod(3, { uid: "older than the memory", createdAtMs: 900 }),
      pod(4, { uid: "not yet", ready: false, createdAtMs: 1_100 }),
    ];
    expect(withTimesToReady([], pods, memory, 2_000)).toEqual([1_500, 800]);
    expect(withTimesToReady([], pods, undefined, 2_000)).toEqual([]);
  });
});

describe("feasibility of a drain", () => {
  const drain = { reconnectsPerSecond: 1_000, deadlineMs: 1_500_000, stragglerGraceMs: 30_000 };
  test.each([
    ["500,000 at 1,000/s fit into 25 minutes", 500_000, 1_000, true, 1_060_000],
    ["720,000 fit exactly", 720_000, 1_000, true, 1_500_000],
    ["one more does not", 720_001, 1_000, false, 1_500_002],
    ["500,000 at 500/s do not", 500_000, 500, false, 2_060_000],
    ["nobody needs only to settle", 0, 1, true, 60_000],
  ])("%s", (_, connections, rate, feasible, neededMs) => {
    expect(estimateDrain(connections, rate, drain, defaultSettings)).toMatchObject({ feasible, neededMs });
  });

  test("a deadline shorter than settling and grace fits nobody, and no rate helps", () => {
    expect(estimateDrain(0, 1_000, { ...drain, deadlineMs: 59_999 }, defaultSettings)).toMatchObject({
      feasible: false,
      rateNeeded: undefined,
    });
  });

  test("the rate it names is enough, and one less is not", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1_000_000 }), fc.integer({ min: 60_001, max: 3_000_000 }), (connections, deadlineMs) => {
        const given = { ...drain, deadlineMs };
        const { rateNeeded = 0 } = estimateDrain(connections, 1, given, defaultSettings);
        expect(estimateDrain(connections, rateNeeded, given, defaultSettings).feasible).toBe(true);
        if (rateNeeded > 1) expect(estimateDrain(connections, rateNeeded - 1, given, defaultSettings).feasible).toBe(false);
      }),
      { numRuns: 200 },
    );
  });

  test("DrainBlocked tells the numbers and what to change", () => {
    const told = describeInfeasible("demo-a-0-r1", 500_000, { ...drain, reconnectsPerSecond: 100 }, defaultSettings);
    expect(told.split("; ")).toEqual([
      "demo-a-0-r1 needs 2 × 500000 connections ÷ 100/s + 30 s to settle + 30 s grace = 10060 s to drain, over the deadline of 1500 s",
      "raise drain.reconnectsPerSecond to 695 or raise drain.deadlineSeconds to 10060",
    ]);
  });
});
