import { limits } from "@pushfleet/protocol";
import type { Context } from "./context.js";
import type { PodView } from "./pod-view.js";

/** How long a pod has said nothing to this operator, 0 if it reports. */
export function silentMs({ nowMs, memory }: Context, { pod, memory: known }: PodView): number {
  return pod.report === undefined ? nowMs - Math.max(known.reportedAtMs, memory.leadingSinceMs) : 0;
}

/** So long that it moves nobody any more: a gateway pauses when its grant is not renewed, a silent one is not renewed, and twice that time
 *  also covers an operator deposed meanwhile. Its rate may be taken back without its word. */
export function isSilent(context: Context, view: PodView): boolean {
  return silentMs(context, view) >= 2 * limits.grantRenewMs;
}
