import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { drainingPod, fleet, now, pod } from "../../../test/support/observed-fleet.js";
import { type KeptStatus, type StoryEvent, StoryTeller } from "../../../test/support/simulated-story.js";
import { type Action, fleetSpec, type Observed, type ObservedPod, plan } from "./index.js";

/** Each; PUSHFLEET_STORIES: more of them. */
const numRuns = Number(process.env["PUSHFLEET_STORIES"] ?? 30);
const timeout = Math.max(120_000, 300 * numRuns);

const deadlineMs = 70_000;
const stragglerGraceMs = 3_000;

const spec = (pools: number, pods: number, perSecond: number) =>
  fleetSpec({
    name: "demo",
    pools: Array.from({ length: pools }, (_, index) => ({
      name: `pool${index}`,
      ...{ revision: "r1", minReplicas: pods, maxReplicas: 8, softConnections: 100, hardConnections: 160 },
    })),
    autoscaling: { stabilizationMs: 2_000 },
    drain: { reconnectsPerSecond: perSecond, deadlineMs, stragglerGraceMs },
    rollout: { soakMs: 1_000 },
  });

const kept = fc.constantFrom<KeptStatus>("last", "old", "told", "lost");
const seconds = fc.integer({ min: 1, max: 100 });
const operatorEvent: fc.Arbitrary<StoryEvent> = fc.oneof(
  fc.record({ kind: fc.constant("takeOver" as const), seconds: fc.integer({ min: 1, max: 15 }), blind: fc.boolean(), status: kept }),
  fc.record({ kind: fc.constant("operatorCrash" as const), actions: fc.nat(6), seconds: fc.constantFrom(0.2, 5, 40), status: kept }),
  fc.record({ kind: fc.constant("failures" as const), share: fc.constantFrom(0, 0.3) }),
);
const podEvent: fc.Arbitrary<StoryEvent> = fc.record({
  kind: fc.constantFrom("silence" as const, "silence" as const, "restart" as const, "evict" as const),
  pick: fc.nat(7),
  seconds,
});
const budgetEvent: fc.Arbitrary<StoryEvent> = fc.record({
  kind: fc.constant("edit" as const),
  edit: fc.record({ kind: fc.constant("budget" as const), perSecond: fc.integer({ min: 1, max: 40 }) }),
});
/** What is under way when the fleet is deleted: rollouts, a paused one, pods that leave, a pool that shrinks. */
const edit: fc.Arbitrary<StoryEvent> = fc
  .oneof(
    fc.record({ kind: fc.constant("revision" as const), revision: fc.constantFrom("r1", "r2", "r3") }),
    fc.record({ kind: fc.constant("pause" as const), paused: fc.boolean() }),
    fc.record({ kind: fc.constant("replicas" as const), min: fc.integer({ min: 1, max: 3 }), max: fc.integer({ min: 3, max: 8 }) }),
  )
  .map((one) => ({ kind: "edit", edit: one }));
const leaving: fc.Arbitrary<StoryEvent> = fc.record({ kind: fc.constant("leaving" as const), pick: fc.nat(7), seconds });
const at = (from: number, to: number, event: fc.Arbitrary<StoryEvent>, maxLength: number) =>
  fc.array(fc.record({ second: fc.integer({ min: from * 10, max: to * 10 }).map((tenths) => tenths / 10), event }), {
    maxLength,
    size: "max",
  });

const fleets = fc.record({
  seed: fc.nat(),
  eager: fc.boolean(),
  spec: fc
    .tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 30 }))
    .map(([pools, pods, perSecond]) => spec(pools, pods, perSecond)),
  clients: fc.integer({ min: 0, max: 500 }),
});

describe("a fleet that is deleted in the midst of anything", () => {
  test("I3, I4: closes its clients within the budget, creates nothing, and is gone after deadline and grace", { timeout }, () => {
    const rollout = { second: 8, event: { kind: "edit", edit: { kind: "revision", revision: "r2" } } } as const;
    const before = at(4, 30, fc.oneof(edit, leaving, operatorEvent, podEvent, budgetEvent), 12);
    const after = at(0, 60, fc.oneof(operatorEvent, podEvent, budgetEvent), 10);
    fc.assert(
      fc.property(fleets, fc.integer({ min: 80, max: 300 }), before, after, (story, tenths, events, later) => {
        const teller = new StoryTeller(story);
        teller.play(tenths / 10, [rollout, ...events]);
        teller.deleteFleet();
        teller.play((deadlineMs + stragglerGraceMs) / 1_000 + 90, later);
        expect(teller.world.violations).toEqual([]);
        expect(teller.createdAfterDeletion).toBe(0);
        expect(teller.world.pods.size).toBe(0);
        expect(teller.leader?.status?.phase).toBe("Closed");
      }),
      { numRuns },
    );
  });
});

