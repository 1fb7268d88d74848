import { limits } from "@pushfleet/protocol";
import type { Context } from "./context.js";
import { markOf } from "./fencing.js";
import { podName } from "./pod-name.js";
import type { Action, Observed, PodGrant, PoolSpec } from "./types.js";

export function createActions(context: Context, pool: PoolSpec, count: number, why: string): readonly Action[] {
  const { observed, spec } = context;
  const slots = freeSlots(context, pool, Math.min(count, limits.podsCreatedPerPlan));
  return slots.map((slot) => ({
    kind: "createPod" as const,
    pod: podName(spec.name, pool.name, slot, pool.revision),
    pool: pool.name,
    slot,
    revision: pool.revision,
    grant: firstGrant(observed, context.nowMs),
    why,
  }));
}

/** The lowest slots that no pod of this revision has, dead ones included: their names are still taken. */
function freeSlots({ observed }: Context, pool: PoolSpec, count: number): readonly number[] {
  const taken = new Set(observed.pods.filter((pod) => pod.pool === pool.name && pod.revision === pool.revision).map((pod) => pod.slot));
  const free: number[] = [];
  for (let slot = 0; free.length < count; slot += 1) if (!taken.has(slot)) free.push(slot);
  return free;
}

function firstGrant(observed: Observed, nowMs: number): PodGrant {
  return {
    purpose: "serve",
    reconnectsPerSecond: 0,
    heldPerSecond: 0,
    deadlineMs: 0,
    stragglerGraceMs: 0,
    ...markOf(observed),
    serial: 0,
    sinceMs: nowMs,
    extensions: 0,
    reason: "none",
  };
}
