import { limits } from "@pushfleet/protocol";
import { createLogger, ManualClock } from "@pushfleet/service";
import fc from "fast-check";
import { Registry } from "prom-client";
import { describe, expect, test } from "vitest";
import { type Reconciled, ReconcileTimeout, WorkQueue } from "./work-queue.js";

const done: Reconciled = { kind: "done" };
const again = (afterMs: number): Reconciled => ({ kind: "again", afterMs });
/** Some rounds of the event loop: a key begins in each. */
const settle = async () => {
  for (let round = 0; round < 4; round += 1) await new Promise((resolve) => setImmediate(resolve));
};

interface Run {
  readonly key: string;
  readonly signal: AbortSignal;
  readonly atMs: number;
  end(outcome: Reconciled | Error): void;
}

/** A queue whose reconciles end when the test says so. */
function open({ concurrency = 2, timeoutMs = 60_000, signal }: { concurrency?: number; timeoutMs?: number; signal?: AbortSignal } = {}) {
  const clock = new ManualClock();
  const metrics = new Registry();
  const runs: Run[] = [];
  const running = new Map<string, Run>();
  let overlaps = 0;
  const queue = new WorkQueue({
    name: "fleet",
    concurrency,
    timeoutMs,
    clock,
    metrics,
    logger: createLogger("test", "silent"),
    ...(signal === undefined ? {} : { signal }),
    reconcile: (key, of) =>
      new Promise((resolve, reject) => {
        if (running.has(key)) overlaps += 1;
        const run: Run = {
          key,
          signal: of,
          atMs: clock.monotonicMs(),
          end(outcome) {
            running.delete(key);
            if (outcome instanceof Error) reject(outcome);
            else resolve(outcome);
          },
        };
        running.set(key, run);
        runs.push(run);
      }),
  });
  const end = async (key: string, outcome: Reconciled | Error = done) => {
    running.get(key)?.end(outcome);
    await settle();
  };
  const pass = async (ms: number) => {
    clock.advance(ms);
    await settle();
  };
  const metric = async (line: string) => {
    const text = await metrics.metrics();
    return text
      .split("\n")
      .find((one) => one.startsWith(`${line} `))
      ?.slice(line.length + 1);
  };
  return { clock, queue, runs, running, end, pass, metric, keys: () => runs.map(({ key }) => key), overlapped: () => overlaps };
}

