import { limits } from "@pushfleet/protocol";
import type { Action, PlannedStep } from "./types.js";

/** Told first to last: what changes the fleet, then what it waits for, then upkeep. */
const order: readonly Action["kind"][] = [
  "startDrain",
  "abortDrain",
  "createPod",
  "deletePod",
  "uncordon",
  "cordon",
  "wait",
  "renewDrain",
  "writeGrant",
];

/** The plan for people: one step a pod (a grant and the call that tells it are one), the most telling first, at most 20. */
export function plannedSteps(actions: readonly Action[]): readonly PlannedStep[] {
  const told = new Set(actions.filter((action) => action.kind !== "writeGrant" && action.kind !== "wait").map((action) => action.pod));
  const steps = actions.filter((action) => action.kind !== "writeGrant" || !told.has(action.pod)).map(stepOf);
  return steps.sort((a, b) => order.indexOf(a.action) - order.indexOf(b.action)).slice(0, limits.plannedSteps);
}

function stepOf(action: Action): PlannedStep {
  const { pod } = action;
  return {
    action: action.kind,
    ...(pod === undefined ? {} : { pod }),
    why: action.why,
    ...(action.kind === "wait" ? { blockedBy: action.blockedBy } : {}),
  };
}

const verbs: Readonly<Record<Action["kind"], string>> = {
  startDrain: "drain",
  abortDrain: "stop draining",
  createPod: "create",
  deletePod: "delete",
  uncordon: "uncordon",
  cordon: "cordon",
  wait: "wait",
  renewDrain: "draining",
  writeGrant: "mark",
};

/** One line, as in `drain demo-default-3-1a2b: 3 pods have had room … for 300 s`. */
export function describeStep(step: PlannedStep): string {
  const subject = step.pod === undefined ? verbs[step.action] : `${verbs[step.action]} ${step.pod}`;
  const blocked = step.blockedBy === undefined ? "" : ` (waiting: ${step.blockedBy})`;
  return `${subject}: ${step.why}${blocked}`;
}
