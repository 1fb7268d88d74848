import { grantAnnotation, parseGrant } from "../core/index.js";
import type { KubernetesObject } from "./api/types.js";

/** The highest epoch that is written on a pod, 0 without any. */
export function highestEpoch(pods: readonly KubernetesObject[]): number {
  return pods.reduce((highest, pod) => Math.max(highest, parseGrant(pod.metadata.annotations?.[grantAnnotation])?.epoch ?? 0), 0);
}
