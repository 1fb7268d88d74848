import { describe, expect, test } from "vitest";
import { drainingPod, fleet, now, pendingPod, pod } from "../../../test/support/observed-fleet.js";
import { type Action, describeNext, type FleetStatus, fleetSpec, type Observed, plan, revisionOf } from "./index.js";

const told = (actions: readonly Action[]) =>
  actions.filter((action) => action.kind !== "wait" && action.kind !== "writeGrant").map((action) => `${action.kind} ${action.pod}`);
const condition = (status: FleetStatus, type: string) => status.conditions.find((one) => one.type === type);

/** A later plan of the same leader. */
function later(observed: Observed, status: FleetStatus, afterMs: number, change: Partial<Observed> = {}) {
  return plan({ ...observed, ...change, status }, now + afterMs);
}

describe("pods that should be there", () => {
  test("an empty fleet gets its minimum, with deterministic names and this operator's mark", () => {
    const { actions } = plan(fleet({ pool: { minReplicas: 2 }, epoch: 7 }), now);
    expect(actions).toMatchObject([
      { kind: "createPod", pod: "demo-default-0-r1", slot: 0, revision: "r1", grant: { purpose: "serve", epoch: 7, serial: 0 } },
      { kind: "createPod", pod: "demo-default-1-r1", slot: 1 },
    ]);
  });

  test("planning twice from the same observation plans the same", () => {
    const observed = fleet({ pool: { minReplicas: 2 }, pods: [pod(1, { connections: 5 })] });
    expect(plan(observed, now)).toEqual(plan(observed, now));
  });

  test("the operator that crashed after one of two creates makes only the other", () => {
    const first = plan(fleet({ pool: { minReplicas: 2 } }), now);
    const second = plan(fleet({ pool: { minReplicas: 2 }, pods: [pendingPod(0)], status: first.status }), now + 1_000);
    expect(told(second.actions)).toEqual(["createPod demo-default-1-r1"]);
  });

  test("pods that end before they are ready are tried again ever more slowly, until one gets ready", () => {
    const observed = fleet();
    const broken = (slot: number) => ({ pods: [pendingPod(slot, { uid: `broken-${slot}`, phase: "gone" })] });
    const first = later(observed, plan(observed, now).status, 1_000, broken(0));
    expect(told(first.actions)).toEqual(["deletePod demo-default-0-r1"]);
    expect(first.status.plan.at(-1)?.blockedBy).toBe("pods ended before they were ready 1 times in a row; the next try is in 1 s");
    const second = later(observed, first.status, 2_000);
    expect(told(second.actions)).toEqual(["createPod demo-default-0-r1"]);
    const third = later(observed, second.status, 3_000, broken(1));
    expect(told(later(observed, third.status, 4_900).actions)).toEqual([]);
    expect(told(later(observed, third.status, 5_000).actions)).toEqual(["createPod demo-default-0-r1"]);
    const well = later(observed, third.status, 6_000, { pods: [pod(0, { createdAtMs: now + 5_000 })] });
    expect(well.status.memory.pools["default"]?.startFailures).toBeUndefined();
  });

  test("a new pod is starting until it is ready, also when clients are let in already, and its time to ready is learned", () => {
    const observed = fleet({ pool: { minReplicas: 2 }, pods: [pod(0, { connections: 60 })] });
    const starts = pendingPod(1, { createdAtMs: now + 500 });
    const letIn = pod(1, { createdAtMs: now + 500, ready: false, hasAccepted: true });
    const first = later(observed, plan(observed, now).status, 1_000, { pods: [...observed.pods, starts] });
    const second = later(observed, first.status, 2_000, { pods: [...observed.pods, letIn] });
    expect([told(second.actions), second.status.pools[0]?.target]).toEqual([[], 2]);
    const third = later(observed, second.status, 3_500, { pods: [...observed.pods, { ...letIn, ready: true }] });
    expect(third.status.memory.pools["default"]?.timeToReadyMs).toEqual([3_000]);
  });

  test("a pod that ended is cleared away and replaced at once in a free slot", () => {
    const observed = fleet({ pool: { minReplicas: 2 }, pods: [pod(0), pod(1)] });
    const first = plan(observed, now);
    const dead = pod(1, { phase: "gone", ready: false, report: "none" });
    expect(told(later(observed, first.status, 1_000, { pods: [pod(0), dead] }).actions)).toEqual([
      "deletePod demo-default-1-r1",
      "createPod demo-default-2-r1",
    ]);
    expect(told(later(observed, first.status, 1_000, { pods: [pod(0)] }).actions)).toEqual(["createPod demo-default-1-r1"]);
  });

  test.each([
    ["its process has ended", undefined],
    ["its process has ended: Evicted (low on memory)", "Evicted (low on memory)"],
  ])("it is cleared away because %s", (why, ended) => {
    const { actions } = plan(fleet({ pods: [pod(0), pod(1, { phase: "gone", ended, ready: false, report: "none" })] }), now);
    expect(actions).toContainEqual(expect.objectContaining({ kind: "deletePod", pod: "demo-default-1-r1", why }));
  });

  test("it is replaced also when too few report to scale", () => {
    const pods = [pod(0), pod(1, { report: "none" }), pod(2)];
    const observed = fleet({ pool: { minReplicas: 1 }, pods });
    const first = plan(observed, now);
    const second = later(observed, first.status, 1_000, { pods: pods.slice(0, 2) });
    expect(told(second.actions)).toEqual(["createPod demo-default-2-r1"]);
    expect(condition(second.status, "ScalingActive")).toMatchObject({ status: "False", reason: "TooFewReports" });
  });

  test("a draining pod is restored before one is created", () => {
    const observed = fleet({
      pods: [pod(0, { connections: 90 }), pod(1, { connections: 90 }), drainingPod(2, { rate: 10, connections: 5 })],
    });
    expect(told(plan(observed, now).actions)).toEqual(["abortDrain demo-default-2-r1"]);
  });

  test("a raised minimum creates, a lowered maximum drains one after the other, the least loaded first", () => {
    const pods = [pod(0, { connections: 10 }), pod(1, { connections: 30 }), pod(2, { connections: 20 })];
    const raised = fleet({ pods, pool: { minReplicas: 4 } });
    expect(told(plan(raised, now).actions)).toEqual(["createPod demo-default-3-r1"]);
    const lowered = fleet({ pods, pool: { maxReplicas: 1 } });
    const first = plan(lowered, now);
    expect(told(later(lowered, first.status, 2_000).actions)).toEqual(["startDrain demo-default-0-r1"]);
  });

  test("External and None: as many as replicas says, at once, within the bounds", () => {
    const pods = [pod(0, { connections: 10 }), pod(1, { connections: 30 })];
    const external = (replicas: number) => fleet({ pods, pool: { replicas, maxReplicas: 4 }, spec: { autoscaling: { mode: "External" } } });
    expect(told(plan(external(3), now).actions)).toEqual(["createPod demo-default-2-r1"]);
    expect(told(plan(external(9), now).actions)).toHaveLength(2);
    const fewer = external(1);
    expect(told(later(fewer, plan(fewer, now).status, 2_000).actions)).toEqual(["startDrain demo-default-0-r1"]);
  });

  test.each(["Builtin", "External"] as const)("none is given up while too few report, though %s wants fewer", (mode) => {
    const pods = [pod(0, { connections: 10 }), pod(1, { connections: 30 }), pod(2, { report: "none" })];
    const fewer = fleet({ pods, pool: { maxReplicas: 2, replicas: 1 }, spec: { autoscaling: { mode } } });
    expect(told(later(fewer, plan(fewer, now).status, 2_000).actions)).toEqual([]);
  });

  test.each(["Builtin", "External", "None"] as const)("there is always at least one, with autoscaling %s", (mode) => {
    const none = fleet({ pool: { minReplicas: 0, maxReplicas: 0, replicas: 0 }, spec: { autoscaling: { mode } } });
    expect(told(plan(none, now).actions)).toEqual(["createPod demo-default-0-r1"]);
  });

  test("at most 20 are created by one plan, the next goes on", () => {
    expect(plan(fleet({ pool: { minReplicas: 50, maxReplicas: 60 } }), now).actions).toHaveLength(20);
  });

  test("a surplus pod that never had a client is deleted without a drain", () => {
    const observed = fleet({ pods: [pod(0, { connections: 10 }), pendingPod(1)], pool: { maxReplicas: 1 } });
    expect(told(plan(observed, now).actions)).toEqual(["deletePod demo-default-1-r1"]);
  });

  test("a pool taken out of the spec is drained into the others, and nothing is created for it", () => {
    const gone = { pool: "gone", name: "demo-gone-0-r1", uid: "uid-gone" };
    const observed = fleet({ pods: [pod(0, { connections: 10 }), pod(0, { ...gone, connections: 20 })] });
    const start = plan(observed, now);
    expect([told(start.actions), start.status.plan.at(-1)?.blockedBy]).toEqual([[], "demo-default-0-r1 soaks 60 s more"]);
    const first = later(observed, start.status, 60_000);
    expect(told(first.actions)).toEqual(["cordon demo-gone-0-r1"]);
    const cordoned = pod(0, {
      ...gone,
      connections: 20,
      ready: false,
      report: { state: "cordoned" },
      grant: { purpose: "cordon", reason: "poolRemoved", serial: 1 },
    });
    expect(told(later(observed, first.status, 62_000, { pods: [pod(0, { connections: 10 }), cordoned] }).actions)).toEqual([
      "startDrain demo-gone-0-r1",
    ]);
  });
});

