import fc from "fast-check";
import { expect, test } from "vitest";
import { fleet, grantOf, now, pod } from "../../../test/support/observed-fleet.js";
import { estimateDrain } from "./feasibility.js";
import { type Action, type Observed, type ObservedPod, type Plan, plan } from "./index.js";
import { defaultSettings } from "./settings.js";

/** What holds of every plan, whatever is observed. */

const numRuns = Number(process.env["PUSHFLEET_STORIES"] ?? 300);

const purposes = fc.oneof(
  { weight: 5, arbitrary: fc.constant({ purpose: "serve" as const, reason: "none" as const }) },
  {
    weight: 2,
    arbitrary: fc.record({ purpose: fc.constant("cordon" as const), reason: fc.constantFrom("rollout" as const, "leaving" as const) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      purpose: fc.constant("drain" as const),
      reason: fc.constantFrom("rollout" as const, "leaving" as const, "scaleDown" as const),
      reconnectsPerSecond: fc.constantFrom(0, 5, 20),
      heldPerSecond: fc.constantFrom(0, 0, 20),
      deadlineMs: fc.integer({ min: now - 60_000, max: now + 100_000 }),
      stragglerGraceMs: fc.constant(30_000),
      extensions: fc.nat(2),
    }),
  },
);
const states = { serve: "serving", cordon: "cordoned", drain: "draining" } as const;
const accepted = { epoch: 1, serial: 0, atMs: now - 60_000, renewedAtMs: now - 1_000 };

/** `calm`: nothing is wrong, so that moves may begin. */
const podSketch = (calm: boolean) =>
  fc.record({
    revision: fc.constantFrom("r1", "r2", "r2"),
    connections: fc.oneof(fc.nat(30), fc.nat(190)),
    given: purposes,
    isTold: fc.boolean(),
    silent: fc.integer({ min: 0, max: 9 }).map((one) => one === 0 && !calm),
    phase: fc.integer({ min: 0, max: 9 }).map((one) => (one === 0 ? "pending" : one === 1 && !calm ? "gone" : "running")),
    leaving: fc.constantFrom(undefined, undefined, undefined, "its node is unschedulable"),
    terminating: fc.integer({ min: 0, max: 9 }).map((one) => one === 0 && !calm),
  });

const podsOf = (calm: boolean) =>
  fc.array(podSketch(calm), { minLength: 1, maxLength: 9 }).map((sketches) =>
    sketches.map((sketch, slot): ObservedPod => {
      const { given, connections, revision, isTold, silent, ...rest } = sketch;
      const report = rest.phase !== "running" || silent ? ("none" as const) : { state: states[given.purpose], remaining: connections };
      return {
        ...pod(slot, { revision, connections, report }),
        ...rest,
        ready: given.purpose === "serve" && rest.phase === "running",
        grant: grantOf(given),
        accepted: isTold ? accepted : undefined,
      };
    }),
  );

const observations = fc
  .record({
    pods: fc.oneof(podsOf(true), podsOf(true), podsOf(false)),
    perSecond: fc.integer({ min: 1, max: 30 }),
    deadlineMs: fc.constantFrom(62_000, 70_000, 90_000, 1_500_000),
    minReplicas: fc.integer({ min: 0, max: 4 }),
    maxReplicas: fc.integer({ min: 1, max: 9 }),
    replicas: fc.integer({ min: 0, max: 9 }),
    mode: fc.constantFrom("Builtin" as const, "Builtin" as const, "External" as const, "None" as const),
    deleting: fc.integer({ min: 0, max: 5 }).map((one) => one === 0),
    isLost: fc.integer({ min: 0, max: 3 }).map((one) => one === 0),
    stabilizationMs: fc.constantFrom(0, 100_000),
  })
  .map((given): Observed => {
    const { deadlineMs, mode, perSecond: reconnectsPerSecond, stabilizationMs, minReplicas, maxReplicas, replicas } = given;
    const spec = { drain: { reconnectsPerSecond, deadlineMs }, autoscaling: { mode, stabilizationMs } };
    const observed = fleet({ pods: given.pods, deleting: given.deleting, spec, pool: { revision: "r2" } });
    const pools = observed.spec.pools.map((pool) => ({ ...pool, minReplicas, maxReplicas, replicas }));
    const edited = { ...observed, spec: { ...observed.spec, pools } };
    // The plan before saw all of its pods report, and perhaps one more, whose clients are missed now.
    const whole = given.pods.map((one) => ({
      ...pod(one.slot, { connections: 50 }),
      ...one,
      phase: one.phase === "gone" ? "running" : one.phase,
    }));
    const before = [...whole, ...(given.isLost ? [pod(20, { revision: "r2", connections: 100 })] : [])];
    const { status } = plan({ ...edited, pods: before, deleting: false }, now - 20_000);
    return { ...edited, status: { ...status, memory: { ...status.memory, quietUntilMs: 0 } } };
  });

function everyPlan(holds: (observed: Observed, planned: Plan) => void): void {
  fc.assert(
    fc.property(observations, (observed) => holds(observed, plan(observed, now))),
    { numRuns },
  );
}

const isCall = (action: Action) => !["writeGrant", "createPod", "deletePod", "wait"].includes(action.kind);
/** What each pod that is not gone has been granted, before and after. */
const granted = ({ pods: all }: Observed, { actions }: Plan) =>
  all
    .filter((one) => one.phase !== "gone")
    .map((one) => {
      const written = actions.find((action) => action.kind === "writeGrant" && action.uid === one.uid);
      const grant = written?.kind === "writeGrant" ? written.grant : one.grant;
      return { one, before: one.grant?.reconnectsPerSecond ?? 0, after: grant?.reconnectsPerSecond ?? 0, grant };
    });

