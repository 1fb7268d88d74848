import { Registry } from "prom-client";
import { sharedCounter, sharedGauge, sharedHistogram } from "./metrics.js";

/** `controller_runtime_reconcile_total{result}`: one for each outcome. */
export const reconcileResults = ["success", "requeue_after", "error"] as const;
export type ReconcileResult = (typeof reconcileResults)[number];

/** What a queue is asked for when somebody looks. */
export interface QueueState {
  /** Keys that wait. */
  readonly depth: number;
  readonly active: number;
  /** Seconds that each reconcile under way has taken so far. */
  readonly runningSeconds: readonly number[];
}

export interface WorkQueueMetrics {
  added(): void;
  retried(): void;
  begun(waitedSeconds: number): void;
  ended(result: ReconcileResult, workedSeconds: number): void;
  timedOut(): void;
}

// As client-go and controller-runtime have them.
const queueBounds = [1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10, 100, 1000];
const reconcileBounds = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.25, 1.5, 1.75, 2, 2.5, 3, 3.5, 4, 4.5,
  5, 6, 7, 8, 9, 10, 15, 20, 25, 30, 40, 50, 60,
];

/** Metrics of the queue `name` under the names of client-go and controller-runtime, so that their dashboards and alerts work; from zero. */
export function workQueueMetrics(
  registry: Registry | undefined,
  name: string,
  concurrency: number,
  state: () => QueueState,
): WorkQueueMetrics {
  const metrics = registry ?? new Registry();
  const queue = { labelNames: ["name"] as const };
  const counter = (metric: string, help: string) => {
    const child = sharedCounter(metrics, { name: metric, help, ...queue }).labels({ name });
    child.inc(0);
    return child;
  };
  const histogram = (metric: string, help: string) => {
    const shared = sharedHistogram(metrics, { name: metric, help, ...queue, buckets: queueBounds });
    shared.zero({ name });
    return shared.labels({ name });
  };
  const controller = { labelNames: ["controller"] as const };
  const results = sharedCounter(metrics, {
    name: "controller_runtime_reconcile_total",
    help: "Reconciles by result",
    labelNames: ["controller", "result"],
  });
  for (const result of reconcileResults) results.inc({ controller: name, result }, 0);
  const errors = sharedCounter(metrics, {
    name: "controller_runtime_reconcile_errors_total",
    help: "Reconciles that failed",
    ...controller,
  });
  const timeouts = sharedCounter(metrics, {
    name: "controller_runtime_reconcile_timeouts_total",
    help: "Reconciles past their timeout",
    ...controller,
  });
  const times = sharedHistogram(metrics, {
    name: "controller_runtime_reconcile_time_seconds",
    help: "Length of a reconcile",
    ...controller,
    buckets: reconcileBounds,
  });
  errors.inc({ controller: name }, 0);
  timeouts.inc({ controller: name }, 0);
  times.zero({ controller: name });
  sharedGauge(metrics, { name: "controller_runtime_max_concurrent_reconciles", help: "Places for reconciles", ...controller }).set(
    { controller: name },
    concurrency,
  );
  watchGauges(metrics, name, state);
  const adds = counter("workqueue_adds_total", "Keys added, but for those that waited already");
  const retries = counter("workqueue_retries_total", "Keys added again after a failure");
  const waited = histogram("workqueue_queue_duration_seconds", "How long a key waited");
  const worked = histogram("workqueue_work_duration_seconds", "How long a key was worked on");
  return {
    added: () => adds.inc(),
    retried: () => retries.inc(),
    begun: (seconds) => waited.observe(seconds),
    ended(result, seconds) {
      worked.observe(seconds);
      times.observe({ controller: name }, seconds);
      results.inc({ controller: name, result });
      if (result === "error") errors.inc({ controller: name });
    },
    timedOut: () => timeouts.inc({ controller: name }),
  };
}

/** Of each registry's queues, by name: read when somebody looks at the metrics. */
const states = new WeakMap<Registry, Map<string, () => QueueState>>();

function watchGauges(metrics: Registry, name: string, state: () => QueueState): void {
  const known = states.get(metrics);
  if (known !== undefined) return void known.set(name, state);
  const all = new Map([[name, state]]);
  states.set(metrics, all);
  const gauge = (metric: string, help: string, label: "name" | "controller", value: (state: QueueState) => number) =>
    sharedGauge(metrics, {
      name: metric,
      help,
      labelNames: [label],
      collect() {
        for (const [of, read] of all) this.set({ [label]: of } as Record<typeof label, string>, value(read()));
      },
    });
  gauge("workqueue_depth", "Keys that wait", "name", ({ depth }) => depth);
  gauge(
    "workqueue_unfinished_work_seconds",
    "Seconds of all reconciles under way: it grows where one is stuck",
    "name",
    ({ runningSeconds }) => runningSeconds.reduce((sum, seconds) => sum + seconds, 0),
  );
  gauge("workqueue_longest_running_processor_seconds", "Seconds of the longest reconcile under way", "name", ({ runningSeconds }) =>
    Math.max(0, ...runningSeconds),
  );
  gauge("controller_runtime_active_workers", "Reconciles that have a place", "controller", ({ active }) => active);
}
