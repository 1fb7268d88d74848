import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { drainingPod, fleet, grantOf, now, pod } from "../../../test/support/observed-fleet.js";
import { acceptGrant } from "./accept-grant.js";
import { inUsePerSecond } from "./budget.js";
import { formatGrant, parseGrant } from "./grant-annotation.js";
import { type Action, type FleetStatus, type Observed, type PlannerMemory, plan } from "./index.js";

const settings = { releaseMs: 1_100 };
const memory = { name: "", pool: "", connections: 0, handshakes: 0, resumed: 0, reportedAtMs: 0, wasReady: true, gone: false };
const accepted = (serial: number, agoMs: number, epoch = 1) => ({ epoch, serial, atMs: now - agoMs, renewedAtMs: now });
const drained = { report: { state: "drained" as const, remaining: 0 }, rate: 7 };

describe("a pod's part of the budget", () => {
  test.each([
    ["nothing for one that serves", pod(0), undefined, 0],
    ["its rate from the moment it is written, told or not", drainingPod(0, { rate: 7, report: { state: "serving" } }), undefined, 7],
    ["its rate while it does not report", drainingPod(0, { rate: 7, report: "none" }), undefined, 7],
    ["its rate when it says drained but clients are left", drainingPod(0, { ...drained, connections: 1 }), now - 5_000, 7],
    ["its rate for a second after it was seen drained", drainingPod(0, drained), now - 1_099, 7],
    ["nothing after that", drainingPod(0, drained), now - 1_100, 0],
    ["the higher rate it had, until it has accepted the lower", pod(0, { grant: { heldPerSecond: 7, serial: 4 } }), undefined, 7],
    ["and for a second after", pod(0, { grant: { heldPerSecond: 7, serial: 4 }, accepted: accepted(4, 1_099) }), undefined, 7],
    [
      "then the lower one",
      pod(0, { grant: { purpose: "drain", reconnectsPerSecond: 3, heldPerSecond: 7, serial: 4 }, accepted: accepted(4, 1_100) }),
      undefined,
      3,
    ],
    [
      "the higher one if what it accepted was an earlier grant",
      pod(0, { grant: { heldPerSecond: 7, serial: 4 }, accepted: accepted(3, 9_000) }),
      undefined,
      7,
    ],
    [
      "or one of another operator",
      pod(0, { grant: { heldPerSecond: 7, serial: 4, epoch: 2 }, accepted: accepted(4, 9_000) }),
      undefined,
      7,
    ],
    ["all of it for a drain whose annotation somebody removed", { ...drainingPod(0, { rate: 7 }), grant: undefined }, undefined, 10],
    ["nothing once it is gone: a quiet time follows instead", drainingPod(0, { rate: 7, phase: "gone" }), undefined, 0],
  ])("is %s", (_, given, drainedSinceMs, expected) => {
    expect(inUsePerSecond(given, { ...memory, drainedSinceMs }, 10, settings, now)).toBe(expected);
  });
});

describe("the grant annotation", () => {
  test.each([
    undefined,
    "",
    "7",
    "null",
    "[]",
    "{",
    '{"purpose":"serve"}',
    '{"__proto__":{"purpose":"serve"}}',
    formatGrant(grantOf({ reconnectsPerSecond: -1 })),
    formatGrant(grantOf({ epoch: Number.NaN })),
  ])("%s is none", (text) => {
    expect(parseGrant(text)).toBeUndefined();
  });

  test("is read as it was written", () => {
    const grant = fc.record({
      purpose: fc.constantFrom("serve" as const, "cordon" as const, "drain" as const),
      reason: fc.constantFrom("none" as const, "scaleDown" as const, "fleetDeleted" as const),
      ...{ reconnectsPerSecond: fc.nat(), heldPerSecond: fc.nat(), deadlineMs: fc.nat(), stragglerGraceMs: fc.nat() },
      ...{ epoch: fc.nat(), serial: fc.nat(), sinceMs: fc.nat(), extensions: fc.nat() },
    });
    fc.assert(
      fc.property(grant, (given) => {
        expect(parseGrant(formatGrant(given))).toEqual(given);
      }),
      { numRuns: 100 },
    );
  });

  test("any text is a grant or none, never a throw", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => void parseGrant(text)),
      { numRuns: 200 },
    );
  });
});

