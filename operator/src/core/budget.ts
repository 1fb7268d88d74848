import { isDrained } from "./pod-view.js";
import type { BudgetStatus, ObservedPod, PlannerSettings, PodMemory } from "./types.js";

/** How much of the fleet's budget (I3) one pod may be using at `nowMs`.
 *
 *  The invariant looks at any 1,000 ms, so a rate is in use from the moment it is written on the pod until `releaseMs` after the last move
 *  that it can have caused: after the gateway was first seen drained, or after it accepted a grant with a lower rate (`heldPerSecond` keeps
 *  the higher one until then). A gateway that does not answer keeps its rate until it is gone; that starts a quiet time for the whole fleet
 *  (memory.ts). Within one gateway no window holds more than its rate, also across a change of grants (gateway/src/core). */
export function inUsePerSecond(
  pod: ObservedPod,
  memory: PodMemory,
  budgetPerSecond: number,
  settings: Pick<PlannerSettings, "releaseMs">,
  nowMs: number,
): number {
  if (pod.phase === "gone") return 0;
  const { grant } = pod;
  // A drain whose annotation somebody took away: assume the worst.
  if (grant === undefined) return pod.report?.state === "draining" ? budgetPerSecond : 0;
  if (isDrained(pod) && memory.drainedSinceMs !== undefined && nowMs - memory.drainedSinceMs >= settings.releaseMs) return 0;
  return Math.max(grant.reconnectsPerSecond, isReleased(pod, settings, nowMs) ? 0 : grant.heldPerSecond);
}

/** The gateway has followed the grant that is written on the pod for so long that no move of an earlier one is in the window. */
function isReleased({ grant, accepted }: ObservedPod, settings: Pick<PlannerSettings, "releaseMs">, nowMs: number): boolean {
  if (grant === undefined || grant.heldPerSecond === 0) return true;
  if (accepted === undefined || accepted.epoch !== grant.epoch || accepted.serial !== grant.serial) return false;
  return nowMs - accepted.atMs >= settings.releaseMs;
}

export function budgetStatus(holders: readonly { readonly name: string; readonly inUse: number }[], budgetPerSecond: number): BudgetStatus {
  const holding = holders.filter((holder) => holder.inUse > 0);
  return {
    reconnectsPerSecond: budgetPerSecond,
    inUse: holding.reduce((sum, holder) => sum + holder.inUse, 0),
    holders: holding.map(({ name, inUse }) => ({ pod: name, reconnectsPerSecond: inUse })),
  };
}
