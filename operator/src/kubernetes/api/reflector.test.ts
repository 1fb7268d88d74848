import { limits } from "@pushfleet/protocol";
import { createLogger, ManualClock } from "@pushfleet/service";
import { Registry } from "prom-client";
import { describe, expect, test } from "vitest";
import { ObjectCache } from "./cache.js";
import { Reflector } from "./reflector.js";
import type {
  ApiResult,
  CacheChange,
  KubernetesApi,
  KubernetesObject,
  ListOptions,
  ObjectList,
  WatchEvent,
  WatchOptions,
} from "./types.js";

type Api = Pick<KubernetesApi, "list" | "watch">;
type Thing = KubernetesObject;
type ListAnswer = ApiResult<ObjectList<Thing>>;

const resource = { group: "", version: "v1", kind: "Thing", plural: "things", namespaced: true };
const thing = (name: string, version: number): Thing => ({
  apiVersion: "v1",
  kind: "Thing",
  metadata: { namespace: "a", name, uid: `uid-${name}`, resourceVersion: String(version) },
});
const page = (items: readonly Thing[], version: number, next?: string): ListAnswer => ({
  kind: "ok",
  object: { items, metadata: { resourceVersion: String(version), ...(next === undefined ? {} : { continue: next }) } },
});
const unavailable = { kind: "unavailable", message: "503" } as const;
const malformed = { kind: "unavailable", message: "garbage", malformed: true } as const;
const expired = { kind: "expired", message: "410" } as const;
const ended = { kind: "ok", object: "ended" } as const;

interface Watching {
  readonly options: WatchOptions;
  readonly atMs: number;
  send(event: WatchEvent<Thing>): void;
  end(result: ApiResult<"ended">): void;
}

