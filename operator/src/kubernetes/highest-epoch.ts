import type { KubernetesObject } from "./api/types.js";
import { grantOf } from "./world/pod-grant.js";

/** A Lease counts its holders in 32 bits, signed; at one a second nobody comes to half of that. */
const epochMax = 2 ** 30;

/** The highest epoch that is written on a pod, 0 without any. One that no leader can have had is none: whoever may write on one pod would keep
 *  every fleet without a leader, as no Lease can be raised above it. */
export function highestEpoch(pods: readonly KubernetesObject[]): number {
  return pods.reduce((highest, pod) => {
    const epoch = grantOf(pod)?.epoch ?? 0;
    return Number.isInteger(epoch) && epoch <= epochMax ? Math.max(highest, epoch) : highest;
  }, 0);
}
