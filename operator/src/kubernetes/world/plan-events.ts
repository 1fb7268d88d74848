import { limits } from "@pushfleet/protocol";
import type { Action } from "../../core/index.js";
import type { EventToRecord } from "../api/events.js";
import type { Applied } from "./apply-actions.js";
import type { PushGatewayObject } from "./fleet-caches.js";
import type { StatusCondition } from "./fleet-conditions.js";
import { withAdvice } from "./what-helps.js";

/** What a person may want to read in `kubectl describe pgw`: what was done to pods and why, and what was refused. Upkeep is not told. The same
 *  done to several pods in one turn for one reason is one event: a fleet of 50 pods would otherwise begin with 50.
 *  `refusals`: those that have not been told yet. */
export function actionEvents(object: PushGatewayObject, { done, refusals }: Pick<Applied, "done" | "refusals">): readonly EventToRecord[] {
  const told = alike(done.flatMap(toTell)).map(({ reason, action, why, pods }): EventToRecord => {
    return { regarding: object, type: "Normal", reason, action, note: `${nameSome(pods)}: ${why}` };
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

interface Deed {
  readonly reason: string;
  readonly action: string;
  readonly why: string;
  readonly pods: readonly string[];
}

function toTell(action: Action): readonly Deed[] {
  const words = wordsOf(action);
  return words === undefined || action.kind === "wait" ? [] : [{ ...words, why: action.why, pods: [action.pod] }];
}

/** One of each sort and reason, with all its pods. */
function alike(deeds: readonly Deed[]): readonly Deed[] {
  const all = new Map<string, Deed>();
  for (const deed of deeds) {
    const key = JSON.stringify([deed.reason, deed.why]);
    all.set(key, { ...deed, pods: [...(all.get(key)?.pods ?? []), ...deed.pods] });
  }
  return [...all.values()];
}

/** "a, b, c and 47 more". */
function nameSome(pods: readonly string[]): string {
  const more = pods.length - limits.eventPodsNamed;
  return pods.slice(0, limits.eventPodsNamed).join(", ") + (more > 0 ? ` and ${more} more` : "");
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