describe("a work queue", () => {
  test("runs a key that is added many times once, and once more when it is added while it runs", async () => {
    const { queue, end, keys } = open();
    for (let i = 0; i < 3; i += 1) queue.add("a");
    await settle();
    expect(keys()).toEqual(["a"]);
    for (let i = 0; i < 3; i += 1) queue.add("a");
    await end("a");
    expect(keys()).toEqual(["a", "a"]);
    await end("a");
    expect(keys()).toEqual(["a", "a"]);
  });

  test("does not begin within the call that adds", () => {
    const { queue, runs } = open();
    queue.add("a");
    expect(runs).toEqual([]);
  });

  test("serves keys in the order they came; one that is busy gets back in line", async () => {
    const { queue, end, keys } = open({ concurrency: 1 });
    queue.add("busy");
    await settle();
    for (const key of ["busy", "b", "c"]) queue.add(key);
    for (const key of ["busy", "b", "c"]) {
      await end(key);
      queue.add("busy");
    }
    expect(keys()).toEqual(["busy", "b", "c", "busy"]);
  });

  test("looks again after the time a reconcile names, or the earliest wish", async () => {
    const { queue, end, pass, runs } = open();
    queue.add("a");
    await settle();
    await end("a", again(500));
    queue.addAfter("a", 800);
    queue.addAfter("a", 300);
    queue.addAfter("a", 400);
    await pass(299);
    expect(runs.length).toBe(1);
    await pass(1);
    expect(runs.length).toBe(2);
    await end("a");
    await pass(10_000);
    expect(runs.length).toBe(2);
    queue.addAfter("b", 0);
    await settle();
    expect(runs.length).toBe(3);
  });

  test("lets what else is due go between two keys that are", async () => {
    const { queue, runs, end } = open();
    queue.add("a");
    queue.add("b");
    await new Promise((resolve) => setImmediate(resolve));
    expect(runs.map(({ key }) => key)).toEqual(["a"]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(runs.map(({ key }) => key)).toEqual(["a", "b"]);
    await end("a");
    await end("b");
  });

  test("tries a failed key again ever more slowly, up to a minute, and forgets it on success", async () => {
    const { queue, end, clock, runs, running } = open();
    const nextRun = async () => {
      const fromMs = clock.monotonicMs();
      const before = runs.length;
      for (let waited = 0; runs.length === before && waited < 100_000; waited += 5) {
        clock.advance(5);
        await settle();
      }
      return (running.get("a")?.atMs ?? 0) - fromMs;
    };
    queue.add("a");
    await settle();
    const waits: number[] = [];
    for (let failures = 0; failures < 16; failures += 1) {
      await end("a", new Error("no"));
      waits.push(await nextRun());
    }
    expect(waits).toEqual([5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10240, 20480, 40960, 60000, 60000]);
    await end("a");
    queue.add("a");
    await settle();
    await end("a", new Error("no"));
    expect(await nextRun()).toBe(limits.workQueueBackOffMinMs);
  });

  test("an event does not wait for the back-off of its key", async () => {
    const { queue, end, pass, runs } = open();
    queue.add("a");
    await settle();
    for (let i = 0; i < 10; i += 1) {
      await end("a", new Error("no"));
      await pass(limits.workQueueBackOffMaxMs);
    }
    await end("a", new Error("no"));
    const before = runs.length;
    queue.add("a");
    await settle();
    expect(runs.length).toBe(before + 1);
  });

  test("gives the place of a reconcile that does not end to others, but never its key", async () => {
    const { queue, end, pass, keys, runs, metric, overlapped } = open({ concurrency: 1, timeoutMs: 1_000 });
    queue.add("stuck");
    queue.add("b");
    await settle();
    queue.add("stuck");
    await pass(999);
    expect(keys()).toEqual(["stuck"]);
    await pass(1);
    expect(keys()).toEqual(["stuck", "b"]);
    expect(runs[0]?.signal.reason).toBeInstanceOf(ReconcileTimeout);
    await pass(500);
    expect(await metric('workqueue_unfinished_work_seconds{name="fleet"}')).toBe("2");
    expect(await metric('workqueue_longest_running_processor_seconds{name="fleet"}')).toBe("1.5");
    await end("b");
    expect(await metric('controller_runtime_reconcile_timeouts_total{controller="fleet"}')).toBe("1");
    await end("stuck", new Error("told to end"));
    expect(keys()).toEqual(["stuck", "b", "stuck"]);
    expect(overlapped()).toBe(0);
  });

  test("stops after what runs, and begins nothing more", async () => {
    const { queue, end, pass, keys } = open({ concurrency: 1 });
    queue.add("a");
    queue.add("b");
    queue.addAfter("c", 10);
    await settle();
    let stopped = false;
    const stop = queue.stop().then(() => {
      stopped = true;
    });
    queue.add("a");
    await pass(100);
    expect(stopped).toBe(false);
    await end("a", again(5));
    await stop;
    await pass(1_000);
    expect(keys()).toEqual(["a"]);
    await queue.stop();
  });

  test("does not wait for ever for what is stuck", async () => {
    const { queue, pass } = open({ timeoutMs: 1_000 });
    queue.add("stuck");
    await settle();
    const stop = queue.stop();
    await pass(1_000);
    await stop;
  });

  test("ends with its signal: what runs is told, nothing begins", async () => {
    const leading = new AbortController();
    const { queue, runs, end, keys } = open({ concurrency: 1, signal: leading.signal });
    queue.add("a");
    queue.add("b");
    await settle();
    const reason = new Error("no longer leading");
    leading.abort(reason);
    expect(runs[0]?.signal.reason).toBe(reason);
    await end("a", new Error("aborted"));
    queue.add("c");
    await settle();
    expect(keys()).toEqual(["a"]);
    await queue.stop();
  });

  test("counts as client-go and controller-runtime do, from zero", async () => {
    const { queue, end, pass, metric } = open({ concurrency: 1 });
    const zero = [
      'workqueue_depth{name="fleet"}',
      'workqueue_adds_total{name="fleet"}',
      'workqueue_retries_total{name="fleet"}',
      'workqueue_unfinished_work_seconds{name="fleet"}',
      'workqueue_queue_duration_seconds_count{name="fleet"}',
      'workqueue_work_duration_seconds_count{name="fleet"}',
      'controller_runtime_reconcile_total{controller="fleet",result="success"}',
      'controller_runtime_reconcile_total{controller="fleet",result="requeue_after"}',
      'controller_runtime_reconcile_total{controller="fleet",result="error"}',
      'controller_runtime_reconcile_errors_total{controller="fleet"}',
      'controller_runtime_reconcile_time_seconds_count{controller="fleet"}',
    ];
    for (const line of zero) expect([line, await metric(line)]).toEqual([line, "0"]);
    queue.add("a");
    queue.add("b");
    queue.add("b");
    await settle();
    expect(await metric('workqueue_depth{name="fleet"}')).toBe("1");
    expect(await metric('controller_runtime_active_workers{controller="fleet"}')).toBe("1");
    await pass(2_000);
    await end("a", again(60_000));
    await end("b", new Error("no"));
    await pass(5);
    await end("b");
    const counted = async (line: string) => await metric(line);
    expect(await counted('workqueue_adds_total{name="fleet"}')).toBe("3");
    expect(await counted('workqueue_retries_total{name="fleet"}')).toBe("1");
    expect(await counted('workqueue_queue_duration_seconds_sum{name="fleet"}')).toBe("2");
    expect(await counted('workqueue_work_duration_seconds_sum{name="fleet"}')).toBe("2");
    expect(await counted('controller_runtime_reconcile_total{controller="fleet",result="success"}')).toBe("1");
    expect(await counted('controller_runtime_reconcile_total{controller="fleet",result="requeue_after"}')).toBe("1");
    expect(await counted('controller_runtime_reconcile_total{controller="fleet",result="error"}')).toBe("1");
    expect(await counted('controller_runtime_reconcile_errors_total{controller="fleet"}')).toBe("1");
  });

  test("shares its metrics with other queues of the registry", async () => {
    const metrics = new Registry();
    const clock = new ManualClock();
    const rest = { concurrency: 1, timeoutMs: 1_000, clock, metrics, logger: createLogger("test", "silent"), reconcile: async () => done };
    new WorkQueue({ name: "one", ...rest }).add("a");
    new WorkQueue({ name: "two", ...rest });
    await settle();
    const text = await metrics.metrics();
    expect(text).toContain('workqueue_adds_total{name="one"} 1');
    expect(text).toContain('workqueue_adds_total{name="two"} 0');
    expect(text).toContain('workqueue_depth{name="two"} 0');
  });
});

type Step =
  | { readonly kind: "add"; readonly key: string }
  | { readonly kind: "addAfter"; readonly key: string; readonly ms: number }
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "end"; readonly nth: number; readonly outcome: "done" | "again" | "failed" };