test("accepting the same grant again is a renewal", () => {
  const first = acceptGrant(undefined, grantOf({ serial: 3 }), 1_000);
  expect(acceptGrant(first, grantOf({ serial: 3 }), 9_000)).toEqual({ epoch: 1, serial: 3, atMs: 1_000, renewedAtMs: 9_000 });
  expect(acceptGrant(first, grantOf({ serial: 4 }), 9_000)).toEqual({ epoch: 1, serial: 4, atMs: 9_000, renewedAtMs: 9_000 });
});

/** The plan of a leader that has led for long and has nothing to wait for. */
function settled(observed: Observed, more: Partial<PlannerMemory> = {}): Observed {
  const before = plan({ ...observed, status: undefined }, now - 100_000).status;
  const status: FleetStatus = { ...before, epoch: observed.epoch, memory: { ...before.memory, quietUntilMs: 0, ...more } };
  return { ...observed, status };
}

const kinds = (actions: readonly Action[], name?: string) =>
  actions.filter((action) => name === undefined || action.pod === name).map((action) => action.kind);
const leaving = "its node is unschedulable";
const roomy = [pod(0, { connections: 10 }), pod(1, { connections: 10 }), pod(2, { connections: 10 }), pod(3, { connections: 10 })];
const cordoned = (slot: number, connections: number) =>
  pod(slot, {
    ready: false,
    leaving,
    connections,
    report: { state: "cordoned" },
    grant: { purpose: "cordon", reason: "leaving", serial: 1 },
    accepted: accepted(1, 9_000),
  });

