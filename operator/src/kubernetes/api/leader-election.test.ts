import { createLogger, ManualClock } from "@pushfleet/service";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { type Candidate, CandidateWorld, type Link } from "../../../../test/support/lease-candidates.js";
import { LeaderElection, writeTimeoutMs } from "./leader-election.js";
import type { ApiResult, KubernetesApi, KubernetesObject } from "./types.js";

test.each([
  ["15 s and 10 s", { leaseMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2_000 }, 5_000],
  ["a minute and half of it", { leaseMs: 60_000, renewDeadlineMs: 30_000, retryMs: 2_000 }, 5_000],
  ["15 s and 12 s", { leaseMs: 15_000, renewDeadlineMs: 12_000, retryMs: 2_000 }, 3_000],
  ["3 s and 2 s", { leaseMs: 3_000, renewDeadlineMs: 2_000, retryMs: 400 }, 1_000],
])("with a Lease of %s the last write of a leader is over before the next one leads", (_, timing, timeoutMs) => {
  expect(writeTimeoutMs(timing)).toBe(timeoutMs);
});

const settle = () => new Promise((resolve) => setImmediate(resolve));

/** One that leads, and one that waits. */
async function twoCandidates() {
  const world = new CandidateWorld();
  const a = world.add("a");
  await world.pass(6_000);
  expect(a.told).toEqual(["started 1"]);
  const b = world.add("bb");
  await world.pass(6_000);
  return { world, a, b, server: world.server };
}

