import type { FleetStatus } from "../../core/index.js";
import { resources } from "../api/resources.js";
import type { KubernetesApi, ReadCache } from "../api/types.js";
import type { GatewayStream } from "./gateway-stream.js";
import { observePod, type Pod } from "./observe-pod.js";

/** The readiness gate of gateway pods: Ready, and with it the Services, follows the operator's decision at once and not after a probe. */
export const acceptingGate = "pushfleet.dev/accepting";
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
  const marked = await Promise.all(
    pods
      .filter((pod) => pod.metadata.deletionTimestamp === undefined)
      .map(async (pod) => (await markGate(pod, parts)) && (await markCounted(pod, counted.get(pod.metadata.name), parts))),
  );
  return marked.every((one) => one);
}

async function markGate(pod: Pod, parts: MarkParts): Promise<boolean> {
  const wanted = wantedGate(pod, parts.streamOf(pod.metadata.uid ?? "")?.report()?.state);
  if (wanted === undefined || wanted === gateOf(pod)) return true;
  const condition = {
    type: acceptingGate,
    status: wanted,
    reason: wanted === "True" ? "Serving" : "NotServing",
    lastTransitionTime: new Date(parts.nowMs).toISOString().replace(/\.\d+Z$/, "Z"),
  };
  return await patch(pod, { status: { conditions: [condition] } }, parts, { subresource: "status", strategic: true });
}

/** `undefined`: leave it. Of a gateway that does not report nobody knows, and what it was stands. */
export function wantedGate(pod: Pod, state: string | undefined): "True" | "False" | undefined {
  const purpose = observePod(pod, {}, () => undefined)?.grant?.purpose ?? "serve";
  if (purpose !== "serve") return "False";
  if (state === undefined) return undefined;
  return state === "serving" ? "True" : "False";
}

function gateOf(pod: Pod): string | undefined {
  return pod.status?.conditions?.find((one) => one.type === acceptingGate)?.status;
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