describe("giving grants", () => {
  test("the grant is written before the gateway is told, with all of the free budget and the deadline", () => {
    const { actions } = plan(settled(fleet({ pods: [...roomy, cordoned(4, 20)] })), now);
    const victim = actions.filter((action) => action.pod === "demo-default-4-r1");
    expect(kinds(victim)).toEqual(["writeGrant", "startDrain"]);
    expect(victim[0]).toMatchObject({
      uid: "uid-demo-default-4-r1",
      version: "1",
      grant: {
        purpose: "drain",
        reconnectsPerSecond: 10,
        heldPerSecond: 0,
        deadlineMs: now + 1_500_000,
        epoch: 1,
        serial: 2,
        reason: "leaving",
      },
    });
  });

  test("one at a time: the second waits for the first one's budget", () => {
    const pods = [...roomy, drainingPod(4, { rate: 10, connections: 20, leaving, grant: { reason: "leaving" } }), cordoned(5, 20)];
    const { actions } = plan(settled(fleet({ pods })), now);
    expect(kinds(actions, "demo-default-5-r1")).toEqual(["wait"]);
    expect(actions.find((action) => action.pod === "demo-default-5-r1")).toMatchObject({ blockedBy: "10 of 10 reconnects/s are in use" });
  });

  test("a drain that could not be over by its deadline does not start, and DrainBlocked has the numbers", () => {
    const spec = { drain: { reconnectsPerSecond: 10, deadlineMs: 63_000 } };
    const { actions, status } = plan(settled(fleet({ spec, pods: [...roomy, cordoned(4, 20)] })), now);
    expect(kinds(actions, "demo-default-4-r1")).toEqual([]);
    expect(status.conditions.find((one) => one.type === "DrainBlocked")).toMatchObject({
      status: "True",
      message: expect.stringContaining("2 × 20 connections ÷ 10/s"),
    });
  });

  test("left-over budget raises the drain that runs, also when the spec raises it", () => {
    const pods = [...roomy, drainingPod(4, { rate: 10, connections: 90 })];
    const { actions } = plan(settled(fleet({ spec: { drain: { reconnectsPerSecond: 30 } }, pods })), now);
    expect(actions.find((action) => action.kind === "writeGrant")).toMatchObject({
      grant: { reconnectsPerSecond: 30, heldPerSecond: 0, serial: 2 },
    });
  });

  test("and not another one: one old pod at a time", () => {
    const running = drainingPod(4, { rate: 10, connections: 90, leaving, grant: { reason: "leaving" } });
    const pods = [...roomy, pod(6, { connections: 10 }), running, cordoned(5, 20)];
    const { actions } = plan(settled(fleet({ spec: { drain: { reconnectsPerSecond: 30 } }, pods })), now);
    expect(kinds(actions, "demo-default-5-r1")).toEqual(["wait"]);
    expect(actions.find((action) => action.kind === "writeGrant")).toMatchObject({ pod: running.name, grant: { reconnectsPerSecond: 30 } });
  });

  test("of two that run and could not both end with a lowered budget, one waits, and nothing is called too large that is not", () => {
    const pods = [...roomy, drainingPod(4, { rate: 5, connections: 9 }), drainingPod(5, { rate: 5, connections: 9 })];
    const spec = { drain: { reconnectsPerSecond: 2, deadlineMs: 70_000 } };
    const { actions, status } = plan(settled(fleet({ spec, pods })), now);
    expect(status.conditions.find((one) => one.type === "DrainBlocked")?.status).toBe("False");
    expect(kinds(actions, "demo-default-4-r1")).toContain("wait");
  });

  test("a lowered budget lowers the drain that runs; what it had counts until it has accepted that", () => {
    const pods = [...roomy, drainingPod(4, { rate: 10, connections: 90 })];
    const { actions } = plan(settled(fleet({ spec: { drain: { reconnectsPerSecond: 4 } }, pods })), now);
    expect(actions.find((action) => action.kind === "writeGrant")).toMatchObject({
      grant: { purpose: "drain", reconnectsPerSecond: 4, heldPerSecond: 10 },
    });
  });

  test("a grant is renewed every 10 s without being written again", () => {
    const fresh = drainingPod(4, { rate: 10, connections: 9 });
    const due = { ...fresh, accepted: { epoch: 1, serial: 1, atMs: now - 20_000, renewedAtMs: now - 10_000 } };
    expect(kinds(plan(settled(fleet({ pods: [...roomy, fresh] })), now).actions, fresh.name)).toEqual(["wait"]);
    expect(kinds(plan(settled(fleet({ pods: [...roomy, due] })), now).actions, fresh.name)).toEqual(["renewDrain", "wait"]);
  });

  test("a gateway that forgot its drain is told again, one that has not accepted it too", () => {
    const forgot = drainingPod(4, { rate: 10, connections: 9, report: { state: "serving" } });
    const unknown = { ...drainingPod(4, { rate: 10, connections: 9 }), accepted: undefined };
    expect(kinds(plan(settled(fleet({ pods: [...roomy, forgot] })), now).actions, forgot.name)).toContain("startDrain");
    expect(kinds(plan(settled(fleet({ pods: [...roomy, unknown] })), now).actions, forgot.name)).toContain("renewDrain");
  });

  test("a gateway that is silent for a minute is told nothing and gives its budget back", () => {
    const silent = drainingPod(4, { rate: 10, connections: 9, report: "none" });
    const lately = settled(fleet({ pods: [...roomy, silent] }), { leadingSinceMs: now - 30_000 });
    expect(kinds(plan(lately, now).actions, silent.name)).toEqual(["wait"]);
    const long = settled(fleet({ pods: [...roomy, silent] }));
    const { actions } = plan(long, now);
    expect(kinds(actions, silent.name)).toEqual(["writeGrant", "wait"]);
    expect(actions.find((action) => action.kind === "writeGrant")).toMatchObject({
      grant: { purpose: "drain", reconnectsPerSecond: 0, heldPerSecond: 0 },
    });
  });

  test("a drain is undone when its reason is: abort, and its rate is held", () => {
    const back = drainingPod(4, { rate: 10, connections: 9, grant: { reason: "leaving" } });
    const { actions } = plan(settled(fleet({ pods: [...roomy, back] })), now);
    expect(kinds(actions, back.name)).toEqual(["writeGrant", "abortDrain"]);
    expect(actions.find((action) => action.kind === "writeGrant")).toMatchObject({
      grant: { purpose: "serve", reconnectsPerSecond: 0, heldPerSecond: 10 },
    });
  });

  test("a drain whose time runs out gets more of it twice, then goes with what is left", () => {
    const late = (extensions: number, deadlineMs: number) =>
      drainingPod(4, { rate: 10, connections: 90, grant: { deadlineMs, extensions } });
    const more = plan(settled(fleet({ pods: [...roomy, late(1, now + 5_000)] })), now);
    expect(more.actions.find((action) => action.kind === "writeGrant")).toMatchObject({
      grant: { deadlineMs: now + 1_500_000, extensions: 2 },
    });
    expect(kinds(plan(settled(fleet({ pods: [...roomy, late(2, now + 5_000)] })), now).actions, "demo-default-4-r1")).toEqual(["wait"]);
    const over = plan(settled(fleet({ pods: [...roomy, late(2, now - 30_000)] })), now);
    expect(over.actions).toContainEqual(
      expect.objectContaining({ kind: "deletePod", reason: "deadlinePassed", uid: "uid-demo-default-4-r1" }),
    );
  });
});

