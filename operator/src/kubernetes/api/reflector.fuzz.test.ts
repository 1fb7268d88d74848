import { type Clock, createLogger, systemClock } from "@pushfleet/service";
import fc from "fast-check";
import { expect, test } from "vitest";
import { waitFor } from "../../../../test/peers/wait-for.js";
import { HostileApiServer, type Trick } from "../../../../test/support/hostile-api-server.js";
import { createKubernetesApi } from "./api.js";
import { keyText, ObjectCache } from "./cache.js";
import { Reflector } from "./reflector.js";
import { resources } from "./resources.js";
import type { CacheChange, KubernetesObject } from "./types.js";

/** The machine's clock, a hundred times as fast: half a second of back-off is 5 ms. */
const speed = 100;
const fastClock: Clock = {
  nowMs: () => systemClock.nowMs(),
  monotonicMs: () => systemClock.monotonicMs() * speed,
  after: (delayMs, task) => systemClock.after(delayMs / speed, task),
  every: (periodMs, task) => systemClock.every(periodMs / speed, task),
};

const events = fc.nat(4);
const trick: fc.Arbitrary<Trick> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("cut" as const), bytes: fc.nat(600) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("end" as const), events }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("status" as const),
      status: fc.constantFrom(410 as const, 429 as const, 500 as const, 503 as const),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("expire" as const), events }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("garbage" as const), events }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("repeat" as const), seed: fc.nat(100) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("silence" as const), head: fc.boolean() }) },
);

type Change = { readonly kind: "write" | "delete"; readonly name: number } | { readonly kind: "wait"; readonly ms: number };
const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("write" as const), name: fc.nat(6) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("delete" as const), name: fc.nat(6) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.nat(12) }) },
);

/** What was told, replayed: every change must fit what came before it, and nobody comes twice. */
class Replay {
  readonly objects = new Map<string, KubernetesObject>();
  readonly faults: string[] = [];
  readonly #came = new Set<string>();

  take(told: CacheChange<KubernetesObject>): void {
    const { metadata } = told.kind === "deleted" ? told.before : told.after;
    const key = keyText(metadata);
    const known = this.objects.get(key);
    if (told.kind === "added" ? known !== undefined : known !== told.before) this.faults.push(`${told.kind} ${key} does not follow`);
    if (told.kind === "added" && this.#came.has(metadata.uid ?? "")) this.faults.push(`${key} ${metadata.uid} was added twice`);
    if (told.kind === "added") this.#came.add(metadata.uid ?? "");
    if (told.kind === "deleted") this.objects.delete(key);
    else this.objects.set(key, told.after);
  }
}

const versionsOf = (objects: Iterable<KubernetesObject>) =>
  [...objects].map(({ metadata: { name, uid, resourceVersion } }) => `${name} ${uid} ${resourceVersion}`).sort();

interface Plot {
  readonly lists: readonly Trick[];
  readonly watches: readonly Trick[];
  readonly changes: readonly Change[];
}

async function play({ lists, watches, changes }: Plot): Promise<void> {
  const server = new HostileApiServer();
  server.tricks.list.push(...lists);
  server.tricks.watch.push(...watches);
  for (let i = 0; i < 5; i += 1) server.write(`n${i}`);
  const port = await server.start();
  const logger = createLogger("test", "silent");
  const kubeConfig = {
    getCurrentCluster: () => ({ name: "c", server: `http://127.0.0.1:${port}`, skipTLSVerify: true }),
    applyToHTTPSOptions: async () => undefined,
  };
  const api = createKubernetesApi({ kubeConfig, fieldManager: "test", logger, clock: fastClock });
  const cache = new ObjectCache<KubernetesObject>();
  const replay = new Replay();
  const onChange = (told: CacheChange<KubernetesObject>) => replay.take(told);
  const resource = resources.pods;
  const reflector = new Reflector<KubernetesObject>({ api, resource, cache, onChange, clock: fastClock, random: Math.random, logger });
  reflector.start();
  try {
    for (const one of changes) {
      if (one.kind === "wait") await new Promise((resolve) => setTimeout(resolve, one.ms));
      else if (one.kind === "write") server.write(`n${one.name}`);
      else server.delete(`n${one.name}`);
    }
    const same = () => JSON.stringify(versionsOf(cache.list())) === JSON.stringify(versionsOf(server.truth.values()));
    await waitFor(() => server.tricks.watch.length === 0 && cache.synced && same(), {
      what: "the cache to be the server's truth",
      deadlineMs: 15_000,
    });
    expect(replay.faults).toEqual([]);
    expect(versionsOf(replay.objects.values())).toEqual(versionsOf(cache.list()));
    expect(cache.list().every(({ metadata }) => metadata.managedFields === undefined)).toBe(true);
  } finally {
    await reflector.stop();
    await api.close();
    await server.stop();
  }
}

test("a reflector ends with the server's truth, and tells each object once, whatever the server does to its answers", {
  timeout: 60_000,
}, async () => {
  const plot = fc.record({
    lists: fc.array(trick, { maxLength: 4 }),
    watches: fc.array(trick, { maxLength: 8, size: "max" }),
    changes: fc.array(change, { maxLength: 40, size: "max" }),
  });
  const numRuns = Number(process.env["PUSHFLEET_WATCH_STORIES"] ?? 20);
  await fc.assert(fc.asyncProperty(plot, play), { numRuns, endOnFailure: true });
});

test("a watch that is cut at any byte goes on where it was", { timeout: 60_000 }, async () => {
  // Three events of about 160 bytes: cuts all along them, each after a list of three pages and before a whole watch.
  const cuts = Array.from({ length: 30 }, (_, index) => index * 16 + (index % 16));
  for (const bytes of cuts) {
    const writes = [1, 2, 3].map((name) => ({ kind: "write" as const, name }));
    await play({ lists: [], watches: [{ kind: "cut", bytes }], changes: [{ kind: "wait", ms: 10 }, ...writes] });
  }
});
