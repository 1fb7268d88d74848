import type { V1Pod } from "@kubernetes/client-node";
import type { Typed } from "../api/resources.js";
import { acceptingGate } from "../objects/pod-template.js";

type Pod = Typed<V1Pod>;

export interface GateCondition {
  readonly status: "True" | "False";
  readonly reason: "Serving" | "NotServing" | "Starting";
}

export function gateOf(pod: Pod): string | undefined {
  return conditionOf(pod)?.status;
}

/** How `status` is written: a pod that was never accepting says so, for operators that come later. */
export function gateCondition(pod: Pod, status: "True" | "False"): GateCondition {
  if (status === "True") return { status, reason: "Serving" };
  return { status, reason: hasAccepted(pod) ? "NotServing" : "Starting" };
}

/** Whether clients were ever let in: some may still be there. */
export function hasAccepted(pod: Pod): boolean {
  const gate = conditionOf(pod);
  return gate !== undefined && (gate.status === "True" || gate.reason !== "Starting");
}

function conditionOf({ status }: Pod) {
  return status?.conditions?.find((one) => one.type === acceptingGate);
}