/** Planned by a leader that has led for long. */
function closing(pods: readonly ObservedPod[], change: Partial<Observed> = {}, silentForMs = 100_000) {
  const observed: Observed = { ...fleet({ pods }), ...change, deleting: true };
  const reporting = pods.map((one) => ({ ...pod(one.slot, { connections: 40 }), ...one }));
  const { status } = plan({ ...observed, pods: reporting, deleting: false }, now - silentForMs);
  return plan({ ...observed, status: { ...status, memory: { ...status.memory, quietUntilMs: 0 } } }, now);
}

const rates = (actions: readonly Action[]) =>
  actions.flatMap((action) => (action.kind === "writeGrant" ? [[action.pod.at(-4) ?? "", action.grant.reconnectsPerSecond]] : []));
const ending = { reason: "fleetDeleted" as const };

describe("the budget of a fleet that is deleted", () => {
  test.each<[string, readonly ObservedPod[], unknown]>([
    [
      "is shared by connections",
      [pod(0, { connections: 300 }), pod(1, { connections: 100 })],
      [
        ["0", 7],
        ["1", 3],
      ],
    ],
    [
      "is not given to a gateway that does not report, which would not be told",
      [pod(0, { connections: 300 }), pod(1, { report: "none" })],
      [
        ["0", 10],
        ["1", 0],
      ],
    ],
    [
      "stays with a drain that runs already, the others get what is free",
      [drainingPod(0, { rate: 6, connections: 50 }), pod(1, { connections: 300 })],
      [
        ["0", 6],
        ["1", 4],
      ],
    ],
    [
      "is not given twice while a lowered rate may still be in use",
      [drainingPod(0, { rate: 0, connections: 50, grant: { heldPerSecond: 10 }, accepted: undefined }), pod(1, { connections: 300 })],
      [
        ["0", 0],
        ["1", 0],
      ],
    ],
    [
      "is taken back from a gateway that has been silent for a minute",
      [drainingPod(0, { rate: 7, report: "none", grant: ending }), drainingPod(1, { rate: 3, connections: 500, grant: ending })],
      [["0", 0]],
    ],
    [
      "and goes to those that report",
      [drainingPod(0, { rate: 0, report: "none", grant: ending }), drainingPod(1, { rate: 3, connections: 500, grant: ending })],
      [["1", 10]],
    ],
    [
      "goes on to those that have clients left",
      [
        drainingPod(0, { rate: 0, connections: 0, report: { state: "drained", handshakes: 50 }, grant: ending }),
        drainingPod(1, { rate: 3, connections: 500, grant: ending }),
      ],
      [["1", 10]],
    ],
  ])("%s", (_, pods, expected) => {
    expect(rates(closing(pods).actions)).toEqual(expected);
  });

  test("stays with a gateway that fell silent lately: it may still move clients", () => {
    const pods = [drainingPod(0, { rate: 7, report: "none", grant: ending }), drainingPod(1, { rate: 3, connections: 500, grant: ending })];
    expect(rates(closing(pods, {}, 50_000).actions)).toEqual([]);
  });

  test("is never more than the spec's, however many pods share it", () => {
    const budgets = fc.tuple(fc.array(fc.nat(1_000), { minLength: 1, maxLength: 30 }), fc.integer({ min: 1, max: 40 }));
    fc.assert(
      fc.property(budgets, ([connections, perSecond]) => {
        const pods = connections.map((count, slot) => pod(slot, { connections: count }));
        const { actions } = closing(pods, { spec: { ...fleet().spec, drain: { ...fleet().spec.drain, reconnectsPerSecond: perSecond } } });
        const granted = actions.reduce((sum, action) => sum + (action.kind === "writeGrant" ? action.grant.reconnectsPerSecond : 0), 0);
        expect(granted).toBeLessThanOrEqual(perSecond);
        expect(granted).toBeGreaterThan(0);
      }),
    );
  });
});
