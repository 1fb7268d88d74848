import { limits } from "@pushfleet/protocol";
import type { EventRecorder } from "../api/events.js";
import { resources } from "../api/resources.js";
import type { KubernetesApi } from "../api/types.js";
import type { FleetCaches, PushGatewayObject } from "./fleet-caches.js";
import { withAdvice } from "./what-helps.js";

/** Keeps a deleted PushGateway until its clients were closed within the budget. */
export const drainFinalizer = "pushfleet.dev/drain";

export interface FinalizerParts {
  readonly api: KubernetesApi;
  readonly caches: { readonly pushGateways: Pick<FleetCaches["pushGateways"], "list" | "overlay"> };
  readonly events: Pick<EventRecorder, "record">;
}

/** "refused": somebody does not let us; without it a deleted fleet's gateways drain by themselves. "unanswered": it may be the same for now (a
 *  webhook that is away). "later": try again soon. */
export type Finalized = { readonly kind: "there" | "later" } | { readonly kind: "refused" | "unanswered"; readonly message: string };

export async function addFinalizer(object: PushGatewayObject, parts: FinalizerParts): Promise<Finalized> {
  const finalizers = object.metadata.finalizers ?? [];
  if (finalizers.includes(drainFinalizer)) return { kind: "there" };
  return await writeFinalizers(object, [...finalizers, drainFinalizer], parts);
}

/** After its drain's deadline and grace a fleet's deletion waits no longer: something holds its pods that is not ours. */
export function isFinalizerOverdue({ metadata, spec }: PushGatewayObject, nowMs: number): boolean {
  if (metadata.deletionTimestamp === undefined) return false;
  const { deadlineSeconds, stragglerGraceSeconds } = spec.drain;
  return nowMs >= Date.parse(metadata.deletionTimestamp) + (deadlineSeconds + stragglerGraceSeconds) * 1000 + limits.finalizerSlackMs;
}

/** As `giveFree`; answers whether it was done. */
export async function releaseFleet(object: PushGatewayObject, left: readonly string[], parts: FinalizerParts): Promise<boolean> {
  return (await giveFree(object, left, parts)) === "there";
}

/** Gives the object free; what it owns goes by the garbage collector. `left`: pods that are still there. "there": it was done. */
export async function giveFree(object: PushGatewayObject, left: readonly string[], parts: FinalizerParts): Promise<Finalized["kind"]> {
  const others = (object.metadata.finalizers ?? []).filter((one) => one !== drainFinalizer);
  const written = await writeFinalizers(object, others, parts);
  const about = { regarding: object, type: "Warning", action: "Release" } as const;
  if (written.kind === "refused") {
    const note = `the PushGateway stays until the finalizer ${drainFinalizer} can be taken away: ${withAdvice(written.message)}`;
    parts.events.record({ ...about, reason: "ReleaseRefused", note });
  } else if (written.kind === "there" && left.length > 0) {
    const names = left.slice(0, limits.podNamesTold).join(", ");
    const note = `the drain's deadline and grace are over and ${left.length} pods are left (${names}): the fleet is given free, they end by themselves`;
    parts.events.record({ ...about, reason: "DrainGivenUp", note });
  }
  return written.kind;
}

/** With the resourceVersion as precondition: the list is written whole, and others have finalizers too. */
async function writeFinalizers(
  object: PushGatewayObject,
  finalizers: readonly string[],
  { api, caches }: FinalizerParts,
): Promise<Finalized> {
  const { namespace = "", name, uid, resourceVersion } = object.metadata;
  const result = await api.patch(resources.pushGateways, { namespace, name }, { metadata: { uid, resourceVersion, finalizers } });
  if (result.kind === "ok") caches.pushGateways.overlay(result.object);
  if (result.kind === "ok" || result.kind === "notFound") return { kind: "there" };
  if (result.kind === "unavailable") return { kind: "unanswered", message: result.message };
  return result.kind === "refused" ? { kind: "refused", message: result.message } : { kind: "later" };
}
