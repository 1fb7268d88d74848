import { assertNever } from "@pushfleet/protocol";
import { inUsePerSecond } from "./budget.js";
import { planClosing } from "./closing.js";
import { conditions } from "./conditions.js";
import type { Context, DrainWish, Wait, Wish } from "./context.js";
import { referenceOf } from "./context.js";
import { type DrainPlan, planDrains } from "./drains.js";
import { bearsMark, fence, newerEpoch } from "./fencing.js";
import { clientsMissing } from "./forced-moves.js";
import { grantActions, markActions } from "./grants.js";
import { advanceMemory } from "./memory.js";
import { type PodView, viewPod } from "./pod-view.js";
import { type PoolPlan, planPool } from "./pool-plan.js";
import { mayDelete } from "./removal.js";
import { planRemovedPools } from "./removed-pools.js";
import { failsReconnects } from "./rollout.js";
import { defaultSettings } from "./settings.js";
import { fleetStatus } from "./status.js";
import { plannedSteps } from "./steps.js";
import type { Action, Observed, Plan, PlannerMemory, PurposeReason } from "./types.js";

/** What to do next for one fleet, and what to show of it. Pure: the same observation at the same time gives the same plan. O(n log n) in pods.
 *
 *  memory → views → wishes (what each pod should be told) → drains within the budget → actions (the difference) → status. */
export function plan(observed: Observed, nowMs: number): Plan {
  const context = buildContext(observed, nowMs);
  const deposedBy = newerEpoch(observed);
  if (deposedBy !== undefined) return finish(context, { ...nothing, deposedBy });
  return finish(context, observed.deleting ? close(context) : keep(context));
}

/** What the parts of a plan agree on before it becomes actions. */
interface Decided {
  readonly pools: readonly PoolPlan[];
  readonly wishes: ReadonlyMap<string, Wish>;
  readonly overdue: ReadonlySet<string>;
  readonly unserved: readonly { readonly view: PodView; readonly why: string }[];
  readonly creates: readonly Action[];
  readonly waits: readonly Wait[];
  readonly blocked: readonly string[];
  readonly deposedBy: number | undefined;
}

const nothing: Decided = {
  pools: [],
  wishes: new Map(),
  overdue: new Set(),
  unserved: [],
  creates: [],
  waits: [],
  blocked: [],
  deposedBy: undefined,
};

function buildContext(observed: Observed, nowMs: number): Context {
  const settings = { ...defaultSettings, ...observed.settings };
  const memory = withPausedRevisions(observed, advanceMemory(observed, settings, nowMs));
  const views = observed.pods.map((pod) => viewPod(pod, memoryOf(memory, pod.uid), observed, memory.pausedRevisions));
  const budgetPerSecond = Math.max(1, Math.floor(observed.spec.drain.reconnectsPerSecond));
  const inUse = views.map(({ pod, memory: known }): [string, number] => [
    pod.uid,
    inUsePerSecond(pod, known, budgetPerSecond, settings, nowMs),
  ]);
  return {
    observed,
    spec: observed.spec,
    settings,
    nowMs,
    memory,
    views,
    budgetPerSecond,
    inUse: new Map(inUse),
    grantsBlockedBy: fence(observed, memory, nowMs),
    clientsMissing: clientsMissing(memory.forced, observed),
  };
}

function memoryOf(memory: PlannerMemory, uid: string): PlannerMemory["pods"][string] {
  const known = memory.pods[uid];
  if (known === undefined) throw new Error(`no memory of pod ${uid}`); // advanceMemory makes one for each observed pod
  return known;
}

/** A rollout that stopped itself stays so until its revision changes, or somebody pauses it by hand (and lets it go on). */
function withPausedRevisions(observed: Observed, memory: PlannerMemory): PlannerMemory {
  const { spec, pods } = observed;
  const failing = failsReconnects(observed.reconnectFailures, spec.rollout.maxReconnectFailurePercent);
  const paused = spec.pools.filter((pool) => {
    if (spec.rollout.paused) return false;
    if (memory.pausedRevisions[pool.name] === pool.revision) return true;
    return failing && pods.some((pod) => pod.pool === pool.name && pod.revision !== pool.revision);
  });
  return { ...memory, pausedRevisions: Object.fromEntries(paused.map((pool) => [pool.name, pool.revision])) };
}

function keep(context: Context): Decided {
  const pools = context.spec.pools.map((pool) => planPool(context, pool));
  const parts = [...pools, planRemovedPools(context)];
  const candidates = parts.flatMap((part) => part.candidates).sort((a, b) => urgency(a) - urgency(b));
  const drains = planDrains(
    context,
    parts.flatMap((part) => part.running),
    candidates,
  );
  return {
    pools,
    wishes: new Map([...parts.flatMap((part) => [...part.wishes]), ...drains.wishes]),
    overdue: drains.overdue,
    unserved: parts.flatMap((part) => part.unserved),
    creates: pools.flatMap((pool) => pool.creates),
    waits: [...drains.waits, ...drainingWaits(context, drains), ...parts.flatMap((part) => part.waits), ...fenceWaits(context)],
    blocked: drains.blocked,
    deposedBy: undefined,
  };
}

