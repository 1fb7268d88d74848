import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { DeadLetterReason } from "./dead-letter.js";
import type { Published } from "./publisher.js";
import type { UserDelivery } from "./user-delivery.js";

/** What gauges read when they are asked. */
export interface RouterGauges {
  readonly inFlight: () => number;
  readonly lag: () => number;
  readonly workers: () => number;
}

export interface RouterTotals {
  /** Notifications stored and with all their outcomes, counted for each user. */
  readonly accepted: number;
  /** Outcomes of devices that were connected. */
  readonly deliveries: number;
  readonly written: number;
  readonly offline: number;
  readonly stale: number;
  readonly overflow: number;
  readonly deadLettered: number;
}

export type RouterMetrics = ReturnType<typeof createRouterMetrics>;

/** Names as in docs; each starts at zero. One registry for each router, so that several can live in a process. What is counted for each delivery
 *  is a plain number, read when the metrics are asked for. */
export function createRouterMetrics(gauges: RouterGauges) {
  const registry = new Registry();
  const kafka = { done: 0, failed: 0, abandoned: 0 };
  const publish = { done: 0, failed: 0, abandoned: 0 };
  const reads = { done: 0, failed: 0, abandoned: 0 };
  const outcomes = { written: 0, offline: 0, stale: 0, overflow: 0 };
  const deadLetters = { bad_record: 0, store_failed: 0 };
  const publishes = { 202: 0, 400: 0, 413: 0, 429: 0, 503: 0 };
  const resyncs = { resyncs: 0 };

  counter(
    registry,
    "notifications_total",
    "Notifications that ended, for each user",
    ["source", "result"],
    [...labelled("result", kafka, { source: "kafka" }), ...labelled("result", publish, { source: "publish" })],
  );
  counter(registry, "outcomes_total", "Outcomes of notifications, by device", ["outcome"], labelled("outcome", outcomes));
  counter(registry, "dead_letters_total", "Records in the dead-letter topic", ["reason"], labelled("reason", deadLetters));
  counter(registry, "publishes_total", "Answers to requests to publish, by HTTP status", ["status"], labelled("status", publishes));
  counter(registry, "read_marks_total", "Read marks sent to the user's other devices", ["result"], labelled("result", reads));
  counter(registry, "resyncs_total", "Deliveries counted because a silent worker will send gap", [], [[{}, () => resyncs.resyncs]]);
  const hop = histogram(registry, "hop_seconds", "From a gRPC batch to its outcomes");
  const append = histogram(registry, "append_seconds", "Appends to the store, a batch at a time");
  gauge(registry, "in_flight", "Deliveries under way, one for each notification and user", gauges.inFlight);
  gauge(registry, "lag", "Records behind what is committed, over the partitions of this router", gauges.lag);
  gauge(registry, "workers", "Gateway workers with a channel", gauges.workers);

  return {
    registry,
    totals: (): RouterTotals => ({
      accepted: kafka.done + publish.done,
      deliveries: outcomes.written + outcomes.stale + outcomes.overflow,
      ...outcomes,
      deadLettered: deadLetters.bad_record + deadLetters.store_failed,
    }),
    onHop: (seconds: number): void => hop.observe(seconds),
    onAppend: (seconds: number): void => append.observe(seconds),
    onResync: (count: number): void => {
      resyncs.resyncs += count;
    },
    onPublished: ({ status }: Published): void => {
      publishes[status]++;
    },
    onDeadLetter: (reason: DeadLetterReason): void => {
      deadLetters[reason]++;
    },
    onFinished: ({ origin, state, result }: UserDelivery): void => {
      if (result === "under_way") return;
      if (origin.source === "read_mark") {
        reads[result]++;
        return;
      }
      (origin.source === "kafka" ? kafka : publish)[result]++;
      if (result !== "done") return;
      outcomes.written += state.written;
      outcomes.offline += state.offline;
      outcomes.stale += state.stale;
      outcomes.overflow += state.overflow;
    },
  };
}

type Labels = Readonly<Record<string, string>>;
type Series = readonly [labels: Labels, read: () => number];

/** One series for each member of `counts`, its name as the label. */
function labelled<Name extends string | number>(
  label: string,
  counts: Readonly<Record<Name, number>>,
  others: Labels = {},
): readonly Series[] {
  return (Object.keys(counts) as Name[]).map((name) => [{ ...others, [label]: String(name) }, () => counts[name]]);
}

function counter(registry: Registry, name: string, help: string, labelNames: readonly string[], series: readonly Series[]): void {
  new Counter({
    name: `pushfleet_router_${name}`,
    help,
    labelNames: [...labelNames],
    registers: [registry],
    collect() {
      this.reset();
      for (const [labels, read] of series) this.inc(labels, read());
    },
  });
}

function histogram(registry: Registry, name: string, help: string): Histogram {
  const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
  return new Histogram({ name: `pushfleet_router_${name}`, help, buckets, registers: [registry] });
}

function gauge(registry: Registry, name: string, help: string, read: () => number): void {
  new Gauge({
    name: `pushfleet_router_${name}`,
    help,
    registers: [registry],
    collect() {
      this.set(read());
    },
  });
}