describe("taking over", () => {
  const pods = [...roomy, cordoned(4, 20)];

  test("a new leader marks every pod before it grants anything", () => {
    const { actions } = plan({ ...settled(fleet({ pods })), epoch: 2 }, now);
    const marks = actions.filter((action) => action.kind === "writeGrant");
    expect(marks.map((action) => action.pod)).toEqual(pods.map((one) => one.name));
    expect(marks.every((action) => action.kind === "writeGrant" && action.grant.epoch === 2 && action.grant.purpose !== "drain")).toBe(
      true,
    );
    expect(kinds(actions)).not.toContain("startDrain");
  });

  test("nor with one pod left unmarked, terminating ones included", () => {
    const marked = pods.map((one) => ({ ...one, grant: grantOf({ ...one.grant, epoch: 2 }) }));
    const leads = settled(fleet({ pods: marked, epoch: 2 }));
    expect(kinds(plan(leads, now).actions)).toContain("startDrain");
    const late = { ...pod(9, { terminating: true }), connections: 0 };
    expect(kinds(plan({ ...leads, pods: [...marked, late] }, now).actions)).not.toContain("startDrain");
  });

  test("nor within a second of its start: a pod may have ended with a grant that is written nowhere", () => {
    const observed = fleet({ pods });
    const first = plan(observed, now);
    expect(kinds(first.actions)).not.toContain("startDrain");
    expect(kinds(plan({ ...observed, status: first.status }, now + 1_099).actions)).not.toContain("startDrain");
    expect(kinds(plan({ ...observed, status: first.status }, now + 1_100).actions)).toContain("startDrain");
  });

  test("a drain goes on at its rate under the new epoch", () => {
    const drain = drainingPod(4, { rate: 10, connections: 9 });
    const { actions } = plan({ ...settled(fleet({ pods: [...roomy, drain] })), epoch: 2 }, now);
    expect(kinds(actions, drain.name)).toEqual(["writeGrant", "renewDrain", "wait"]);
    expect(actions.find((action) => action.pod === drain.name)).toMatchObject({
      grant: { purpose: "drain", reconnectsPerSecond: 10, epoch: 2, serial: 2 },
    });
  });

  test.each([
    ["a pod's annotation", { ...roomy[0], grant: grantOf({ epoch: 3 }) }],
    ["a gateway's report", pod(0, { report: { epoch: 3 } })],
  ])("an operator that sees a higher epoch in %s does nothing, and says so", (_, newer) => {
    const { actions, status } = plan(settled(fleet({ pods: [newer as (typeof pods)[number], cordoned(4, 1)], epoch: 2 })), now);
    expect(actions).toEqual([]);
    expect(status.conditions.find((one) => one.type === "Degraded")).toMatchObject({
      reason: "Deposed",
      message: expect.stringContaining("epoch 3"),
    });
  });
});

