import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Outcomes } from "./deliverer.js";

/** Names as in docs; each starts at zero. One registry for each router, so that several can live in a process. */
export function createRouterMetrics(inFlight: () => number) {
  const registers = [new Registry()] as const;
  const outcomes = new Counter({
    name: "pushfleet_router_outcomes_total",
    help: "Outcomes of deliveries, by device",
    labelNames: ["outcome"],
    registers: [...registers],
  });
  const deadLetters = new Counter({
    name: "pushfleet_router_dead_letters_total",
    help: "Records sent to the dead-letter topic",
    labelNames: ["reason"],
    registers: [...registers],
  });
  const hop = new Histogram({
    name: "pushfleet_router_hop_seconds",
    help: "From a gRPC batch to its outcomes",
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers: [...registers],
  });
  new Gauge({
    name: "pushfleet_router_in_flight",
    help: "Notifications under way, one for each user",
    registers: [...registers],
    collect() {
      this.set(inFlight());
    },
  });
  const names = ["written", "offline", "stale", "overflow", "resync"] as const;
  for (const outcome of names) outcomes.inc({ outcome }, 0);
  for (const reason of ["bad_record", "store_failed"]) deadLetters.inc({ reason }, 0);
  const totals = { accepted: 0, deliveries: 0, written: 0, offline: 0, stale: 0, overflow: 0, deadLettered: 0 };
  return {
    registry: registers[0],
    totals,
    onHop: (seconds: number) => hop.observe(seconds),
    onDeadLetter: (reason: "bad_record" | "store_failed") => {
      deadLetters.inc({ reason });
      totals.deadLettered++;
    },
    onOutcomes: (one: Outcomes) => {
      for (const outcome of names) if (one[outcome] > 0) outcomes.inc({ outcome }, one[outcome]);
      totals.accepted++;
      totals.deliveries += one.written + one.stale + one.overflow + one.resync;
      totals.written += one.written;
      totals.offline += one.offline;
      totals.stale += one.stale;
      totals.overflow += one.overflow;
    },
  };
}
