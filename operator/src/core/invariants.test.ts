import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type KeptStatus, type Story, type StoryEvent, StoryTeller } from "../../../test/support/simulated-story.js";
import { fleetSpec } from "./index.js";

/** Each; on a failure fast-check prints the seed and the smallest story. PUSHFLEET_STORIES: more of them. */
const numRuns = Number(process.env["PUSHFLEET_STORIES"] ?? 30);
/** Finding the smallest story takes longer than finding one. */
const timeout = Math.max(120_000, 300 * numRuns);

const second = fc.integer({ min: 0, max: 89 });
const pick = fc.nat(20);
const kept = fc.constantFrom<KeptStatus>("last", "old", "told", "lost");
const seconds = fc.integer({ min: 1, max: 15 });

const worldEvent: fc.Arbitrary<StoryEvent> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("load" as const), count: fc.integer({ min: -200, max: 200 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("crash" as const), pick, trace: fc.boolean() }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom("restart" as const, "evict" as const, "leaving" as const, "silence" as const),
      pick,
      seconds: fc.integer({ min: 5, max: 90 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("edit" as const),
      edit: fc.record({ kind: fc.constant("revision" as const), revision: fc.constantFrom("r1", "r2", "r3") }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("edit" as const),
      edit: fc.oneof(
        fc.record({ kind: fc.constant("replicas" as const), min: fc.integer({ min: 1, max: 3 }), max: fc.integer({ min: 3, max: 8 }) }),
        fc.record({ kind: fc.constant("soft" as const), connections: fc.integer({ min: 60, max: 120 }) }),
        fc.record({ kind: fc.constant("budget" as const), perSecond: fc.integer({ min: 5, max: 40 }) }),
        fc.record({ kind: fc.constant("pause" as const), paused: fc.boolean() }),
      ),
    }),
  },
);

const operatorEvent: fc.Arbitrary<StoryEvent> = fc.oneof(
  fc.record({ kind: fc.constant("operatorCrash" as const), actions: fc.nat(8), seconds, status: kept }),
  fc.record({ kind: fc.constant("takeOver" as const), seconds, blind: fc.boolean(), status: kept }),
  fc.record({ kind: fc.constant("failures" as const), share: fc.constantFrom(0, 0.1, 0.4) }),
);

const pool = { name: "default", revision: "r1", minReplicas: 2, maxReplicas: 8, softConnections: 100, hardConnections: 160 };
const spec = (pools: number, perSecond: number, revision = "r1") =>
  fleetSpec({
    name: "demo",
    pools: Array.from({ length: pools }, (_, index) => ({ ...pool, name: `pool${index}`, revision })),
    autoscaling: { stabilizationMs: 4_000 },
    drain: { reconnectsPerSecond: perSecond, deadlineMs: 120_000, stragglerGraceMs: 3_000 },
    rollout: { soakMs: 2_000 },
  });

/** Every story moves somebody: a rollout begins at `second`, whatever else happens. */
function withRollout(second: number): (events: Story["events"]) => Story["events"] {
  return (events) => [{ second, event: { kind: "edit", edit: { kind: "revision", revision: "r2" } } }, ...events];
}

const story: fc.Arbitrary<Story> = fc.record({
  seed: fc.nat(),
  eager: fc.boolean(),
  spec: fc.tuple(fc.integer({ min: 1, max: 2 }), fc.integer({ min: 5, max: 40 })).map(([pools, perSecond]) => spec(pools, perSecond)),
  clients: fc.integer({ min: 50, max: 500 }),
  events: fc.array(fc.record({ second, event: fc.oneof(worldEvent, operatorEvent) }), { maxLength: 25, size: "max" }).map(withRollout(20)),
});

