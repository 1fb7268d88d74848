import { limits } from "@pushfleet/protocol";
import type { ObservedPod, PlannerMemory, StartFailures } from "./types.js";

/** Pods that end before they are ever ready (a port taken, a wrong setting) are tried again ever more slowly, until one gets ready. */

/** The failures of a pool's pods, those that were noticed now included; `undefined` since one has become ready. */
export function startFailures(
  pods: readonly ObservedPod[],
  before: PlannerMemory | undefined,
  last: StartFailures | undefined,
  nowMs: number,
): StartFailures | undefined {
  const known = before?.pods ?? {};
  if (pods.some((pod) => pod.ready && known[pod.uid]?.wasReady !== true)) return undefined;
  const ended = pods.filter((pod) => pod.phase === "gone" && !wasEverUp(pod, known[pod.uid]));
  if (ended.length === 0) return last;
  return { count: (last?.count ?? 0) + 1, lastMs: nowMs };
}

function wasEverUp(pod: ObservedPod, known: PlannerMemory["pods"][string] | undefined): boolean {
  return pod.ready || known?.gone === true || known?.wasReady === true;
}

/** How long nothing is created after them, 0 when something may be. */
export function backOffLeftMs(failures: StartFailures | undefined, nowMs: number): number {
  if (failures === undefined) return 0;
  const waitMs = Math.min(limits.createBackOffMs, limits.createBackOffFirstMs * 2 ** Math.min(30, failures.count - 1));
  return Math.max(0, failures.lastMs + waitMs - nowMs);
}