/** Nobody is left on it who could be moved, though what it was granted may still be written on it. */
const isEnding = ({ status, actions }: Plan, { name, uid }: ObservedPod) =>
  status.pods.some((one) => one.name === name && (one.state === "Terminating" || one.state === "Drained")) ||
  actions.some((action) => action.kind === "deletePod" && action.uid === uid);

test("a gateway is told only what is written on its pod", () => {
  everyPlan(({ pods: all }, { actions }) => {
    for (const [index, action] of actions.entries()) {
      if (!isCall(action) || !("grant" in action) || !("uid" in action)) continue;
      const written = actions.slice(0, index).findLast((one) => one.kind === "writeGrant" && one.uid === action.uid);
      const expected = written?.kind === "writeGrant" ? written.grant : all.find((one) => one.uid === action.uid)?.grant;
      expect(action.grant).toEqual(expected);
    }
  });
});

test("what is there is taken back into use before anything is created", () => {
  everyPlan((_, { actions }) => {
    const firstCreate = actions.findIndex((action) => action.kind === "createPod");
    const lastRestore = actions.findLastIndex((action) => action.kind === "uncordon" || action.kind === "abortDrain");
    if (firstCreate >= 0) expect(lastRestore).toBeLessThan(firstCreate);
  });
});

test("I3: no more is granted than the budget, and nothing more while what was granted exceeds it", () => {
  everyPlan((observed, planned) => {
    const { reconnectsPerSecond: budget, holders } = planned.status.budget;
    const inUse = new Map(holders.map((holder) => [holder.pod, holder.reconnectsPerSecond]));
    const all = granted(observed, planned);
    const sum = all.reduce((total, { one, after }) => total + Math.max(after, inUse.get(one.name) ?? 0), 0);
    if (all.some(({ before, after }) => after > before)) expect(sum).toBeLessThanOrEqual(budget);
  });
});

test("a drain starts alone, and only if it can end by its deadline", () => {
  everyPlan((observed, planned) => {
    if (observed.deleting) return;
    const { spec } = observed;
    const all = granted(observed, planned);
    const started = all.filter(({ before, after }) => before === 0 && after > 0);
    expect(started.length).toBeLessThanOrEqual(1);
    for (const { one, after, grant } of started) {
      const connections = one.report?.connections ?? Number.POSITIVE_INFINITY;
      expect(estimateDrain(connections, after, spec.drain, defaultSettings).feasible).toBe(true);
      expect(grant?.deadlineMs).toBe(now + spec.drain.deadlineMs);
      const others = all.filter((other) => other.one !== one && other.after > 0 && other.one.report !== undefined);
      expect(others.filter((other) => !isEnding(planned, other.one))).toEqual([]);
    }
  });
});

test("while clients of a lost pod are missed nothing is granted or raised, nothing shrinks, and what moves is paused", () => {
  everyPlan((observed, planned) => {
    if (planned.status.forced === undefined) return;
    for (const { one, before, after, grant } of granted(observed, planned)) {
      expect(after).toBeLessThanOrEqual(before);
      if (!isEnding(planned, one) && grant?.purpose === "drain") expect(after).toBe(0);
    }
    expect(planned.actions.filter((action) => action.kind === "deletePod" && action.reason === "deadlinePassed")).toEqual([]);
  });
});

test("I4: what is deleted has ended, is drained, never served, or had its time", () => {
  everyPlan(({ pods: all }, { actions }) => {
    for (const action of actions) {
      if (action.kind !== "deletePod") continue;
      const one = all.find(({ uid }) => uid === action.uid);
      const isOver = one?.grant?.purpose === "drain" && now >= one.grant.deadlineMs + one.grant.stragglerGraceMs;
      if (one?.phase === "running" && !isOver) expect(one.report?.connections).toBe(0);
      expect(one?.ready).toBe(false);
    }
  });
});

test("counted are as many pods as are wanted, as far as there are: none that drains or ends", () => {
  everyPlan((observed, { status }) => {
    if (observed.deleting) return;
    for (const { target, replicas } of status.pools) {
      const there = status.pods.filter(({ state }) => !["Draining", "Drained", "Terminating"].includes(state));
      const grants = new Map(observed.pods.map((one) => [one.name, one.grant?.purpose]));
      const eligible = there.filter(({ name }) => grants.get(name) !== "drain");
      expect(replicas).toBe(Math.min(target, eligible.length));
      expect(target).toBeGreaterThanOrEqual(1);
      for (const one of status.pods) if (one.counted) expect(eligible).toContain(one);
    }
  });
});

test("with less than 90 % of pods reporting none is given up, and no more are wanted than before, but what bounds demand", () => {
  everyPlan((observed, { actions, status }) => {
    const [pool, spec] = [status.pools[0], observed.spec.pools[0]];
    if (pool === undefined || spec === undefined || !status.conditions.some((one) => one.reason === "TooFewReports")) return;
    const known = observed.status?.memory.pools["default"]?.target ?? 0;
    // One that is taken back from its drain, because its revision is the spec's again, is no growth.
    const isTakenBack = ({ uid }: ObservedPod) => actions.some((action) => action.kind === "abortDrain" && action.uid === uid);
    const kept = observed.pods.filter((one) => one.grant?.purpose !== "drain" || isTakenBack(one)).length;
    expect(pool.target).toBeLessThanOrEqual(Math.max(known, kept, spec.minReplicas, 1));
    const began = actions.filter((action) => action.kind === "startDrain" && action.grant.reason === "scaleDown");
    const paused = observed.pods.filter((one) => one.grant?.purpose === "drain").map((one) => one.name);
    expect(began.filter((action) => !paused.includes(action.pod ?? ""))).toEqual([]);
  });
});
