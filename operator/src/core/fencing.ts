import { limits } from "@pushfleet/protocol";
import type { Observed, PlannerMemory, PodGrant } from "./types.js";

/** Why this operator may not give a grant yet.
 *
 *  Another operator, deposed without knowing it, may be about to write a grant from an old observation. So a new leader first writes its own
 *  epoch on every pod. Each of those writes carries the version it has seen: either it conflicts, because the other one wrote first, and then
 *  that grant is observed and counted; or the other's write conflicts, and then the gateway is never told. What the other one has *told* a
 *  gateway late is refused there by its lower epoch, or is within the rate that counts as held.
 *
 *  A pod on which nothing may be written is waited for no longer than it takes a gateway to pause that nobody renews, twice: what is refused to this
 *  leader is refused to the one before. What is written on it counts all the same. */
export function fence(observed: Observed, memory: PlannerMemory, nowMs: number): string | undefined {
  const isWaitedFor = nowMs - memory.leadingSinceMs < 2 * limits.grantRenewMs;
  const unmarked = observed.pods.filter(
    (pod) => pod.phase !== "gone" && !bearsMark(observed, pod.grant) && (isWaitedFor || pod.refusesGrants !== true),
  );
  if (unmarked.length > 0) return `taking over ${unmarked.length} pods as epoch ${observed.epoch}`;
  const leftMs = memory.quietUntilMs - nowMs;
  if (leftMs > 0) return `grants that ended unseen are waited for, ${(leftMs / 1000).toFixed(1)} s more`;
  return memory.forced === undefined ? undefined : describeForced(memory.forced.pods);
}

function describeForced(pods: readonly string[]): string {
  return `clients of ${pods.join(", ")} are still coming back (moves that were not ours to choose)`;
}

/** Whether a grant is this leader's. */
export function bearsMark({ epoch, leader }: Pick<Observed, "epoch" | "leader">, grant: PodGrant | undefined): boolean {
  return grant?.epoch === epoch && grant.leader === leader;
}

/** What a leader writes into its grants. */
export function markOf({ epoch, leader }: Pick<Observed, "epoch" | "leader">): Pick<PodGrant, "epoch" | "leader"> {
  return { epoch, ...(leader === undefined ? {} : { leader }) };
}

/** Whether the marks on a fleet's pods say that somebody else leads it.
 *
 *  Epochs rise along one Lease. Two leaders by different Leases may have the same, and gateways, which know epochs only, would obey both. Of
 *  these the one whose name comes later goes on ("equal": it must raise its epoch first, so that gateways refuse the other), and the other
 *  stops ("leads"). Both see the same marks, so never both stop, and never both go on. */
export function rivalOf(
  marks: readonly (Pick<PodGrant, "epoch" | "leader"> | undefined)[],
  own: Pick<Observed, "epoch" | "leader">,
): "none" | "equal" | "leads" {
  const name = own.leader ?? "";
  const others = marks.flatMap((mark) => (mark === undefined || (mark.leader ?? "") === name ? [] : [mark]));
  if (others.some((mark) => mark.epoch > own.epoch)) return "leads";
  const equals = others.filter((mark) => mark.epoch === own.epoch);
  if (equals.some((mark) => (mark.leader ?? "") > name)) return "leads";
  return equals.length > 0 ? "equal" : "none";
}

/** An epoch higher than ours, or somebody else's that is the same: we do nothing. */
export function newerEpoch(observed: Observed): number | undefined {
  const grants = observed.pods.map((pod) => pod.grant);
  const epochs = [
    observed.status?.epoch ?? 0,
    ...grants.map((grant) => grant?.epoch ?? 0),
    ...observed.pods.map((pod) => pod.report?.epoch ?? 0),
  ];
  const highest = epochs.reduce((a, b) => Math.max(a, b), 0);
  return highest > observed.epoch || rivalOf(grants, observed) !== "none" ? highest : undefined;
}