describe("clients of a pool that was taken out of the spec", () => {
  const gone = pod(0, { pool: "gone", name: "demo-gone-0-r1", uid: "uid-gone", connections: 90 });
  const stays = pod(0, { connections: 49 });

  test("make the others grow until they have room for them", () => {
    const observed = fleet({ pool: { hardConnections: 110 }, pods: [stays, gone] });
    const first = plan(observed, now);
    expect(told(first.actions)).toEqual(["createPod demo-default-1-r1"]);
    expect(first.status.pools[0]?.scaling).toContain("90 of pools that are not in the spec");
    const grown = { pods: [...observed.pods, pod(1, { createdAtMs: now + 500 })] };
    const second = later(observed, first.status, 1_000, grown);
    expect(told(second.actions)).toEqual([]); // it soaks
    expect(told(later(observed, second.status, 61_000, grown).actions)).toEqual(["cordon demo-gone-0-r1"]);
  });

  test("are shared among them", () => {
    const pools = ["default", "second"].map((name) => ({ name, revision: "r1", softConnections: 100, hardConnections: 200 }));
    const second = pod(0, { pool: "second", name: "demo-second-0-r1", uid: "uid-second" });
    const { status } = plan(fleet({ spec: { pools }, pods: [pod(0), second, gone] }), now);
    expect(status.pools.map(({ headroomWanted }) => headroomWanted)).toEqual([45, 45]);
  });
});

