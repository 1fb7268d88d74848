import { describe, expect, test } from "vitest";
import { drainingPod, type FleetSketch, fleet, now, type PodSketch, pendingPod, pod } from "../../../test/support/observed-fleet.js";
import { type Action, type FleetStatus, type Plan, plan } from "./index.js";
import { failsReconnects } from "./rollout.js";

/** Planned by a leader that has seen every pod accept connections for `servedMs`, with `target` pods wanted. */
function planned(sketch: FleetSketch, target: number, servedMs = 600_000, handshakesPerSecond = 0): Plan {
  const observed = fleet({ ...sketch, pool: { revision: "r2", minReplicas: 3, ...sketch.pool } });
  const before = plan(observed, now - servedMs).status;
  const pools = {
    default: {
      ...before.memory.pools["default"],
      shrinking: [],
      netArrivalsPerSecond: 0,
      handshakesPerSecond,
      timeToReadyMs: [],
      target,
    },
  };
  const status: FleetStatus = { ...before, memory: { ...before.memory, atMs: now, quietUntilMs: 0, pools } };
  return plan({ ...observed, status }, now);
}

const old = (slot: number, connections: number, sketch: PodSketch = {}) => pod(slot, { connections, ...sketch });
const fresh = (slot: number, connections: number, sketch: PodSketch = {}) => pod(slot, { revision: "r2", connections, ...sketch });
const cordonedOld = (slot: number, connections: number) =>
  old(slot, connections, {
    ready: false,
    report: { state: "cordoned" },
    grant: { purpose: "cordon", reason: "rollout" },
    accepted: { epoch: 1, serial: 0, atMs: 0, renewedAtMs: 0 },
  });
/** Soft is as high as hard allows: no growth comes in between. */
const roomy = { softConnections: 180 };
const told = (actions: readonly Action[]) =>
  actions.filter((action) => action.kind !== "wait" && action.kind !== "writeGrant").map((action) => `${action.kind} ${action.pod}`);
const waitsFor = ({ actions }: Plan) => actions.flatMap((action) => (action.kind === "wait" ? [action.blockedBy] : []));

