import { resources } from "../api/resources.js";
import type { KubernetesApi, ReadCache } from "../api/types.js";
import { type Fleet, fleetLabels, ownerReference } from "../objects/fleet.js";
import { poolLabel, revisionLabel, slotLabel } from "../objects/pod-template.js";
import type { Pod } from "./observe-pod.js";
import { identityFromName, missingLabels } from "./pod-identity.js";

export interface RestoreParts {
  readonly api: KubernetesApi;
  readonly cache: Pick<ReadCache<Pod>, "overlay">;
  readonly onRestored: (pod: Pod) => void;
}

/** Puts the labels back that somebody took from a pod or changed: by them it is found, selected by the Services and counted. Answers whether all
 *  pods have theirs. */
export async function restoreLabels(fleet: Fleet, pods: readonly Pod[], parts: RestoreParts): Promise<boolean> {
  const restored = await Promise.all(pods.map((pod) => restoreOne(fleet, pod, parts)));
  return restored.every((one) => one);
}

async function restoreOne(fleet: Fleet, pod: Pod, { api, cache, onRestored }: RestoreParts): Promise<boolean> {
  const { name, uid, deletionTimestamp } = pod.metadata;
  const identity = identityFromName(fleet.name, name);
  if (identity === undefined || deletionTimestamp !== undefined) return true;
  const { pool, slot, revision } = identity;
  const wanted = { ...fleetLabels(fleet, "gateway"), [poolLabel]: pool, [slotLabel]: String(slot), [revisionLabel]: revision };
  const labels = missingLabels(pod, wanted);
  if (labels === undefined) return true;
  const result = await api.patch(resources.pods, { namespace: fleet.namespace, name }, { metadata: { uid, labels } });
  if (result.kind !== "ok") return result.kind === "notFound";
  cache.overlay(result.object);
  onRestored(result.object);
  return true;
}

/** A pod of a name that is to be created exists, and is not seen: somebody took the label by which the watch finds it, or it is another's.
 *  Answers whether it is the fleet's own. */
export async function adoptUnseen(fleet: Fleet, name: string, parts: RestoreParts): Promise<"ours" | "foreign" | "unknown"> {
  const found = await parts.api.get(resources.pods, { namespace: fleet.namespace, name });
  if (found.kind !== "ok") return "unknown";
  const isOurs = found.object.metadata.ownerReferences?.some((one) => one.uid === ownerReference(fleet).uid) === true;
  if (!isOurs) return "foreign";
  parts.cache.overlay(found.object);
  await restoreOne(fleet, found.object, parts);
  return "ours";
}