describe("shrinking, from window to deletion", () => {
  test("names its victim, drains it, deletes it, and does not count it any more", () => {
    const pods = [pod(0, { connections: 20 }), pod(1, { connections: 20 }), pod(2, { connections: 5 })];
    const observed = fleet({ pods, spec: { autoscaling: { stabilizationMs: 5_000 } } });
    const first = plan(observed, now);
    expect(describeNext(first.status)).toContain("one pod fewer if that holds for 5 s more");
    const second = later(observed, first.status, 5_000);
    expect(told(second.actions)).toEqual(["startDrain demo-default-2-r1"]);
    expect(describeNext(second.status)).toBe("drain demo-default-2-r1: 2 pods have had room for all connections and the reserve for 5 s");
    const draining = { pods: [...pods.slice(0, 2), drainingPod(2, { rate: 10, connections: 5 })] };
    const third = later(observed, second.status, 6_000, draining);
    expect(told(third.actions)).toEqual([]);
    expect(describeNext(third.status)).toContain("5 connections left at 10/s");
    expect(third.status.pods.map((one) => [one.state, one.counted])).toEqual([
      ["Serving", true],
      ["Serving", true],
      ["Draining", false],
    ]);
    const empty = { pods: [...pods.slice(0, 2), drainingPod(2, { rate: 10, report: { state: "drained", remaining: 0 } })] };
    const fourth = later(observed, third.status, 7_000, empty);
    expect(told(fourth.actions)).toEqual([]);
    expect(told(later(observed, fourth.status, 8_100, empty).actions)).toEqual(["deletePod demo-default-2-r1"]);
  });

  test("an operator that died after the grant and before its status does not think a pod is missing", () => {
    const pods = [pod(0, { connections: 20 }), pod(1, { connections: 20 }), drainingPod(2, { rate: 10, connections: 5 })];
    const before = plan(fleet({ pods: [pods[0], pods[1], pod(2, { connections: 5 })].flatMap((one) => one ?? []) }), now - 10_000).status;
    expect(told(plan(fleet({ pods, status: before }), now).actions)).toEqual([]);
  });
});

