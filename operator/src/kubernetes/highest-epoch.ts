import type { KubernetesObject } from "./api/types.js";
import { grantOf } from "./world/pod-grant.js";

/** The highest epoch that is written on a pod, 0 without any. */
export function highestEpoch(pods: readonly KubernetesObject[]): number {
  return pods.reduce((highest, pod) => Math.max(highest, grantOf(pod)?.epoch ?? 0), 0);
}
