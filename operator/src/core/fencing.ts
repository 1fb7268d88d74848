import type { Observed, PlannerMemory } from "./types.js";

/** Why this operator may not give a grant yet.
 *
 *  Another operator, deposed without knowing it, may be about to write a grant from an old observation. So a new leader first writes its own
 *  epoch on every pod. Each of those writes carries the version it has seen: either it conflicts, because the other one wrote first, and then
 *  that grant is observed and counted; or the other's write conflicts, and then the gateway is never told. What the other one has *told* a
 *  gateway late is refused there by its lower epoch, or is within the rate that counts as held. */
export function fence(observed: Observed, memory: PlannerMemory, nowMs: number): string | undefined {
  const unmarked = observed.pods.filter((pod) => pod.phase !== "gone" && pod.grant?.epoch !== observed.epoch);
  if (unmarked.length > 0) return `taking over ${unmarked.length} pods as epoch ${observed.epoch}`;
  const leftMs = memory.quietUntilMs - nowMs;
  if (leftMs > 0) return `grants that ended unseen are waited for, ${(leftMs / 1000).toFixed(1)} s more`;
  return memory.forced === undefined ? undefined : describeForced(memory.forced.pods);
}

function describeForced(pods: readonly string[]): string {
  return `clients of ${pods.join(", ")} are still coming back (moves that were not ours to choose)`;
}

/** A higher epoch than ours: somebody else leads. */
export function newerEpoch(observed: Observed): number | undefined {
  const epochs = [observed.status?.epoch ?? 0, ...observed.pods.flatMap((pod) => [pod.grant?.epoch ?? 0, pod.report?.epoch ?? 0])];
  const highest = epochs.reduce((a, b) => Math.max(a, b), 0);
  return highest > observed.epoch ? highest : undefined;
}
