import { limits } from "@pushfleet/protocol";
import type { ObservedPod, PlannerMemory } from "./types.js";

const samplesNeeded = 5;

/** p95 (nearest rank) of how long pods took from their creation until they were ready; `defaultMs` until five have been seen. */
export function timeToReadyMs(samples: readonly number[], defaultMs: number): number {
  if (samples.length < samplesNeeded) return defaultMs;
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * 0.95) - 1] ?? defaultMs;
}

/** `samples` and those pods that became ready since the plan before. Only pods whose wait was seen count: one that was ready when the
 *  operator first saw it says nothing. */
export function withTimesToReady(
  samples: readonly number[],
  pods: readonly ObservedPod[],
  before: PlannerMemory | undefined,
  nowMs: number,
): readonly number[] {
  if (before === undefined) return samples;
  const fresh = pods.filter(({ uid, ready, createdAtMs }) => {
    const last = before.pods[uid];
    return ready && (last === undefined ? createdAtMs >= before.atMs : !last.wasReady);
  });
  return [...samples, ...fresh.map((pod) => nowMs - pod.createdAtMs)].slice(-limits.timeToReadySamples);
}