const urgencies: readonly PurposeReason[] = ["leaving", "poolRemoved", "rollout", "scaleDown"];

function urgency(drain: DrainWish): number {
  return urgencies.indexOf(drain.reason);
}

function close(context: Context): Decided {
  const closing = planClosing(context);
  return {
    ...nothing,
    wishes: closing.wishes,
    overdue: closing.overdue,
    unserved: closing.unserved.map((view) => ({ view, why: "the fleet was deleted and it has no clients" })),
    waits: drainingWaits(context, closing),
  };
}

/** What a drain has left, for the eye. */
function drainingWaits({ views, nowMs }: Context, { wishes }: Pick<DrainPlan, "wishes">): readonly Wait[] {
  const moving = views.filter(({ pod }) => pod.grant?.purpose === "drain" && pod.grant.reconnectsPerSecond > 0 && wishes.has(pod.uid));
  return moving.map(({ pod, connections, state }) => {
    const wish = wishes.get(pod.uid);
    const left = Math.max(0, Math.ceil(((pod.grant?.deadlineMs ?? nowMs) - nowMs) / 1000));
    const blockedBy =
      state === "Drained"
        ? "its grant is released in a moment"
        : `${connections} connections left at ${wish?.reconnectsPerSecond ?? 0}/s, ${left} s to its deadline`;
    return { pod: pod.name, why: `draining: ${wish?.why ?? ""}`, blockedBy };
  });
}

function fenceWaits({ observed, grantsBlockedBy }: Context): readonly Wait[] {
  const unmarked = observed.pods.some((pod) => pod.phase !== "gone" && !bearsMark(observed, pod.grant));
  return unmarked && grantsBlockedBy !== undefined ? [{ why: "no drain starts yet", blockedBy: grantsBlockedBy }] : [];
}

/** From wishes to actions. Order: what ended is cleared away, pods are told (restoring before creating), pods are made, pods are deleted. */
function finish(context: Context, decided: Decided): Plan {
  const unserved = new Map(decided.unserved.map(({ view, why }) => [view.pod.uid, why]));
  const deletes = context.views.flatMap((view) => deleteAction(context, view, decided, unserved.get(view.pod.uid)));
  const deleted = new Set(deletes.map((action) => action.uid));
  const told = context.views
    .filter((view) => view.pod.phase !== "gone" && !deleted.has(view.pod.uid))
    .flatMap((view) => tell(context, view, decided));
  const goes = new Set(deletes.map((action) => action.pod));
  const waits = decided.waits
    .filter((wait) => wait.pod === undefined || !goes.has(wait.pod))
    .map((wait): Action => ({ kind: "wait", ...wait }));
  const actions: readonly Action[] = [
    ...deletes.filter((action) => action.reason === "gone"),
    ...told,
    ...decided.creates,
    ...deletes.filter((action) => action.reason !== "gone"),
    ...waits,
  ];
  const steps = plannedSteps(actions);
  const facts = { pools: decided.pools, blocked: decided.blocked, actions, steps, deposedBy: decided.deposedBy };
  const pools = Object.fromEntries(decided.pools.map((one) => [one.pool.name, one.memory]));
  const status = fleetStatus(context, {
    pools: decided.pools,
    conditions: conditions(context, facts, context.observed.status?.conditions ?? []),
    steps,
    memory: { ...context.memory, pools: { ...context.memory.pools, ...pools } },
  });
  return { actions: context.spec.dryRun && !context.observed.deleting ? [] : actions, status };
}

type DeleteAction = Extract<Action, { kind: "deletePod" }>;

function deleteAction(context: Context, view: PodView, decided: Decided, whyUnserved: string | undefined): readonly DeleteAction[] {
  if (decided.deposedBy !== undefined) return [];
  const wish = decided.wishes.get(view.pod.uid);
  const overdue = decided.overdue.has(view.pod.uid);
  const unwanted = whyUnserved !== undefined || view.pod.phase === "gone" || overdue || wish?.purpose === "drain";
  const reason = unwanted ? mayDelete(view, overdue, context) : undefined;
  if (reason === undefined) return [];
  return [{ kind: "deletePod", ...referenceOf(view), reason, why: whyUnserved ?? whyDeleted(reason, view, wish) }];
}

function whyDeleted(reason: DeleteAction["reason"], { pod }: PodView, wish: Wish | undefined): string {
  switch (reason) {
    case "gone":
      return pod.ended === undefined ? "its process has ended" : `its process has ended: ${pod.ended}`;
    case "drained":
      return `drained: ${wish?.why ?? "it is not needed"}`;
    case "neverServed":
      return "it never had a client";
    case "deadlinePassed":
      return "its drain's deadline and grace are over";
    default:
      return assertNever(reason);
  }
}

function tell(context: Context, view: PodView, decided: Decided): readonly Action[] {
  if (decided.deposedBy !== undefined) return [];
  const wish = decided.wishes.get(view.pod.uid);
  return wish === undefined || view.dead ? markActions(context, view) : grantActions(context, view, wish);
}
