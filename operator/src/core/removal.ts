import type { PodView } from "./pod-view.js";
import type { DeleteReason, PlannerSettings } from "./types.js";

/** Whether the operator may delete a pod it does not want, and by what right: the only place that says so (invariant I4). `overdue` comes
 *  from drains.ts: deadline and grace are over and it will not get more time. */
export function mayDelete(view: PodView, overdue: boolean, settings: PlannerSettings, nowMs: number): DeleteReason | undefined {
  const { pod, memory } = view;
  if (pod.terminating) return undefined; // on its way already
  if (pod.phase === "gone") return "gone";
  if (pod.grant?.purpose === "drain") {
    // Not before its grant is released: the annotation is what other operators count it by.
    if (memory.drainedSinceMs !== undefined && nowMs - memory.drainedSinceMs >= settings.releaseMs) return "drained";
    if (overdue && isPastDeadline(view, nowMs)) return "deadlinePassed";
  }
  return neverServed(view) ? "neverServed" : undefined;
}

/** Its drain's deadline and the stragglers' grace are over. */
export function isPastDeadline({ pod }: PodView, nowMs: number): boolean {
  return pod.grant?.purpose === "drain" && nowMs >= pod.grant.deadlineMs + pod.grant.stragglerGraceMs;
}

/** No client can be on it: no process runs, or it says that it never took one. A running pod that merely does not report may hold
 *  half a million. The delete's precondition on `version` covers the moment in which it becomes ready. */
export function neverServed({ pod, memory }: PodView): boolean {
  if (pod.ready) return false;
  if (pod.phase === "pending") return true;
  if (memory.wasReady) return false;
  return pod.report !== undefined && pod.report.handshakes === 0 && pod.report.connections === 0;
}