describe("replacing pods of an older revision", () => {
  test.each<[string, FleetSketch, string[]]>([
    ["first adds a pod of the new one", { pods: [old(0, 50), old(1, 50), old(2, 50)] }, ["createPod demo-default-0-r2"]],
    [
      "as many as maxSurge says",
      { pods: [old(0, 50), old(1, 50), old(2, 50)], spec: { rollout: { maxSurge: 2 } } },
      ["createPod demo-default-0-r2", "createPod demo-default-1-r2"],
    ],
    ["at least one", { pods: [old(0, 50), old(1, 50), old(2, 50)], spec: { rollout: { maxSurge: 0 } } }, ["createPod demo-default-0-r2"]],
    ["waits while it starts", { pods: [old(0, 50), old(1, 50), old(2, 50), pendingPod(0, { revision: "r2" })] }, []],
    [
      "then sends new clients to the new pod only",
      { pods: [old(0, 50), old(1, 50), old(2, 50), fresh(0, 20)] },
      ["cordon demo-default-0-r1", "cordon demo-default-1-r1", "cordon demo-default-2-r1"],
    ],
    [
      "then drains the old pod with the fewest clients",
      { pods: [cordonedOld(0, 50), cordonedOld(1, 40), cordonedOld(2, 50), fresh(0, 20)] },
      ["startDrain demo-default-1-r1"],
    ],
    [
      "then the next new pod takes its place, and the next old one goes while there is room",
      { pods: [cordonedOld(0, 50), cordonedOld(2, 50), fresh(0, 60)] },
      ["startDrain demo-default-2-r1", "createPod demo-default-1-r2"],
    ],
    [
      "deletes old pods that never had a client at once",
      { pods: [pendingPod(0), old(1, 50), old(2, 50), fresh(0, 20), fresh(1, 20), fresh(2, 20)] },
      ["cordon demo-default-1-r1", "cordon demo-default-2-r1", "deletePod demo-default-0-r1"],
    ],
    ["does nothing while paused", { pods: [old(0, 50), old(1, 50), old(2, 50)], spec: { rollout: { paused: true } } }, []],
    [
      "uncordons when paused",
      { pods: [cordonedOld(0, 50), cordonedOld(1, 50), fresh(0, 50)], spec: { rollout: { paused: true } } },
      ["uncordon demo-default-0-r1", "uncordon demo-default-1-r1"],
    ],
    [
      "stops a drain when paused",
      {
        pods: [cordonedOld(0, 50), drainingPod(1, { rate: 10, connections: 50, grant: { reason: "rollout" } }), fresh(0, 50)],
        spec: { rollout: { paused: true } },
      },
      ["uncordon demo-default-0-r1", "abortDrain demo-default-1-r1"],
    ],
    [
      "uncordons when undone",
      { pods: [cordonedOld(0, 50), cordonedOld(1, 50), cordonedOld(2, 50)], pool: { revision: "r1" } },
      ["uncordon demo-default-0-r1", "uncordon demo-default-1-r1", "uncordon demo-default-2-r1"],
    ],
    [
      "stops a drain when undone",
      {
        pods: [old(0, 50), old(1, 50), drainingPod(2, { rate: 10, connections: 50, grant: { reason: "rollout" } })],
        pool: { revision: "r1" },
      },
      ["abortDrain demo-default-2-r1"],
    ],
  ])("%s", (_, sketch, expected) => {
    expect(told(planned(sketch, 3).actions)).toEqual(expected);
  });

  test("a new pod has to soak first", () => {
    const sketch = { pods: [old(0, 50), old(1, 50), old(2, 50), fresh(0, 20)] };
    const soaking = planned(sketch, 3, 59_000);
    expect(told(soaking.actions)).toEqual([]);
    expect(waitsFor(soaking)).toEqual(["demo-default-0-r2 soaks 1 s more"]);
    expect(told(planned(sketch, 3, 60_000).actions)).toHaveLength(3);
  });

  test("waits while clients of a new pod would find no room, and says what is missing", () => {
    const drain = drainingPod(3, { rate: 10, connections: 60, grant: { reason: "rollout" } });
    const full = planned({ pods: [cordonedOld(0, 90), drain, fresh(0, 120), fresh(1, 130)], pool: roomy }, 3);
    expect(told(full.actions)).toEqual([]);
    expect(waitsFor(full)).toContain("new pods have room for 32 connections, demo-default-0-r1 has 90");
  });

  test("old pods take part of the victim's clients where the new ones alone never have room: it must not stand still", () => {
    const stuck = planned({ pods: [old(0, 90), old(1, 90), old(2, 90), fresh(0, 90)], pool: roomy }, 3);
    expect(told(stuck.actions)).toEqual(["startDrain demo-default-2-r1"]);
    expect(stuck.actions.find((action) => action.kind === "startDrain")?.why).toContain("spreads over old and new ones");
  });

  const takes = (handshakesPerSecond: number, arriving: number, more: readonly Parameters<typeof fresh>[]) =>
    planned(
      { pods: [old(0, 50), old(1, 50), old(2, 50), ...more.map((one) => fresh(...one))], spec: { handshakesPerSecond } },
      3,
      600_000,
      arriving,
    );

  test("sends clients to the new pod only when it can take handshakes of arrivals and of the next old pod", () => {
    const cordons = ["cordon demo-default-0-r1", "cordon demo-default-1-r1", "cordon demo-default-2-r1"];
    expect(told(takes(20, 4, [[0, 20]]).actions)).toEqual(cordons);
    expect(told(takes(19, 4, [[0, 20]]).actions)).toEqual(["startDrain demo-default-2-r1"]);
    const starting = takes(19, 4, [
      [0, 20],
      [1, 0, { ready: false }],
    ]);
    expect(told(starting.actions)).toEqual([]);
  });

  test("says so when all that is missing is handshakes", () => {
    const drain = drainingPod(2, { rate: 10, connections: 10, grant: { reason: "rollout" } });
    const slow = planned({ pods: [old(0, 50), old(1, 50), drain, fresh(0, 20)], spec: { handshakesPerSecond: 19 } }, 3, 600_000, 4);
    expect(waitsFor(slow)).toContain("new pods accept 13 handshakes/s, 4 of arrivals and 10 of demo-default-1-r1 need more");
  });

  test("does not take old pods back into use because one of them is being drained", () => {
    const drain = drainingPod(2, { rate: 10, connections: 40, grant: { reason: "rollout" } });
    const pods = [cordonedOld(0, 50), cordonedOld(1, 50), drain, fresh(0, 20)];
    expect(told(planned({ pods, spec: { handshakesPerSecond: 19 } }, 3, 600_000, 12).actions)).not.toContain("uncordon demo-default-0-r1");
  });

  test("uncordons old pods when the new ones run out of slots", () => {
    const arriving = planned(
      { pods: [cordonedOld(0, 90), cordonedOld(1, 90), fresh(0, 175), pendingPod(1, { revision: "r2" })], pool: roomy },
      3,
    );
    expect(told(arriving.actions)).toEqual(["uncordon demo-default-0-r1", "uncordon demo-default-1-r1"]);
  });

  test("a pod whose node goes is replaced the same way, without a soak", () => {
    const leaving = "node n1 is unschedulable";
    const first = planned(
      { pods: [pod(0, { connections: 50, leaving }), pod(1, { connections: 10 }), pod(2, { connections: 10 })], pool: { revision: "r1" } },
      3,
      1_000,
    );
    expect(told(first.actions)).toEqual(["cordon demo-default-0-r1", "createPod demo-default-3-r1"]);
    expect(first.actions.find((action) => action.kind === "createPod")?.why).toContain(leaving);
  });
});

