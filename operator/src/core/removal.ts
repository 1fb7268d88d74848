import type { Context } from "./context.js";
import type { PodView } from "./pod-view.js";
import type { DeleteReason } from "./types.js";

/** Whether the operator may delete a pod it does not want, and by what right: the only place that says so (invariant I4). `overdue` comes
 *  from drains.ts: deadline and grace are over and it will not get more time. */
export function mayDelete(view: PodView, overdue: boolean, context: Pick<Context, "settings" | "nowMs">): DeleteReason | undefined {
  const { pod, memory } = view;
  const { settings, nowMs } = context;
  if (pod.terminating) return undefined; // on its way already
  if (pod.phase === "gone") return "gone";
  if (pod.grant?.purpose === "drain") {
    // Not before its grant is released: the annotation is what other operators count it by.
    if (memory.drainedSinceMs !== undefined && nowMs - memory.drainedSinceMs >= settings.releaseMs) return "drained";
    if (overdue && isPastDeadline(view, nowMs)) return "deadlinePassed";
  }
  return neverServed(view, context) ? "neverServed" : undefined;
}

/** Its drain's deadline and the stragglers' grace are over. */
export function isPastDeadline({ pod }: PodView, nowMs: number): boolean {
  return pod.grant?.purpose === "drain" && nowMs >= pod.grant.deadlineMs + pod.grant.stragglerGraceMs;
}

/** No client can be on it: no process runs, or it says that it never took one. A running pod that merely does not report may hold half a
 *  million.
 *
 *  What is known may be old. (1) A pod that clients were never let in to gets them once it is ready, and that is a write to the pod: the
 *  delete's precondition on `version` fails. Only an HAProxy, which asks the gateway itself, may be a probe's period ahead of that write; what
 *  it has sent by then is drained by the SIGTERM. (2) One that served before may be sent clients in the midst of a crash: its next process starts
 *  at once, the kubelet tells of it seconds later, and balancers still have its address. Therefore the pod of a process that ended waits until
 *  none has run for `reportGraceMs`: long enough for a kubelet to tell of a new one, for this operator's stream to reach it (what reports is
 *  not pending), and for every balancer to have stopped. What is left is a gateway that neither its kubelet nor this operator can reach
 *  for that long and clients can; it gets a SIGTERM and drains by itself. Waiting for a drain's deadline instead would keep a revision
 *  that crashes over and over for 25 minutes in the way of the one that mends it. */
export function neverServed({ pod, memory }: PodView, { settings, nowMs }: Pick<Context, "settings" | "nowMs">): boolean {
  if (pod.ready) return false;
  const mayHaveServed = memory.wasReady || pod.hasAccepted === true;
  if (pod.phase === "pending") return !mayHaveServed || nowMs - (memory.pendingSinceMs ?? nowMs) >= settings.reportGraceMs;
  if (mayHaveServed) return false;
  return pod.report !== undefined && pod.report.handshakes === 0 && pod.report.connections === 0;
}
