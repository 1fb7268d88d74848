import type { Registry } from "prom-client";
import { sharedCounter } from "./metrics.js";

export interface ReflectorMetrics {
  readonly lists: { inc(): void };
  readonly watches: { inc(): void };
  readonly events: { inc(): void };
  failed(operation: "list" | "watch", kind: string): void;
}

/** Those of one resource, from zero. */
export function reflectorMetrics(registry: Registry, resource: string): ReflectorMetrics {
  const labelNames = ["resource"] as const;
  const counter = (name: string, help: string) => {
    const child = sharedCounter(registry, { name, help, labelNames }).labels({ resource });
    child.inc(0);
    return child;
  };
  const errors = sharedCounter(registry, {
    name: "reflector_errors_total",
    help: "Lists and watches that ended otherwise than they should, by what the API server or the network answered",
    labelNames: ["resource", "operation", "kind"],
  });
  return {
    lists: counter("reflector_lists_total", "Whole lists of a resource that were begun"),
    watches: counter("reflector_watches_total", "Watches of a resource that were begun"),
    events: counter("reflector_events_total", "Events of watches, bookmarks among them"),
    failed: (operation, kind) => errors.inc({ resource, operation, kind }),
  };
}
