import { limits } from "@pushfleet/protocol";
import type { Condition, FleetStatus } from "../../core/index.js";

/** A condition of a PushGateway's status; `lastTransitionTime` is added when it is written. */
export interface StatusCondition {
  readonly type: string;
  readonly status: "True" | "False" | "Unknown";
  /** One CamelCase word. */
  readonly reason: string;
  readonly message: string;
}

/** What a person must do before the fleet can be as the spec says. */
export interface Problem {
  /** One CamelCase word. */
  readonly reason: string;
  /** What is wrong and what would be right. */
  readonly message: string;
}

/** What the world knows beside the plan. */
export interface ConditionFacts {
  /** The spec cannot be followed: nothing is created or rolled. */
  readonly problems: readonly Problem[];
  /** The spec is followed, and yet. */
  readonly warnings: readonly Problem[];
  /** What the API server refused, in words. */
  readonly refusals: readonly string[];
  /** Why pods do not run, in words. */
  readonly podFaults: readonly string[];
  readonly dryRun: boolean;
  /** See binding-limits.ts. */
  readonly tuning: StatusCondition;
}

/** The planner's conditions with what only the cluster knows laid over them. */
export function fleetConditions(planned: readonly Condition[], facts: ConditionFacts): readonly StatusCondition[] {
  return [...planned.map((one) => overlay(one, facts)), specAccepted(facts), facts.tuning].map(cut);
}

function overlay({ type, status, reason, message }: Condition, facts: ConditionFacts): StatusCondition {
  const { problems, refusals, podFaults } = facts;
  const plain = { type, status, reason, message };
  const [problem] = problems;
  switch (type) {
    case "Available":
      if (problem === undefined || status === "True") return plain;
      return { type, status, reason: problem.reason, message: told(problems) };
    case "Progressing":
      if (facts.dryRun) return { type, status: "False", reason: "DryRun", message: `dryRun: would go on with: ${message}` };
      if (problem !== undefined) return { type, status: "False", reason: problem.reason, message: told(problems) };
      if (refusals.length > 0) return { type, status: "True", reason: "WriteRefused", message: `${message}; ${refusals.join("; ")}` };
      return plain;
    case "Degraded": {
      const faults = [...problems.map((one) => one.message), ...refusals, ...podFaults];
      if (faults.length === 0) return plain;
      const before = status === "True" ? [message] : [];
      const first = problem?.reason ?? (refusals.length > 0 ? "WriteRefused" : podFaults.length > 0 ? "PodsFail" : undefined);
      return {
        type,
        status: "True",
        reason: status === "True" && problem === undefined ? reason : (first ?? reason),
        message: [...faults, ...before].join("; "),
      };
    }
    default:
      return plain;
  }
}

function told(problems: readonly Problem[]): string {
  return problems.map((one) => one.message).join("; ");
}

/** Whether the operator follows the spec, and what a person should know of it all the same. */
function specAccepted({ problems, warnings }: ConditionFacts): StatusCondition {
  const [problem] = problems;
  if (problem !== undefined)
    return { type: "SpecAccepted", status: "False", reason: problem.reason, message: told([...problems, ...warnings]) };
  if (warnings.length === 0) return { type: "SpecAccepted", status: "True", reason: "Accepted", message: "the spec is followed" };
  return { type: "SpecAccepted", status: "True", reason: "AcceptedWithWarnings", message: told(warnings) };
}

function cut(condition: StatusCondition): StatusCondition {
  return { ...condition, message: cutText(condition.message, limits.conditionMessageCharactersMax) };
}

export function cutText(text: string, charactersMax: number): string {
  return text.length <= charactersMax ? text : `${text.slice(0, charactersMax - 1)}…`;
}

/** Whether the fleet's status says anything that a person or an autoscaler should read at once: everything but plain numbers. */
export function isTelling(before: FleetStatus | undefined, now: FleetStatus): boolean {
  if (before === undefined) return true;
  const shape = (status: FleetStatus): string =>
    JSON.stringify([
      status.phase,
      status.podsByState,
      status.pools.map(({ name, target, replicas }) => [name, target, replicas]),
      status.plan.map(({ action, pod }) => [action, pod]),
    ]);
  return shape(before) !== shape(now);
}