describe("what it shows", () => {
  test("dry run plans and does nothing, time after time", () => {
    const observed = fleet({ pool: { minReplicas: 2 }, pods: [pod(0)], spec: { dryRun: true } });
    const first = plan(observed, now);
    expect(first.actions).toEqual([]);
    expect(describeNext(first.status)).toBe("create demo-default-1-r1: pool default has 1 of 2 pods");
    const grown = fleet({ pods: [pod(0, { connections: 90 }), pod(1, { connections: 90 })], spec: { dryRun: true } });
    const status = plan(grown, now).status;
    expect(status.plan[0]).toMatchObject({ action: "createPod" });
    expect(plan({ ...fleet({ pods: [pod(0), pod(1)] }), status }, now + 1_000).actions).toEqual([]);
  });

  test("dry run or not, a deleted fleet is closed: nobody could take its deletion back", () => {
    const pods = [pod(0, { connections: 5 })];
    const { actions } = plan(fleet({ pods, deleting: true, spec: { dryRun: true } }), now);
    expect(actions).toEqual(plan(fleet({ pods, deleting: true }), now).actions);
    expect(told(actions)).toEqual(["startDrain demo-default-0-r1"]);
  });

  test("every plan has all six conditions, which keep their time until they change", () => {
    const observed = fleet({ pods: [pod(0)] });
    const first = plan(observed, now).status;
    expect(first.conditions.map((one) => `${one.type} ${one.status} ${one.reason}`)).toEqual([
      "Available True Accepting",
      "Progressing False Settled",
      "Degraded False Healthy",
      "ScalingActive True Measuring",
      "DrainBlocked False NotBlocked",
      "RolloutPaused False NotPaused",
    ]);
    const next = later(observed, first, 5_000, { pods: [pod(0, { report: "none" })] }).status;
    expect(condition(next, "Available")).toMatchObject({ status: "False", reason: "NoGateway", lastTransitionMs: now + 5_000 });
    expect(condition(next, "Degraded")).toMatchObject({ status: "True", message: "demo-default-0-r1 serves but does not report" });
    expect(condition(next, "RolloutPaused")).toMatchObject({ lastTransitionMs: now });
  });

  test.each([
    [
      "a pod that does not get ready",
      { pods: [pod(0), pendingPod(1, { createdAtMs: now - 3_600_000 })] },
      "Degraded",
      "has not become ready",
    ],
    ["a full pod", { pods: [pod(0, { connections: 190 }), pod(1)] }, "Degraded", "demo-default-0-r1 is full"],
    ["the maximum", { pods: [pod(0, { connections: 90 })], pool: { maxReplicas: 1 } }, "ScalingActive", "maxReplicas 1 forbids"],
    [
      "an effective maximum that binds before soft",
      { pods: [pod(0, { connections: 50, report: { effectiveMaxConnections: 60 } }), pod(1)] },
      "ScalingActive",
      "room for 104 more",
    ],
  ])("tells of %s", (_, sketch, type, words) => {
    expect(condition(plan(fleet(sketch), now).status, type)?.message).toContain(words);
  });

  test("sums connections, capacity, states and budget", () => {
    const { status } = plan(
      fleet({ pods: [pod(0, { connections: 30 }), pendingPod(1), drainingPod(2, { rate: 7, connections: 5 })] }),
      now,
    );
    expect(status).toMatchObject({
      phase: "Running",
      connections: 35,
      capacity: 100,
      podsByState: { Serving: 1, Pending: 1, Draining: 1 },
      budget: { reconnectsPerSecond: 10, inUse: 7, holders: [{ pod: "demo-default-2-r1", reconnectsPerSecond: 7 }] },
    });
  });

  test("survives JSON, and its loss", () => {
    const observed = fleet({ pods: [pod(0, { connections: 30 }), drainingPod(1, { rate: 10, connections: 5 })] });
    const { status } = plan(observed, now);
    expect(JSON.parse(JSON.stringify(status))).toEqual(status);
    expect(told(plan({ ...observed, status: undefined }, now + 1_000).actions)).toEqual([]);
  });
});

