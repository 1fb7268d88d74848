import { limits } from "@pushfleet/protocol";
import type { Clock } from "@pushfleet/service";
import { canonicalJson, type FleetSpec, inheritStatus, type KeptStatus } from "../../core/index.js";
import type { PushGatewayStatus } from "../../generated/push-gateway.js";
import { resources } from "../api/resources.js";
import type { KubernetesApi } from "../api/types.js";
import type { FleetCaches, PushGatewayObject } from "./fleet-caches.js";
import type { StatusPace } from "./status-pace.js";

export interface StatusWriterParts {
  readonly api: KubernetesApi;
  readonly caches: Pick<FleetCaches, "pushGateways">;
  readonly clock: Clock;
  readonly pace: StatusPace;
}

/** Writes a fleet's status: at once where a condition or what the next leader takes over changes; what happens to its pods (their states, the next
 *  steps) at the pace of all fleets that have such things to tell; otherwise every `limits.statusWriteMs` while its numbers change, and less often
 *  where so many fleets would ask more of the API server than `limits.statusNumbersPerSecond`. */
export class StatusWriter {
  readonly #parts: StatusWriterParts;
  #writtenAtMs = Number.NEGATIVE_INFINITY;
  /** There was something to tell, and it was too soon. */
  #owes = false;

  constructor(parts: StatusWriterParts) {
    this.#parts = parts;
  }

  /** `isTelling`: more than numbers changed since the last plan. Answers whether the object says what is wanted, or may be late with it. */
  async write(object: PushGatewayObject, wanted: PushGatewayStatus, isTelling: boolean): Promise<boolean> {
    const { api, caches } = this.#parts;
    const current = caches.pushGateways.get({ namespace: object.metadata.namespace ?? "", name: object.metadata.name }) ?? object;
    if (canonicalJson(current.status) === canonicalJson(wanted)) return true;
    this.#owes ||= isTelling;
    const nowMs = this.#parts.clock.monotonicMs();
    if (nowMs - this.#writtenAtMs < this.#spacingMs(object, nowMs) && judgements(current.status) === judgements(wanted)) return !this.#owes;
    const { namespace, name, uid } = object.metadata;
    const { apiVersion, kind } = object;
    // With its uid: another of its name would begin with the wishes of this one.
    const target = { apiVersion, kind, metadata: { name, namespace, uid }, status: wanted };
    const result = await api.apply(resources.pushGateways, target as PushGatewayObject, { subresource: "status" });
    if (result.kind !== "ok") return result.kind === "notFound";
    this.#writtenAtMs = nowMs;
    this.#owes = false;
    caches.pushGateways.overlay(result.object);
    return true;
  }

  #spacingMs({ metadata }: PushGatewayObject, nowMs: number): number {
    const { caches, pace } = this.#parts;
    return this.#owes ? pace.everyMs(metadata.uid ?? "", nowMs) : numbersEveryMs(caches.pushGateways.list().length);
  }
}

function numbersEveryMs(fleets: number): number {
  return Math.max(limits.statusWriteMs, (1000 * fleets) / limits.statusNumbersPerSecond);
}

/** What a person is alarmed by, or asked for (not messages in which numbers count down), and what `rememberedStatus` reads of the pools. */
function judgements(status: PushGatewayStatus | undefined): string {
  const conditions =
    status?.conditions?.map((one) => [one.type, one.status, one.reason, one.type === "SpecAccepted" ? one.message : ""]) ?? [];
  const pools = status?.pools?.map((one) => [one.name, one.desiredReplicas, one.pausedRevision]) ?? [];
  return JSON.stringify([status?.observedGeneration, status?.templateOutdated, conditions, pools]);
}

/** What a new leader takes over from the object: how many pods each pool should have, on which revisions a rollout has paused itself, and whether
 *  clients of lost gateways are not back. Everything else is found out again. With `dryRun` the status tells what would be wanted: nothing was
 *  done about it. */
export function rememberedStatus({ status }: PushGatewayObject, spec: FleetSpec, epoch: number, nowMs: number): KeptStatus | undefined {
  const pools = (status?.pools ?? []).map(({ name, desiredReplicas, pausedRevision }) => ({
    name,
    target: spec.dryRun ? undefined : desiredReplicas,
    pausedRevision,
  }));
  if (pools.length === 0) return undefined;
  return inheritStatus(
    { pools, connections: status?.connections ?? 0, forcedConnections: status?.budget?.forcedConnections ?? 0 },
    epoch,
    nowMs,
  );
}
