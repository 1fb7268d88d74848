import { limits } from "@pushfleet/protocol";
import type { FleetStatus } from "../../core/index.js";
import { resources } from "../api/resources.js";
import type { KubernetesApi, ReadCache } from "../api/types.js";
import { acceptingGate } from "../objects/pod-template.js";
import { gateCondition, gateOf } from "./accepting-gate.js";
import type { GatewayStream } from "./gateway-stream.js";
import { inParallel } from "./in-parallel.js";
import type { Pod } from "./observe-pod.js";
import { grantOf } from "./pod-grant.js";

/** On pods that `status.replicas` counts, "true". */
export const countedLabel = "pushfleet.dev/counted";

export interface MarkParts {
  readonly api: KubernetesApi;
  readonly cache: Pick<ReadCache<Pod>, "overlay">;
  readonly streamOf: (uid: string) => Pick<GatewayStream, "report"> | undefined;
  readonly nowMs: number;
}

/** Brings the gate and the counted label of each pod up to what was planned. Answers whether all is so. A pod that changed meanwhile is left
 *  to the next reconcile, and so is the label of one that was made after the plan: it was made with the right one. */
export async function markPods(pods: readonly Pod[], status: FleetStatus, parts: MarkParts): Promise<boolean> {
  const counted = new Map(status.pods.map((pod) => [pod.name, pod.counted]));
  let isAll = true;
  await inParallel(pods, limits.podWritesAtOnce, async (pod) => {
    const isMarked = await markOne(pod, counted.get(pod.metadata.name), parts);
    isAll &&= isMarked;
  });
  return isAll;
}

/** One that is being deleted, by whomever, may go on for a whole drain: it must not be counted meanwhile. Kubernetes sends it nobody any more. */
async function markOne(pod: Pod, counted: boolean | undefined, parts: MarkParts): Promise<boolean> {
  if (pod.metadata.deletionTimestamp !== undefined) return counted !== false || (await markCounted(pod, false, parts));
  return (await markGate(pod, parts)) && (await markCounted(pod, counted, parts));
}

async function markGate(pod: Pod, parts: MarkParts): Promise<boolean> {
  const wanted = wantedGate(pod, parts.streamOf(pod.metadata.uid ?? "")?.report()?.state);
  if (wanted === undefined || wanted === gateOf(pod)) return true;
  const condition = {
    type: acceptingGate,
    ...gateCondition(pod, wanted),
    lastTransitionTime: new Date(parts.nowMs).toISOString().replace(/\.\d+Z$/, "Z"),
  };
  return await patch(pod, { status: { conditions: [condition] } }, parts, { subresource: "status", strategic: true });
}

/** `undefined`: leave it. Of a gateway that does not report nobody knows, and what it was stands. */
export function wantedGate(pod: Pod, state: string | undefined): "True" | "False" | undefined {
  const purpose = grantOf(pod)?.purpose ?? "serve";
  if (purpose !== "serve") return "False";
  if (state === undefined) return undefined;
  return state === "serving" ? "True" : "False";
}

async function markCounted(pod: Pod, counted: boolean | undefined, parts: MarkParts): Promise<boolean> {
  if (counted === undefined || (pod.metadata.labels?.[countedLabel] === "true") === counted) return true;
  return await patch(pod, { metadata: { labels: { [countedLabel]: counted ? "true" : null } } }, parts);
}

async function patch(
  pod: Pod,
  change: { readonly metadata?: object; readonly status?: object },
  { api, cache }: MarkParts,
  options?: { readonly subresource: "status"; readonly strategic: true },
): Promise<boolean> {
  const { namespace = "", name, uid } = pod.metadata;
  const result = await api.patch(resources.pods, { namespace, name }, { ...change, metadata: { uid, ...change.metadata } }, options);
  if (result.kind === "ok") cache.overlay(result.object);
  return result.kind === "ok" || result.kind === "notFound";
}