describe("a leader election", () => {
  test("has the first candidate lead, and go on while it renews", async () => {
    const { world, a, b, server } = await twoCandidates();
    await world.pass(120_000);
    expect({ a: a.told, b: b.told, terms: server.terms }).toEqual({ a: ["started 1"], b: [], terms: ["a 0"] });
    expect(server.lease?.spec).toMatchObject({ leaseDurationSeconds: 15, renewTime: expect.stringMatching(/^\d{4}-.*\.\d{6}Z$/) });
  });

  test("hands over within a retry period when the leader stops, after its work has ended", async () => {
    const { world, a, b } = await twoCandidates();
    let endWork: () => void = () => undefined;
    a.workEnds = new Promise((resolve) => {
      endWork = resolve;
    });
    const stopped = a.stop();
    expect(a.leading?.aborted).toBe(true);
    await world.pass(3_000);
    expect(b.told).toEqual([]);
    endWork();
    await stopped;
    await world.pass(2_400);
    expect({ a: a.told, b: b.told }).toEqual({ a: ["started 1", "stopped: stopped"], b: ["started 2"] });
  });

  test("hands over also when a renewal that was cut off by its stop is done after all", async () => {
    const { world, a, b, server } = await twoCandidates();
    const replace = server.replace.bind(server);
    server.replace = (released) => {
      server.replace = replace;
      const { lease } = server;
      if (lease !== undefined) replace({ ...lease, spec: { ...lease.spec, renewTime: "2026-01-01T00:00:00.000000Z" } });
      return replace(released);
    };
    await a.stop();
    await world.pass(2_400);
    expect(b.told).toEqual(["started 2"]);
  });

  test("takes over from one that died 15 to 18 s after its last renewal", async () => {
    const { world, a, b } = await twoCandidates();
    a.killed = true;
    await world.pass(12_800);
    expect(b.told).toEqual([]);
    await world.pass(6_000);
    expect(b.told).toEqual(["started 2"]);
  });

  test.each<Link>(["requests lost", "answers lost"])("a leader with its %s steps down before another takes over", async (link) => {
    const { world, a, b } = await twoCandidates();
    a.link = link;
    await world.pass(10_000);
    expect(a.told).toEqual(["started 1", "stopped: the Lease was not renewed in time"]);
    expect({ aborted: a.leading?.aborted, b: b.told }).toEqual({ aborted: true, b: [] });
    await world.pass(25_000);
    expect(b.told).toEqual(["started 2"]);
    a.link = "well";
    await world.pass(60_000);
    expect(a.told.length).toBe(2); // one candidature, one term
  });

  test("survives an API server that is away for less than the renew deadline, and one that is slow", async () => {
    const { world, a } = await twoCandidates();
    a.link = "requests lost";
    await world.pass(6_000);
    a.link = "well";
    await world.pass(6_000);
    a.link = "slow";
    await world.pass(60_000);
    expect(a.told).toEqual(["started 1"]);
  });

  test("does not lead any more after its process did not run for long, before its timers say so", async () => {
    const { world, a } = await twoCandidates();
    world.clock.after(10_500, () => expect(a.election.isLeading()).toBe(false));
    a.link = "requests lost";
    world.clock.advance(11_000);
    expect(a.leading?.aborted).toBe(true);
  });

  test("a candidate whose write was not answered finds that it has the Lease", async () => {
    const world = new CandidateWorld();
    const a = world.add("a");
    a.link = "answers lost";
    await world.pass(20_000); // it cannot even read
    a.link = "well";
    await world.pass(6_000);
    expect(a.told).toEqual(["started 1"]);
    await a.stop();
    const b = world.add("bb");
    b.link = "well";
    await settle();
    const { server } = world;
    // Its acquiring write is done, the answer to it lost.
    const replace = server.replace.bind(server);
    let lost = 0;
    server.replace = (lease) => {
      const result = replace(lease);
      lost += 1;
      return lost === 1 ? { kind: "unavailable", message: "timeout" } : result;
    };
    await world.pass(6_000);
    expect({ told: b.told, terms: server.terms }).toEqual({ told: ["started 2"], terms: ["a 0", " 0", "bb 1"] });
  });

  test("a living leader makes a deleted Lease again, in its epoch, before a newcomer does", async () => {
    const { world, a, b, server } = await twoCandidates();
    server.lease = undefined;
    const c = world.add("ccc");
    await world.pass(30_000);
    expect([a.told, b.told, c.told]).toEqual([["started 1"], [], []]);
    expect(server.lease).toMatchObject({ spec: { leaseTransitions: 0 } });
  });

  test("a deleted Lease of a leader that is gone counts on for those who saw it", async () => {
    const { world, a, b, server } = await twoCandidates();
    await a.stop();
    await world.pass(6_000);
    const c = world.add("ccc");
    await world.pass(6_000);
    b.killed = true;
    server.lease = undefined;
    await world.pass(30_000);
    expect([b.told, c.told]).toEqual([["started 2"], ["started 3"]]);
  });

  test("a deleted Lease of a leader that cannot be reached is left to it until it must have stepped down", async () => {
    const { world, a, b, server } = await twoCandidates();
    a.link = "requests lost";
    server.lease = undefined;
    await world.pass(30_000);
    expect([a.told, b.told]).toEqual([["started 1", "stopped: the Lease was not renewed in time"], ["started 2"]]);
  });

  test("is lost at once when the Lease names another, whoever wrote that", async () => {
    const { world, a, server } = await twoCandidates();
    const { lease } = server;
    if (lease !== undefined) server.replace({ ...lease, spec: { ...lease.spec, holderIdentity: "somebody" } });
    await world.pass(2_200);
    expect(a.told).toEqual(["started 1", "stopped: another process has the Lease"]);
  });

  test("a label on the Lease is no sign of life of its holder", async () => {
    const { world, a, b, server } = await twoCandidates();
    a.killed = true;
    for (let second = 0; second < 20; second += 1) {
      const { lease } = server;
      if (lease !== undefined) server.replace({ ...lease, metadata: { ...lease.metadata, labels: { touched: String(second) } } });
      await world.pass(1_000);
    }
    expect(b.told).toEqual(["started 2"]);
  });

  test("a candidate that is stopped before it leads is told nothing, and its signal is aborted", async () => {
    const { a, b, server } = await twoCandidates();
    await b.stop();
    expect({ told: b.told, aborted: b.election.leading.aborted }).toEqual({ told: [], aborted: true });
    expect(server.lease?.spec.holderIdentity).toMatch(/^a_/);
    expect(a.election.isLeading()).toBe(true);
  });
});

test.each([
  ["read", { kind: "refused", status: 403, reason: "Forbidden", message: "cannot get leases" } as const, undefined],
  ["written", { kind: "notFound" } as const, { kind: "notFound", message: "cannot create leases: no such namespace" } as const],
  [
    "written",
    { kind: "notFound" } as const,
    { kind: "refused", status: 403, reason: "Forbidden", message: "cannot create leases" } as const,
  ],
])("a candidate says once why the Lease cannot be %s, and not as long as it lasts", async (_, read, written) => {
  const clock = new ManualClock();
  const logger = createLogger("test", "silent");
  const warned = vi.spyOn(logger, "warn");
  const answers: { read: ApiResult<KubernetesObject> } = { read };
  const api = { get: async () => answers.read, create: async () => written } as unknown as Pick<
    KubernetesApi,
    "get" | "create" | "replace"
  >;
  const election = new LeaderElection({
    ...{ api, namespace: "a", name: "operator", identity: "one", clock, random: () => 0.5, logger },
    onStarted: () => undefined,
    onStopped: () => undefined,
  });
  election.start();
  for (let second = 0; second < 30; second += 1) {
    clock.advance(1_000);
    await settle();
  }
  const reason = (written ?? read).message;
  expect(warned.mock.calls).toEqual([[{ reason, lease: "operator" }, expect.any(String)]]);
  await election.stop();
  expect(warned).toHaveBeenCalledTimes(1);
});