const key = fc.constantFrom("a", "b", "c", "d", "e");
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant("add" as const), key }),
  fc.record({ kind: fc.constant("addAfter" as const), key, ms: fc.nat(2_000) }),
  fc.record({ kind: fc.constant("pass" as const), ms: fc.nat(1_500) }),
  fc.record({
    kind: fc.constant("end" as const),
    nth: fc.nat(4),
    outcome: fc.constantFrom("done" as const, "again" as const, "failed" as const),
  }),
);

test("no key runs twice at once, none is forgotten, none waits for one that is stuck", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 3 }), fc.array(step, { maxLength: 60, size: "max" }), async (concurrency, steps) => {
      const timeoutMs = 1_000;
      const { queue, runs, running, clock, pass, overlapped } = open({ concurrency, timeoutMs });
      /** When each key has to have begun again: at or after this. */
      const wanted = new Map<string, number>();
      const want = (of: string, ms: number) => wanted.set(of, Math.max(clock.monotonicMs() + ms, wanted.get(of) ?? 0));
      for (const one of steps) {
        if (one.kind === "add") {
          queue.add(one.key);
          want(one.key, 0);
        } else if (one.kind === "addAfter") {
          queue.addAfter(one.key, one.ms);
          want(one.key, 0); // an earlier wish may stand for it
        } else if (one.kind === "pass") clock.advance(one.ms);
        else {
          const run = [...running.values()][one.nth % Math.max(1, running.size)];
          if (run !== undefined && one.outcome === "failed") want(run.key, 0);
          run?.end(one.outcome === "done" ? done : one.outcome === "again" ? again(700) : new Error("no"));
        }
        await settle();
        const inTime = [...running.values()].filter(({ atMs }) => clock.monotonicMs() < atMs + timeoutMs);
        expect(inTime.length).toBeLessThanOrEqual(concurrency);
        expect(overlapped()).toBe(0);
      }
      // One key stays stuck for ever; all the others get their turn.
      const stuck = [...running.keys()][0];
      for (let turn = 0; turn < 60; turn += 1) {
        for (const run of [...running.values()]) if (run.key !== stuck) run.end(done);
        await pass(500);
      }
      for (const [of, atMs] of wanted) {
        const last = runs.filter((run) => run.key === of).at(-1);
        if (of !== stuck) expect(last?.atMs, of).toBeGreaterThanOrEqual(atMs);
      }
      expect(overlapped()).toBe(0);
    }),
    { numRuns: 100 },
  );
});

test("among keys that wait, the one added first begins first", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(key, { minLength: 1, maxLength: 40, size: "max" }),
      fc.integer({ min: 1, max: 3 }),
      async (adds, concurrency) => {
        const { queue, runs, running } = open({ concurrency });
        for (const one of adds) queue.add(one);
        const order = [...new Set(adds)];
        for (let turn = 0; turn <= order.length; turn += 1) {
          await settle();
          for (const run of [...running.values()]) run.end(done);
        }
        expect(runs.map((run) => run.key)).toEqual(order);
      },
    ),
  );
});