describe("moves that are not ours", () => {
  const victim = cordoned(4, 20);
  const full = settled(fleet({ pods: [...roomy, pod(5, { connections: 30 }), victim] }));

  test("a pod that vanished with clients pauses voluntary moves until they are back", () => {
    const lost = { ...full, pods: [...roomy, victim] };
    const first = plan(lost, now);
    expect(kinds(first.actions)).not.toContain("startDrain");
    expect(first.status.forced).toContain("demo-default-5-r1");
    const still = plan({ ...lost, status: first.status }, now + 60_000);
    expect(kinds(still.actions)).not.toContain("startDrain");
    const back = roomy.map((one, slot) => ({ ...one, ...pod(slot, { connections: 18 }) }));
    expect(kinds(plan({ ...lost, pods: [...back, victim], status: still.status }, now + 61_000).actions)).toContain("startDrain");
  });

  test("but not for longer than two minutes: some users just leave", () => {
    const lost = { ...full, pods: [...roomy, victim] };
    const first = plan(lost, now);
    expect(kinds(plan({ ...lost, status: first.status }, now + 119_000).actions)).not.toContain("startDrain");
    expect(kinds(plan({ ...lost, status: first.status }, now + 120_000).actions)).toContain("startDrain");
  });

  test("so does one that was told to stop and still has clients; running drains pause", () => {
    const drain = drainingPod(6, { rate: 10, connections: 9, leaving, grant: { reason: "leaving" } });
    const stopping = pod(5, { connections: 30, terminating: true, report: { state: "stopping" } });
    const { actions } = plan({ ...full, pods: [...roomy, stopping, drain] }, now);
    expect(kinds(actions, drain.name)).toEqual(["writeGrant", "renewDrain", "wait"]);
    expect(actions.find((action) => action.pod === drain.name)).toMatchObject({
      grant: { purpose: "drain", reconnectsPerSecond: 0, heldPerSecond: 10 },
    });
  });

  test.each([
    ["its process started again and has forgotten its clients", pod(5, { report: { handshakes: 0 } })],
    ["it ended and its object is left", pod(5, { phase: "gone", report: "none", ready: false })],
  ])("so does one that lost its clients where it stands: %s", (_, lost) => {
    const { actions, status } = plan({ ...full, pods: [...roomy, lost, victim] }, now);
    expect(kinds(actions)).not.toContain("startDrain");
    expect(status.forced).toContain("demo-default-5-r1");
  });

  test("no pod goes as it is for want of time while they come back", () => {
    const over = { deadlineMs: now - 30_000, extensions: 2, stragglerGraceMs: 30_000 };
    const late = drainingPod(6, { rate: 10, connections: 9, leaving, grant: { ...over, reason: "leaving" } });
    const calm = [...roomy, pod(5, { connections: 30 }), victim, late];
    expect(kinds(plan({ ...full, pods: calm }, now).actions, late.name)).toEqual(["deletePod"]);
    expect(kinds(plan({ ...full, pods: [...roomy, victim, late] }, now).actions, late.name)).toEqual(["writeGrant", "renewDrain", "wait"]);
  });

  test("nor does a drain start where another pod has just ended that was drained a moment ago: its last moves are in the window still", () => {
    const done = drainingPod(5, { rate: 10, report: { state: "drained", handshakes: 50 } });
    const before = settled(fleet({ pods: [...roomy, drainingPod(5, { rate: 10, report: { handshakes: 50 } }), victim] }));
    const { status: seen } = plan({ ...before, pods: [...roomy, done, victim] }, now - 500);
    const ended = { ...before, pods: [...roomy, victim] };
    const first = plan({ ...ended, status: seen }, now);
    expect(kinds(first.actions)).not.toContain("startDrain");
    expect(kinds(plan({ ...ended, status: first.status }, now + 1_100).actions)).toContain("startDrain");
  });

  test("a drained pod that is deleted after that is nobody's loss", () => {
    const done = drainingPod(5, { rate: 10, report: { state: "drained", handshakes: 50 } });
    const before = settled(fleet({ pods: [...roomy, drainingPod(5, { rate: 10, report: { handshakes: 50 } }), victim] }));
    const { status: drained } = plan({ ...before, pods: [...roomy, done, victim] }, now - 4_000);
    const { status: seen } = plan({ ...before, pods: [...roomy, done, victim], status: drained }, now - 2_000);
    const { status, actions } = plan({ ...before, pods: [...roomy, victim], status: seen }, now);
    expect(status.forced).toBeUndefined();
    expect(kinds(actions)).toContain("startDrain");
  });
});