/** Minds change faster than drains end, operators die or are deposed in between: everything that can overlap does. */
const restless: fc.Arbitrary<Story> = fc.record({
  seed: fc.nat(),
  eager: fc.constant(true),
  spec: fc.integer({ min: 2, max: 12 }).map((perSecond) => spec(1, perSecond)),
  clients: fc.integer({ min: 100, max: 300 }),
  events: fc
    .array(
      fc.record({
        second: fc.integer({ min: 60, max: 300 }).map((tenths) => tenths / 10),
        event: fc.oneof(
          fc.record({ kind: fc.constant("leaving" as const), pick: fc.nat(3), seconds }),
          fc.record({
            kind: fc.constant("edit" as const),
            edit: fc.record({ kind: fc.constant("revision" as const), revision: fc.constantFrom("r1", "r2") }),
          }),
          fc.record({ kind: fc.constant("edit" as const), edit: fc.record({ kind: fc.constant("pause" as const), paused: fc.boolean() }) }),
          fc.record({ kind: fc.constantFrom("restart" as const, "evict" as const, "silence" as const), pick: fc.nat(3), seconds }),
          fc.record({ kind: fc.constant("takeOver" as const), seconds, blind: fc.boolean(), status: kept }),
          fc.record({ kind: fc.constant("operatorCrash" as const), actions: fc.nat(4), seconds: fc.constant(0.2), status: kept }),
          fc.record({ kind: fc.constant("failures" as const), share: fc.constantFrom(0, 0.3) }),
        ),
      }),
      { maxLength: 30, size: "max" },
    )
    .map(withRollout(6)),
});

describe("planner in a world where everything fails", () => {
  test("I3, I4: moves stay within the budget of every second, and no pod with clients is deleted before its deadline", { timeout }, () => {
    fc.assert(
      fc.property(story, (told) => {
        const teller = new StoryTeller(told);
        teller.play(100, told.events);
        expect(teller.world.violations).toEqual([]);
      }),
      { numRuns },
    );
  });

  test("I3, I4 hold when minds change faster than drains end", { timeout }, () => {
    fc.assert(
      fc.property(restless, (told) => {
        const teller = new StoryTeller(told);
        teller.play(40, told.events);
        expect(teller.world.violations).toEqual([]);
      }),
      { numRuns },
    );
  });

  test("I5: after any story one operator brings the fleet to the state an undisturbed one ends in", { timeout }, () => {
    fc.assert(
      fc.property(story, fc.integer({ min: 2, max: 5 }), (told, size) => {
        const disturbed = new StoryTeller({ ...told, spec: spec(1, 30) });
        disturbed.play(100, told.events);
        const [{ revision } = { revision: "" }] = disturbed.world.spec.pools;
        const undisturbed = new StoryTeller({ ...told, seed: told.seed + 1, spec: spec(1, 30, revision), clients: 0 });
        for (const teller of [disturbed, undisturbed]) {
          teller.calm(clientsFor(size));
          expect(teller.settle(600, 40)).toBe(true);
          expect(teller.world.violations).toEqual([]);
        }
        expect(endState(disturbed)).toEqual(endState(undisturbed));
        expect(endState(disturbed).pods.length).toBe(size);
      }),
      { numRuns },
    );
  });

  test("I3, I4: a deleted fleet closes within the budget, creates nothing, and is gone after deadline and grace", { timeout }, () => {
    fc.assert(
      fc.property(
        story,
        fc.array(fc.record({ second: fc.integer({ min: 0, max: 100 }), event: operatorEvent }), { maxLength: 4 }),
        (told, later) => {
          const teller = new StoryTeller(told);
          teller.play(60, told.events);
          teller.deleteFleet();
          teller.play(180, later);
          expect(teller.world.violations).toEqual([]);
          expect(teller.createdAfterDeletion).toBe(0);
          expect(teller.world.pods.size).toBe(0);
          expect(teller.leader?.status?.phase).toBe("Closed");
        },
      ),
      { numRuns },
    );
  });
});

/** In the middle of the range in which `size` pods of soft 100 are needed: with n pods the rest must hold the loss of one, nC − T ≥ T / n. */
function clientsFor(size: number): number {
  const fits = (pods: number) => (100 * pods * pods) / (pods + 1);
  return Math.round((fits(size - 1) + fits(size)) / 2);
}

function endState({ world, leader }: StoryTeller) {
  const pods = leader?.status?.pods.map(({ pool, revision, state, accepting, reconnectsPerSecond, reason }) => ({
    pool,
    revision,
    state,
    accepting,
    reconnectsPerSecond,
    reason,
  }));
  return {
    clients: world.connections,
    pods: pods ?? [],
    conditions: leader?.status?.conditions.map(({ type, status }) => `${type} ${status}`),
  };
}
