import { grantAnnotation } from "../../core/index.js";
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
  let isAll = true;
  for (const pod of pods) {
    const labels = labelsToRestore(fleet, pod);
    if (labels !== undefined && !(await restoreOne(fleet, pod, { labels }, parts))) isAll = false;
  }
  return isAll;
}

/** Puts the owner back that somebody took from a pod: without it the pod is nobody's, serves on undrained, and stays when the fleet goes. `orphans`:
 *  pods without a controller that have the fleet's labels. Its name and its grant say that an operator has made it for a fleet of this name. Answers the names
 *  of those that are still nobody's. */
export async function adoptOrphans(fleet: Fleet, orphans: readonly Pod[], parts: RestoreParts): Promise<readonly string[]> {
  const left: string[] = [];
  for (const pod of orphans) {
    const { name, annotations, deletionTimestamp, ownerReferences = [] } = pod.metadata;
    const isOurs = identityFromName(fleet.name, name) !== undefined && annotations?.[grantAnnotation] !== undefined;
    if (!isOurs || deletionTimestamp !== undefined) continue;
    const isTaken = await restoreOne(fleet, pod, { ownerReferences: [...ownerReferences, ownerReference(fleet)] }, parts);
    if (!isTaken) left.push(name);
  }
  return left;
}

/** Nearly all, at each turn; objects of the cache never change. */
const complete = new WeakSet<Pod>();

function labelsToRestore(fleet: Fleet, pod: Pod): Readonly<Record<string, string>> | undefined {
  if (complete.has(pod)) return undefined;
  const { name, deletionTimestamp } = pod.metadata;
  const identity = identityFromName(fleet.name, name);
  if (identity === undefined || deletionTimestamp !== undefined) return undefined;
  const { pool, slot, revision } = identity;
  const missing = missingLabels(pod, {
    ...fleetLabels(fleet, "gateway"),
    [poolLabel]: pool,
    [slotLabel]: String(slot),
    [revisionLabel]: revision,
  });
  if (missing === undefined) complete.add(pod);
  return missing;
}

async function restoreOne(
  fleet: Fleet,
  pod: Pod,
  metadata: Pick<Pod["metadata"], "labels" | "ownerReferences">,
  parts: RestoreParts,
): Promise<boolean> {
  const { name, uid } = pod.metadata;
  const result = await parts.api.patch(resources.pods, { namespace: fleet.namespace, name }, { metadata: { uid, ...metadata } });
  if (result.kind !== "ok") return result.kind === "notFound";
  parts.cache.overlay(result.object);
  parts.onRestored(result.object);
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
  const labels = labelsToRestore(fleet, found.object);
  if (labels !== undefined) await restoreOne(fleet, found.object, { labels }, parts);
  return "ours";
}
