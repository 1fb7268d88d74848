import { limits } from "@pushfleet/protocol";
import type { Clock } from "@pushfleet/service";
import { scaleRouters } from "../../core/index.js";
import { type Fleet, ports, routerName } from "../objects/index.js";
import type { FleetCaches } from "./fleet-caches.js";
import { isOver } from "./observe-pod.js";

export interface RouterScalerParts {
  readonly caches: Pick<FleetCaches, "pods" | "owned">;
  readonly clock: Clock;
  /** Text of an HTTP GET; rejects for anything but 200. */
  readonly fetchText: (url: string) => Promise<string>;
}

/** How many routers a fleet has, by what they say of their lag. */
export class RouterScaler {
  readonly #parts: RouterScalerParts;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #replicas: number | undefined;
  #shrinkableSinceMs: number | undefined;

  constructor(parts: RouterScalerParts) {
    this.#parts = parts;
  }

  async replicas(fleet: Fleet): Promise<number> {
    const { minReplicas, maxReplicas } = fleet.spec.router;
    const nowMs = this.#parts.clock.monotonicMs();
    const isDue = nowMs - this.#lookedAtMs >= limits.routerLagPeriodMs;
    if (isDue) this.#lookedAtMs = nowMs;
    const lag = isDue && minReplicas < maxReplicas ? await this.#lag(fleet) : undefined;
    const current = this.#replicas ?? this.#deployed(fleet);
    const { replicas, shrinkableSinceMs } = scaleRouters({
      minReplicas,
      maxReplicas,
      current,
      lag,
      shrinkableSinceMs: this.#shrinkableSinceMs,
      nowMs,
    });
    if (isDue) this.#shrinkableSinceMs = shrinkableSinceMs;
    this.#replicas = replicas;
    return replicas;
  }

  /** What a leader before this one came to. */
  #deployed(fleet: Fleet): number | undefined {
    const deployments = this.#parts.caches.owned.get("Deployment")?.cache.byIndex("owner", fleet.uid) ?? [];
    const found = deployments.find((one) => one.metadata.name === routerName(fleet)) as
      | { readonly spec?: { readonly replicas?: number } }
      | undefined;
    return found?.spec?.replicas;
  }

  /** Over all partitions; `undefined` unless every router has said its part. Without Kafka nobody is behind, also where there was one before. */
  async #lag(fleet: Fleet): Promise<number | undefined> {
    if (fleet.spec.router.kafka === undefined) return 0;
    const pods = this.#parts.caches.pods.byIndex("router", `${fleet.namespace}/${fleet.name}`);
    const running = pods.filter((pod) => pod.metadata.deletionTimestamp === undefined && pod.status?.podIP !== undefined && !isOver(pod));
    if (running.length === 0) return undefined;
    const lags = await Promise.all(
      running.map(async (pod) => {
        try {
          return lagIn(await this.#parts.fetchText(`http://${hostOf(pod.status?.podIP ?? "")}:${ports.routerAdmin}/metrics`));
        } catch {
          return undefined; // it starts, or is gone: the next look asks again
        }
      }),
    );
    return lags.every((lag) => lag !== undefined) ? lags.reduce((sum, lag) => sum + lag, 0) : undefined;
  }
}

/** The gauge of router-metrics.ts in Prometheus text. */
export function lagIn(text: string): number | undefined {
  const value = /^pushfleet_router_lag(?:\{[^}]*\})? (\S+)/m.exec(text)?.[1];
  return value === undefined || Number.isNaN(Number(value)) ? undefined : Number(value);
}

function hostOf(ip: string): string {
  return ip.includes(":") ? `[${ip}]` : ip;
}
