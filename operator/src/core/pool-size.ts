import type { PodView } from "./pod-view.js";
import type { FleetSpec, PoolMemory, PoolSpec } from "./types.js";

/** How many pods the pool should have as things were decided before this plan: its target, within today's bounds. */
export interface PoolSize {
  readonly target: number;
  /** Draining pods (uid) that the target no longer counts. */
  readonly shrinking: readonly string[];
}

/** `kept` are pods that are not being drained, `shrinkingNow` those that are because the pool does not need them.
 *
 *  The target is memory, corrected by the pods: one drained for want of need that memory does not know of (the operator died before it could
 *  save) lowers it; more pods than it and the surge say raise it, and the autoscaler gets rid of them in its own time. */
export function poolSize(options: {
  readonly pool: PoolSpec;
  readonly mode: FleetSpec["autoscaling"]["mode"];
  readonly memory: PoolMemory | undefined;
  readonly kept: readonly PodView[];
  readonly shrinkingNow: readonly PodView[];
  readonly gone: number;
  /** Pods that may be there on top of the target while some are replaced; 0 while none is. */
  readonly surge: number;
}): PoolSize {
  const { pool, mode, memory, kept, shrinkingNow, gone, surge } = options;
  const shrinking = shrinkingNow.map((view) => view.pod.uid);
  if (mode !== "Builtin") return { target: within(pool, pool.replicas ?? pool.minReplicas), shrinking };
  const known = memory?.target;
  if (known === undefined) return { target: within(pool, kept.length + gone), shrinking };
  const unknown = memory?.shrinking === undefined ? 0 : shrinking.filter((uid) => memory.shrinking?.includes(uid) !== true).length;
  return { target: within(pool, Math.max(known - unknown, kept.length - surge)), shrinking };
}

function within(pool: PoolSpec, replicas: number): number {
  const least = Math.max(1, pool.minReplicas);
  return Math.min(Math.max(least, pool.maxReplicas), Math.max(least, replicas));
}