describe("a paused rollout", () => {
  const surged = [old(0, 50), old(1, 50), old(2, 40), fresh(0, 60)];
  const paused = (mode: "Builtin" | "External" | "None") => ({ rollout: { paused: true }, autoscaling: { mode } });

  test.each(["Builtin", "External", "None"] as const)("stays where it is with its surge, with autoscaling %s", (mode) => {
    const stopped = planned({ pods: surged, pool: { replicas: 3 }, spec: paused(mode) }, 3);
    expect(told(stopped.actions)).toEqual([]);
    expect(stopped.status.pools[0]?.target).toBe(3);
  });

  test("loses what is more than its surge", () => {
    const more = planned({ pods: [...surged, fresh(1, 30)], pool: { replicas: 3 }, spec: paused("External") }, 3);
    expect(told(more.actions)).toEqual(["startDrain demo-default-1-r2"]);
  });
});

describe("a rollout that fails reconnects", () => {
  test.each([
    ["no signal", undefined, false],
    ["too few attempts", { attempted: 99, failed: 99 }, false],
    ["at the limit", { attempted: 200, failed: 2 }, false],
    ["above it", { attempted: 200, failed: 3 }, true],
  ])("%s", (_, failures, expected) => {
    expect(failsReconnects(failures, 1)).toBe(expected);
  });

  test("stops itself, uncordons, and stays so until the spec changes or somebody pauses it", () => {
    const observed = fleet({ pool: { revision: "r2" }, pods: [cordonedOld(0, 10), fresh(0, 10)] });
    const stopped = plan({ ...observed, reconnectFailures: { attempted: 500, failed: 50 } }, now);
    expect(stopped.status.conditions.find((one) => one.type === "RolloutPaused")).toMatchObject({
      status: "True",
      reason: "ReconnectFailures",
    });
    expect(told(stopped.actions)).toContain("uncordon demo-default-0-r1");
    const later = plan({ ...observed, status: stopped.status }, now + 60_000);
    expect(later.status.memory.pausedRevisions).toEqual({ default: "r2" });
    const paused = { ...observed, spec: { ...observed.spec, rollout: { ...observed.spec.rollout, paused: true } } };
    expect(plan({ ...paused, status: later.status }, now + 61_000).status.memory.pausedRevisions).toEqual({});
    const next = fleet({ pool: { revision: "r3" }, pods: observed.pods });
    expect(plan({ ...next, status: later.status }, now + 61_000).status.memory.pausedRevisions).toEqual({});
  });
});
