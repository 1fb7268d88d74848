import type { Action } from "../../core/index.js";
import type { EventToRecord } from "../api/events.js";
import type { Applied } from "./apply-actions.js";
import type { PushGatewayObject } from "./fleet-caches.js";
import type { StatusCondition } from "./fleet-conditions.js";
import { withAdvice } from "./what-helps.js";

/** What a person may want to read in `kubectl describe pgw`: what was done to pods and why, and what was refused. Upkeep is not told.
 *  `refusals`: those that have not been told yet. */
export function actionEvents(object: PushGatewayObject, { done, refusals }: Pick<Applied, "done" | "refusals">): readonly EventToRecord[] {
  const told = done.flatMap((action): EventToRecord[] => {
    const words = wordsOf(action);
    if (words === undefined || action.kind === "wait") return [];
    return [{ regarding: object, type: "Normal", ...words, note: `${action.pod}: ${action.why}` }];
  });
  const refused = refusals.map(({ action, message }): EventToRecord => {
    const pod = action.kind === "wait" ? "" : action.pod;
    return {
      regarding: object,
      type: "Warning",
      reason: isCall(action) ? "GatewayRefused" : "WriteRefused",
      action: wordsOf(action)?.action ?? "Write",
      note: `${pod}: ${withAdvice(message)}`,
    };
  });
  return [...told, ...refused];
}

/** What has begun to be wrong with the fleet since its last status, and that nothing is any more. A refused write is an event by itself. */
export function conditionEvents(object: PushGatewayObject, conditions: readonly StatusCondition[]): readonly EventToRecord[] {
  const now = conditions.find((one) => one.type === "Degraded");
  const before = object.status?.conditions?.find((one) => one.type === "Degraded");
  if (now === undefined || (now.status === (before?.status ?? "False") && now.reason === before?.reason)) return [];
  const { status, reason, message: note } = now;
  if (status === "True")
    return reason === "WriteRefused" ? [] : [{ regarding: object, type: "Warning", reason, action: "Reconcile", note }];
  return before?.status === "True" ? [{ regarding: object, type: "Normal", reason, action: "Reconcile", note }] : [];
}

function isCall({ kind }: Action): boolean {
  return kind !== "writeGrant" && kind !== "createPod" && kind !== "deletePod";
}

function wordsOf(action: Action): { readonly reason: string; readonly action: string } | undefined {
  switch (action.kind) {
    case "createPod":
      return { reason: "GatewayCreated", action: "Create" };
    case "deletePod":
      return { reason: "GatewayDeleted", action: "Delete" };
    case "startDrain":
      return { reason: "DrainStarted", action: "Drain" };
    case "abortDrain":
      return { reason: "DrainAborted", action: "AbortDrain" };
    case "cordon":
      return { reason: "GatewayCordoned", action: "Cordon" };
    case "uncordon":
      return { reason: "GatewayUncordoned", action: "Uncordon" };
    case "renewDrain":
    case "writeGrant":
    case "wait":
      return undefined;
  }
}