describe("a deleted fleet", () => {
  test("closes all pods at once, each at its share, and creates nothing", () => {
    const observed = fleet({ pods: [pod(0, { connections: 300 }), pod(1, { connections: 100 }), pendingPod(2)], pool: { minReplicas: 5 } });
    const first = plan(observed, now);
    const closing = later(observed, first.status, 2_000, { deleting: true });
    expect(told(closing.actions)).toEqual(["startDrain demo-default-0-r1", "startDrain demo-default-1-r1", "deletePod demo-default-2-r1"]);
    const grants = closing.actions.flatMap((action) => (action.kind === "writeGrant" ? [action.grant] : []));
    expect(grants.map((grant) => [grant.reason, grant.reconnectsPerSecond])).toEqual([
      ["fleetDeleted", 7],
      ["fleetDeleted", 3],
    ]);
    expect(closing.status.phase).toBe("Closing");
  });

  test("when deadline and grace are over its pods go as they are, and then it is closed", () => {
    const stuck = drainingPod(0, {
      rate: 10,
      connections: 9,
      grant: { reason: "fleetDeleted", deadlineMs: now - 30_000, stragglerGraceMs: 30_000 },
    });
    const over = plan(fleet({ deleting: true, pods: [stuck] }), now);
    expect(over.actions).toMatchObject([{ kind: "deletePod", reason: "deadlinePassed" }]);
    expect(plan(fleet({ deleting: true, status: over.status }), now + 1_000).status.phase).toBe("Closed");
  });
});

test("a manifest's gaps are filled with DESIGN's defaults, undefined ones too", () => {
  const spec = fleetSpec({
    name: "demo",
    pools: [{ name: "default", revision: "r1", minReplicas: undefined }],
    drain: { deadlineMs: undefined, reconnectsPerSecond: 5 },
  });
  expect(spec).toMatchObject({
    pools: [{ minReplicas: 3, maxReplicas: 10, softConnections: 500_000, hardConnections: 650_000 }],
    drain: { reconnectsPerSecond: 5, deadlineMs: 1_500_000, stragglerGraceMs: 30_000 },
    autoscaling: { mode: "Builtin", stabilizationMs: 300_000 },
  });
});

test("a revision follows the template, not the order of its keys", () => {
  expect(revisionOf({ a: 1, b: [1, { c: "x", d: undefined }] })).toBe(revisionOf({ b: [1, { c: "x" }], a: 1 }));
  expect(revisionOf({ a: 1 })).not.toBe(revisionOf({ a: 2 }));
  expect(revisionOf(undefined)).toMatch(/^[0-9a-f]{8}$/);
});
