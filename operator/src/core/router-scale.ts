import { limits } from "@pushfleet/protocol";

export interface RouterScaleInput {
  readonly minReplicas: number;
  readonly maxReplicas: number;
  /** How many there should be now; `undefined` for a fleet that has none yet. */
  readonly current: number | undefined;
  /** Records behind, over all partitions; `undefined` when a router has not said. */
  readonly lag: number | undefined;
  /** Since when fewer would have been enough. */
  readonly shrinkableSinceMs: number | undefined;
  readonly nowMs: number;
}

export interface RouterScale {
  readonly replicas: number;
  readonly shrinkableSinceMs: number | undefined;
}

/** How many routers: one for each `limits.routerLagRecords` that they are behind. More at once, fewer one by one, each after
 *  `limits.routerStabilizationMs` without need: a rebalance of the group stops every partition for a moment. Not knowing the lag changes nothing
 *  but what the bounds demand. */
export function scaleRouters(input: RouterScaleInput): RouterScale {
  const { minReplicas, maxReplicas, lag, nowMs } = input;
  const within = (count: number): number => Math.min(maxReplicas, Math.max(minReplicas, count));
  const current = within(input.current ?? minReplicas);
  if (lag === undefined) return { replicas: current, shrinkableSinceMs: undefined };
  const wanted = within(Math.ceil(lag / limits.routerLagRecords));
  if (wanted >= current) return { replicas: wanted, shrinkableSinceMs: undefined };
  const sinceMs = input.shrinkableSinceMs ?? nowMs;
  if (nowMs - sinceMs < limits.routerStabilizationMs) return { replicas: current, shrinkableSinceMs: sinceMs };
  return { replicas: current - 1, shrinkableSinceMs: nowMs };
}