/** A reflector on an API that answers as the test says, on a manual clock. `random` is always a half. */
function start(answers: {
  readonly list: (options: ListOptions, nth: number) => ListAnswer;
  readonly watch?: () => ApiResult<"ended"> | undefined;
}) {
  const clock = new ManualClock();
  const lists: { readonly options: ListOptions; readonly atMs: number }[] = [];
  const watches: Watching[] = [];
  const told: string[] = [];
  const api = {
    async list(_: unknown, options: ListOptions = {}) {
      lists.push({ options, atMs: clock.monotonicMs() });
      return answers.list(options, lists.length);
    },
    watch: (_: unknown, options: WatchOptions, onEvent: (event: WatchEvent<Thing>) => void) =>
      new Promise<ApiResult<"ended">>((resolve) => {
        const end = (result: ApiResult<"ended">) => {
          options.signal.removeEventListener("abort", stop);
          resolve(result);
        };
        const stop = () => end(ended);
        watches.push({ options, atMs: clock.monotonicMs(), send: onEvent, end });
        options.signal.addEventListener("abort", stop, { once: true });
        const atOnce = answers.watch?.();
        if (atOnce !== undefined) end(atOnce);
      }),
  } as unknown as Api;
  const cache = new ObjectCache<Thing>();
  const metrics = new Registry();
  const onChange = (change: CacheChange<Thing>) =>
    told.push(`${change.kind} ${(change.kind === "deleted" ? change.before : change.after).metadata.name}`);
  const logger = createLogger("test", "silent");
  const reflector = new Reflector({ api, resource, namespace: "a", cache, onChange, clock, random: () => 0.5, logger, metrics });
  reflector.start();
  /** Lets time pass in steps, and what waits for it run. */
  const pass = async (ms: number, stepMs = 125) => {
    for (let passed = 0; passed < ms; passed += stepMs) {
      clock.advance(Math.min(stepMs, ms - passed));
      await settle();
    }
  };
  const last = (): Watching => {
    const watching = watches.at(-1);
    if (watching === undefined) throw new Error("no watch yet");
    return watching;
  };
  return { clock, lists, watches, told, cache, reflector, metrics, pass, last };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

/** In the 120 s that the tests below let pass: never more often than at half of the longest pause, and a few at first. */
const attemptsMax = 120_000 / (limits.kubernetesRetryMaxMs / 2) + 10;

describe("a reflector", () => {
  test("lists page by page, then watches from the list's version", async () => {
    const { lists, watches, cache, reflector, told } = start({
      list: ({ continueToken }) => (continueToken === undefined ? page([thing("x", 1)], 10, "more") : page([thing("y", 2)], 10)),
    });
    await reflector.synced;
    await settle();
    expect(lists.map(({ options: { limit, continueToken, namespace } }) => ({ limit, continueToken, namespace }))).toEqual([
      { limit: limits.kubernetesListPage, continueToken: undefined, namespace: "a" },
      { limit: limits.kubernetesListPage, continueToken: "more", namespace: "a" },
    ]);
    expect(watches.map(({ options }) => options)).toMatchObject([{ resourceVersion: "10", namespace: "a", timeoutSeconds: 450 }]);
    expect({ told, synced: cache.synced }).toEqual({ told: ["added x", "added y"], synced: true });
    await reflector.stop();
  });

  test("goes on from the last version seen, bookmarks included, when a watch has ended at its time", async () => {
    const { pass, last, watches, lists, told, reflector } = start({ list: () => page([], 10) });
    await settle();
    last().send({ type: "ADDED", object: thing("x", 12) });
    last().send({ type: "BOOKMARK", object: { metadata: { resourceVersion: "20" } } as Thing });
    await pass(450_000, 50_000);
    last().end(ended);
    await settle();
    expect(watches.map(({ options }) => options.resourceVersion)).toEqual(["10", "20"]);
    expect({ told, lists: lists.length }).toEqual({ told: ["added x"], lists: 1 });
    await reflector.stop();
  });

  test("lists again at once when its version is too old, and tells the difference only", async () => {
    const { last, watches, told, reflector } = start({
      list: (_, nth) => (nth === 1 ? page([thing("x", 1), thing("y", 2)], 10) : page([thing("y", 2), thing("z", 30)], 40)),
    });
    await settle();
    last().send({ type: "ERROR", object: { code: 410 } });
    last().end(expired);
    await settle();
    expect(watches.map(({ options }) => options.resourceVersion)).toEqual(["10", "40"]);
    expect(told).toEqual(["added x", "added y", "added z", "deleted x"]);
    await reflector.stop();
  });

  test("begins a list anew when its token has expired", async () => {
    const { pass, lists, told, reflector } = start({
      list: ({ continueToken }, nth) => {
        if (continueToken === undefined) return page([thing(`x${nth}`, nth)], 10, "more");
        return nth === 2 ? expired : page([], 10);
      },
    });
    await pass(1_000);
    expect(lists.map(({ options }) => options.continueToken)).toEqual([undefined, "more", undefined, "more"]);
    expect(told).toEqual(["added x3"]);
    await reflector.stop();
  });

  test("gets to the end of a list whose tokens always expire before it comes back", async () => {
    const all = Array.from({ length: 1_200 }, (_, nth) => thing(`x${nth}`, nth + 1));
    const { pass, lists, cache, reflector } = start({
      list: ({ limit = 0, continueToken }) => {
        if (continueToken !== undefined) return expired;
        return page(all.slice(0, limit), 2_000, limit < all.length ? "more" : undefined);
      },
    });
    await pass(30_000);
    expect(cache.list().length).toBe(1_200);
    expect(lists.length).toBeLessThan(10);
    await reflector.stop();
  });

  test("watches from the first page's version where a later page is of another one", async () => {
    const { cache, watches, last, reflector } = start({
      list: ({ continueToken }) => (continueToken === undefined ? page([thing("m", 1)], 10, "more") : page([thing("z", 25)], 30)),
    });
    await reflector.synced;
    await settle();
    expect(watches[0]?.options.resourceVersion).toBe("10");
    last().send({ type: "ADDED", object: thing("a", 20) }); // made after the first page, where it would have stood
    last().send({ type: "ADDED", object: thing("z", 25) });
    expect(cache.list().map(({ metadata }) => metadata.name)).toEqual(["m", "z", "a"]);
    await reflector.stop();
  });

  test("asks for less when an answer is too long", async () => {
    const { lists, reflector } = start({
      list: ({ limit = 0 }) => (limit > 40 ? { kind: "refused", status: 200, reason: "AnswerTooLong", message: "" } : page([], 10)),
    });
    await reflector.synced;
    expect(lists.map(({ options }) => options.limit)).toEqual([500, 125, 32]);
    await reflector.stop();
  });

  test.each<[string, ApiResult<"ended">]>([
    ["ends at once", ended],
    ["is unavailable", unavailable],
    ["is garbage", malformed],
    ["is refused", { kind: "refused", status: 403, reason: "Forbidden", message: "" }],
    ["is not known", { kind: "notFound" }],
    ["is always too old", expired],
  ])("does not spin on a server whose watch %s", async (_, result) => {
    const { pass, watches, lists, reflector } = start({ list: () => page([], 10), watch: () => result });
    await pass(120_000);
    expect(watches.length).toBeLessThan(attemptsMax);
    expect(watches.length).toBeGreaterThan(8);
    expect(lists.length).toBeLessThan(attemptsMax);
    await reflector.stop();
  });

  test("does not spin on a server that cuts each watch after one event", async () => {
    let version = 10;
    const { pass, watches, last, reflector, told } = start({ list: () => page([], 10) });
    await settle();
    for (let turn = 0; turn < 80; turn += 1) {
      version += 1;
      last().send({ type: "ADDED", object: thing(`x${version}`, version) });
      last().end(unavailable);
      await pass(125);
    }
    expect(watches.length).toBeLessThan(40); // in 10 s
    expect(told.length).toBeGreaterThan(20);
    await reflector.stop();
  });

  test("does not spin on a server whose version is too old after each event", async () => {
    let version = 10;
    const { pass, lists, last, watches, reflector } = start({ list: () => page([], version) });
    await settle();
    for (let turn = 0; turn < 960; turn += 1) {
      if (watches.length === lists.length) {
        version += 1;
        last().send({ type: "ADDED", object: thing(`x${version}`, version) });
        last().end(expired);
      }
      await pass(125);
    }
    expect(lists.length).toBeLessThan(attemptsMax);
    expect(lists.length).toBeGreaterThan(8);
    await reflector.stop();
  });

  test("survives an API server that is away, ever more slowly, and is back within its longest pause", async () => {
    let away = true;
    const { pass, lists, cache, reflector } = start({ list: () => (away ? unavailable : page([], 10)) });
    await pass(120_000);
    expect(lists.length).toBeLessThan(attemptsMax);
    away = false;
    await pass(limits.kubernetesRetryMaxMs);
    expect(cache.synced).toBe(true);
    await reflector.stop();
  });

  test("waits as long as a server asks for", async () => {
    const { pass, lists, reflector } = start({ list: () => ({ ...unavailable, retryAfterMs: 40_000 }) });
    await pass(39_000);
    expect(lists.length).toBe(1);
    await pass(10_000);
    expect(lists.length).toBe(2);
    await reflector.stop();
  });

  test("goes on from its version after failures, and lists anew when they do not end", async () => {
    const away = start({ list: () => page([], 10), watch: () => unavailable });
    await away.pass(10_000);
    expect(away.lists.length).toBe(1);
    await away.pass(120_000);
    expect(away.lists.length).toBeGreaterThan(1);
    await away.reflector.stop();
    const garbage = start({ list: () => page([], 10), watch: () => malformed });
    await garbage.pass(5_000);
    expect(garbage.watches.length).toBeGreaterThanOrEqual(limits.kubernetesMalformedMax);
    expect(garbage.lists.length).toBe(2);
    await garbage.reflector.stop();
  });

  test("lists anew when it has heard nothing for long: the server may be behind its version", async () => {
    const { pass, last, lists, watches, reflector } = start({ list: (_, nth) => page([], nth === 1 ? 500 : 20) });
    await settle();
    await pass(450_000, 50_000);
    last().end(ended);
    await settle();
    expect(lists.length).toBe(2);
    expect(watches.at(-1)?.options.resourceVersion).toBe("20");
    await reflector.stop();
  });

  test("tells nothing after its stop, and stops within a pause", async () => {
    const { last, told, reflector } = start({ list: () => page([], 10) });
    await settle();
    const watching = last();
    await reflector.stop();
    watching.send({ type: "ADDED", object: thing("x", 12) });
    expect(told).toEqual([]);
    const pausing = start({ list: () => unavailable });
    await settle();
    await pausing.reflector.stop();
  });

  test("counts lists, watches, events and failures from zero", async () => {
    const { last, pass, metrics, reflector } = start({ list: () => page([], 10) });
    expect(await metrics.metrics()).toContain('reflector_events_total{resource="things"} 0');
    await settle();
    last().send({ type: "ADDED", object: thing("x", 12) });
    last().end(unavailable);
    await pass(1_000);
    const text = await metrics.metrics();
    expect(text).toContain('reflector_lists_total{resource="things"} 1');
    expect(text).toContain('reflector_watches_total{resource="things"} 2');
    expect(text).toContain('reflector_events_total{resource="things"} 1');
    expect(text).toContain('reflector_errors_total{resource="things",operation="watch",kind="unavailable"} 1');
    await reflector.stop();
  });
});
