import type { Context } from "./context.js";
import type { PoolPlan } from "./pool-plan.js";
import type { Action, Condition, PlannedStep } from "./types.js";

/** What the conditions are told by; the rest they read from the context. */
export interface ConditionFacts {
  readonly pools: readonly PoolPlan[];
  /** Sentences of drains that cannot be over in time. */
  readonly blocked: readonly string[];
  readonly actions: readonly Action[];
  readonly steps: readonly PlannedStep[];
  /** What somebody with a higher epoch is. */
  readonly deposedBy: number | undefined;
}

type Judgement = Omit<Condition, "lastTransitionMs">;

/** A pod that has not become ready for this many times as long as usual is called stuck. */
const stuckFactor = 5;
const stuckMinMs = 60_000;

/** All six, always, in this order. `lastTransitionMs` moves only when `status` does. */
export function conditions(context: Context, facts: ConditionFacts, before: readonly Condition[]): readonly Condition[] {
  const judged = [
    available(context),
    progressing(context, facts),
    degraded(context, facts),
    scalingActive(context, facts),
    drainBlocked(facts),
    rolloutPaused(context, facts),
  ];
  return judged.map((one) => {
    const last = before.find((other) => other.type === one.type);
    return { ...one, lastTransitionMs: last?.status === one.status ? last.lastTransitionMs : context.nowMs };
  });
}

function available({ observed, spec, views }: Context): Judgement {
  if (observed.deleting)
    return { type: "Available", status: "False", reason: "FleetDeleted", message: "the fleet was deleted and takes no new connections" };
  const empty = spec.pools.filter((pool) => !views.some((view) => view.accepting && view.pod.pool === pool.name));
  const accepting = views.filter((view) => view.accepting).length;
  if (accepting === 0) return { type: "Available", status: "False", reason: "NoGateway", message: "no gateway takes connections" };
  if (empty.length === 0)
    return { type: "Available", status: "True", reason: "Accepting", message: `${accepting} gateways take connections` };
  return {
    type: "Available",
    status: "True",
    reason: "SomePoolsEmpty",
    message: `no gateway of pool ${list(empty.map((pool) => pool.name))} takes connections`,
  };
}

function progressing({ observed }: Context, facts: ConditionFacts): Judgement {
  const told = facts.steps.find((step) => step.action !== "wait" || step.pod !== undefined);
  if (observed.deleting) return { type: "Progressing", status: "True", reason: "Closing", message: told?.why ?? "closing" };
  const replacing = facts.pools.find((pool) => pool.replacement !== undefined);
  if (replacing?.replacement !== undefined) {
    return {
      type: "Progressing",
      status: "True",
      reason: "Replacing",
      message: withBlock(replacing.replacement.why, replacing.replacement.blockedBy),
    };
  }
  if (told === undefined) return { type: "Progressing", status: "False", reason: "Settled", message: "every pod is as it should be" };
  return { type: "Progressing", status: "True", reason: reasonOf(told), message: withBlock(told.why, told.blockedBy) };
}

function reasonOf(step: PlannedStep): string {
  if (step.action === "createPod") return "Creating";
  if (step.action === "deletePod") return "Deleting";
  return step.action === "wait" ? "Waiting" : "Moving";
}

function degraded(context: Context, facts: ConditionFacts): Judgement {
  const { views, memory } = context;
  const faults = [
    ...(facts.deposedBy === undefined
      ? []
      : [`a newer operator (epoch ${facts.deposedBy}) leads this fleet: this one (epoch ${context.observed.epoch}) does nothing`]),
    ...(memory.forced === undefined
      ? []
      : [`clients of ${list(memory.forced.pods)} lost their gateway; ${context.clientsMissing} are not back yet`]),
    ...named(
      "ended",
      views.filter((view) => view.pod.phase === "gone"),
    ),
    ...named(
      "serves but does not report",
      views.filter((view) => !view.dead && view.memory.wasReady && view.pod.report === undefined),
    ),
    ...named(
      "has not become ready",
      views.filter((view) => view.starting && isStuck(context, view.pod.createdAtMs)),
    ),
    ...named(
      "is full",
      views.filter((view) => view.accepting && view.connections > view.slots),
    ),
  ];
  if (faults.length === 0) return { type: "Degraded", status: "False", reason: "Healthy", message: "nothing is wrong" };
  return { type: "Degraded", status: "True", reason: facts.deposedBy === undefined ? "Faults" : "Deposed", message: faults.join("; ") };
}

function isStuck({ settings, nowMs }: Context, createdAtMs: number): boolean {
  return nowMs - createdAtMs > Math.max(stuckMinMs, stuckFactor * settings.timeToReadyMs);
}

function named(what: string, views: Context["views"]): readonly string[] {
  return views.length === 0 ? [] : [`${list(views.map((view) => view.pod.name))} ${what}`];
}

function scalingActive({ spec, observed }: Context, { pools }: ConditionFacts): Judgement {
  if (observed.deleting) return { type: "ScalingActive", status: "False", reason: "FleetDeleted", message: "the fleet was deleted" };
  const message = pools.map((one) => `${one.pool.name}: ${one.scaling.why}`).join("; ");
  if (spec.autoscaling.mode !== "Builtin") return { type: "ScalingActive", status: "False", reason: spec.autoscaling.mode, message };
  if (pools.some((one) => one.scaling.limited)) return { type: "ScalingActive", status: "True", reason: "LimitedByMaximum", message };
  if (pools.some((one) => one.scaling.blind)) return { type: "ScalingActive", status: "False", reason: "TooFewReports", message };
  return { type: "ScalingActive", status: "True", reason: "Measuring", message };
}

function drainBlocked({ blocked }: ConditionFacts): Judgement {
  if (blocked.length === 0)
    return { type: "DrainBlocked", status: "False", reason: "NotBlocked", message: "no drain is too large for its deadline" };
  return { type: "DrainBlocked", status: "True", reason: "DeadlineTooShort", message: blocked.join("; ") };
}

function rolloutPaused({ spec, memory }: Context, { pools }: ConditionFacts): Judgement {
  if (spec.rollout.paused) return { type: "RolloutPaused", status: "True", reason: "PausedBySpec", message: "spec.rollout.paused is true" };
  const failing = pools.filter((one) => memory.pausedRevisions[one.pool.name] === one.pool.revision).map((one) => one.pool.name);
  if (failing.length === 0) return { type: "RolloutPaused", status: "False", reason: "NotPaused", message: "no rollout is paused" };
  const failed = `more than ${spec.rollout.maxReconnectFailurePercent} % of reconnects failed while pool ${list(failing)} rolled out`;
  const message = `${failed}; change the spec, or set rollout.paused to true and back to go on`;
  return { type: "RolloutPaused", status: "True", reason: "ReconnectFailures", message };
}

function withBlock(why: string, blockedBy: string | undefined): string {
  return blockedBy === undefined ? why : `${why}; waiting: ${blockedBy}`;
}

function list(names: readonly string[]): string {
  const shown = 5;
  return names.length <= shown ? names.join(", ") : `${names.slice(0, shown).join(", ")} and ${names.length - shown} more`;
}