describe("raising the epoch", () => {
  test("puts it above one that somebody had, and the next leader's above that", async () => {
    const { world, a, b } = await twoCandidates();
    expect(await a.raise(0)).toEqual({ kind: "raised", epoch: 1 });
    expect(await a.raise(7)).toEqual({ kind: "raised", epoch: 8 });
    expect(a.election.epoch).toBe(8);
    await world.pass(30_000);
    expect(a.told).toEqual(["started 1"]);
    await a.stop();
    await world.pass(6_000);
    expect(b.told).toEqual(["started 9"]);
  });

  test("is lost by who leads no more, and unavailable while the API server is; what was written counts", async () => {
    const { world, a, b } = await twoCandidates();
    expect(await b.raise(7)).toEqual({ kind: "lost" });
    a.link = "answers lost";
    expect(await a.raise(7)).toMatchObject({ kind: "unavailable" });
    a.link = "well";
    expect(await a.raise(7)).toEqual({ kind: "raised", epoch: 8 });
    a.link = "requests lost";
    await world.pass(11_000);
    expect(await a.raise(20)).toEqual({ kind: "lost" });
    await world.pass(20_000);
    expect(b.told).toEqual(["started 9"]);
  });
});

type Step =
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "link"; readonly of: number; readonly link: Link }
  | { readonly kind: "kill"; readonly of: number }
  | { readonly kind: "stop"; readonly of: number }
  | { readonly kind: "raise"; readonly of: number; readonly by: number }
  | { readonly kind: "deleted" };

const of = fc.nat(2);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.nat(20_000) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("link" as const),
      of,
      link: fc.constantFrom<Link>("well", "requests lost", "answers lost", "slow"),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("kill" as const), of }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("stop" as const), of }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("raise" as const), of, by: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("deleted" as const) }) },
);

test("there are never two leaders, epochs rise, and whoever can lead leads in the end", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 2, max: 3 }), fc.array(step, { maxLength: 30, size: "max" }), async (count, steps) => {
      const world = new CandidateWorld();
      let made = 0;
      const names = ["a", "bb", "ccc"];
      /** Who takes part now; one that is over is replaced by a new process. */
      const at = (nth: number): Candidate => {
        const index = nth % count;
        const alive = world.candidates.filter(({ killed, election }) => !killed && !election.leading.aborted);
        const known = alive.find(({ name }) => name.startsWith(names[index] ?? "a"));
        if (known !== undefined) return known;
        made += 1;
        return world.add(`${names[index]}${made}`);
      };
      for (let i = 0; i < count; i += 1) at(i);
      await world.pass(6_000);
      for (const one of steps) {
        if (one.kind === "pass") await world.pass(one.ms);
        else if (one.kind === "link") at(one.of).link = one.link;
        else if (one.kind === "kill") at(one.of).killed = true;
        else if (one.kind === "stop") await at(one.of).stop();
        else if (one.kind === "raise") {
          const candidate = at(one.of);
          await candidate.raise(candidate.election.epoch + one.by);
        } else {
          // Somebody deletes it while all are well and have seen it: they count on. Otherwise its transitions are lost (raiseEpochAbove).
          for (let i = 0; i < count; i += 1) at(i).link = "well";
          await world.pass(40_000);
          world.server.lease = undefined;
          await world.pass(6_000);
        }
      }
      for (let i = 0; i < count; i += 1) at(i).link = "well";
      await world.pass(60_000);
      expect(world.leaders().length).toBe(1);
      expect(world.epochs).toEqual([...new Set(world.epochs)].sort((x, y) => x - y));
      for (const { told } of world.candidates) {
        expect(told.filter((line) => line.startsWith("started")).length).toBeLessThanOrEqual(1);
        expect(told.filter((line) => line.startsWith("stopped")).length).toBeLessThanOrEqual(1);
      }
    }),
    { numRuns: 60 },
  );
});
