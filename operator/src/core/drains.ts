import { limits } from "@pushfleet/protocol";
import type { Context, DrainWish, Wait, Wish } from "./context.js";
import { describeInfeasible, estimateDrain } from "./feasibility.js";
import type { PodView } from "./pod-view.js";
import { isPastDeadline } from "./removal.js";
import { isSilent, silentMs } from "./silence.js";

/** Which drains run, at what rate: the fleet's budget is given out here and nowhere else (but for a fleet that closes: closing.ts). */
export interface DrainPlan {
  /** By uid; pods without one get their pool's wish. */
  readonly wishes: ReadonlyMap<string, Wish>;
  /** uid of pods whose time is over. */
  readonly overdue: ReadonlySet<string>;
  readonly waits: readonly Wait[];
  /** Sentences of DrainBlocked. */
  readonly blocked: readonly string[];
}

/** One drain at a time takes all the budget that is free: it ends as soon as it can, and fewer clients wait on pods that will go too. Budget
 *  that is left over goes to the running drain with the most clients left. Paused drains resume before new ones start. */
export function planDrains(context: Context, running: readonly DrainWish[], candidates: readonly DrainWish[]): DrainPlan {
  const wishes = new Map<string, Wish>();
  const overdue = new Set<string>();
  const waits: Wait[] = [];
  const blocked: string[] = [];
  const share = shareOfBudget(context, running);
  for (const drain of running) {
    if (context.memory.forced === undefined && isOverdue(context, drain.view)) overdue.add(drain.view.pod.uid);
    else if (isMoving(drain)) {
      const wish = isSilent(context, drain.view) ? begin(context, drain, 0) : goOn(context, drain, share);
      if (wish === undefined) blocked.push(describeBlocked(context, drain.view));
      else wishes.set(drain.view.pod.uid, wish);
    }
  }
  let free = Math.max(0, context.budgetPerSecond - sum([...context.inUse.values()]));
  if (context.grantsBlockedBy === undefined) free -= raise(context, running, wishes, free);
  const paused = running.filter((drain) => !isMoving(drain) && !overdue.has(drain.view.pod.uid));
  const moving = running.find(({ view }) => view.state !== "Drained" && (wishes.get(view.pod.uid)?.reconnectsPerSecond ?? 0) > 0);
  for (const drain of [...paused, ...candidates]) {
    const outcome = admit(context, drain, free, moving);
    if (outcome.kind === "infeasible") {
      blocked.push(outcome.why);
      continue;
    }
    if (outcome.kind === "start") free = 0;
    else waits.push({ pod: drain.view.pod.name, why: drain.why, blockedBy: outcome.blockedBy });
    const rate = outcome.kind === "start" ? outcome.reconnectsPerSecond : 0;
    if (outcome.kind === "start" || paused.includes(drain)) wishes.set(drain.view.pod.uid, begin(context, drain, rate));
  }
  return { wishes, overdue, waits, blocked };
}

function isMoving({ view }: DrainWish): boolean {
  return (view.pod.grant?.reconnectsPerSecond ?? 0) > 0;
}

/** Below 1 when the spec's budget was lowered under what is granted. */
function shareOfBudget({ budgetPerSecond }: Context, running: readonly DrainWish[]): number {
  const granted = sum(running.filter(({ view }) => view.state !== "Drained").map(({ view }) => view.pod.grant?.reconnectsPerSecond ?? 0));
  return granted > budgetPerSecond ? budgetPerSecond / granted : 1;
}

/** The next grant of a drain that is moving clients. `undefined`: with the spec's new budget it can never be over in time. */
function goOn(context: Context, drain: DrainWish, share: number): Wish | undefined {
  const { spec, settings, nowMs, memory } = context;
  const { pod } = drain.view;
  const granted = pod.grant?.reconnectsPerSecond ?? 0;
  const same: Wish = {
    purpose: "drain",
    reason: drain.reason,
    reconnectsPerSecond: granted,
    deadlineMs: pod.grant?.deadlineMs ?? 0,
    extensions: pod.grant?.extensions ?? 0,
    why: drain.why,
  };
  if (drain.view.state === "Drained") return same;
  if (memory.forced !== undefined)
    return { ...begin(context, drain, 0), why: `${drain.why}; paused: clients of a lost pod are coming back` };
  const rate = Math.floor(granted * share);
  if (rate < granted) {
    const feasibleAt = (perSecond: number): boolean => estimateDrain(toMove(drain.view), perSecond, spec.drain, settings).feasible;
    if (!feasibleAt(context.budgetPerSecond)) return undefined;
    return begin(context, drain, rate >= 1 && feasibleAt(rate) ? rate : 0);
  }
  if (!needsMoreTime(context, drain.view)) return same;
  return {
    ...same,
    deadlineMs: nowMs + spec.drain.deadlineMs,
    extensions: same.extensions + 1,
    why: `${drain.why}; more time, ${toMove(drain.view)} connections are left`,
  };
}

/** A grant that starts now, resumes, or (rate 0) pauses: its time is counted from now. */
function begin({ spec, nowMs }: Context, { view, reason, why }: DrainWish, rate: number): Wish {
  const known = view.pod.grant?.purpose === "drain" ? view.pod.grant : undefined;
  // A paused drain is written again only when half of its time is over: each write costs a request. A silent pod gets no more time.
  const halfOver = known !== undefined && known.deadlineMs - nowMs <= spec.drain.deadlineMs / 2;
  const keeps = rate === 0 && (view.pod.report === undefined || (known?.reconnectsPerSecond === 0 && !halfOver));
  const deadlineMs = keeps && known !== undefined ? known.deadlineMs : nowMs + spec.drain.deadlineMs;
  return { purpose: "drain", reason, reconnectsPerSecond: rate, deadlineMs, extensions: known?.extensions ?? 0, why };
}

type Admission =
  | { readonly kind: "start"; readonly reconnectsPerSecond: number }
  | { readonly kind: "wait"; readonly blockedBy: string }
  | { readonly kind: "infeasible"; readonly why: string };

/** `moving`: the drain that is under way. */
function admit(context: Context, drain: DrainWish, free: number, moving: DrainWish | undefined): Admission {
  const { spec, settings, budgetPerSecond } = context;
  const connections = toMove(drain.view);
  if (!estimateDrain(connections, budgetPerSecond, spec.drain, settings).feasible) {
    return { kind: "infeasible", why: describeBlocked(context, drain.view) };
  }
  if (context.grantsBlockedBy !== undefined) return { kind: "wait", blockedBy: context.grantsBlockedBy };
  if (drain.view.pod.report === undefined) return { kind: "wait", blockedBy: `${drain.view.pod.name} does not report` };
  if (free < 1 || !estimateDrain(connections, free, spec.drain, settings).feasible) {
    return { kind: "wait", blockedBy: `${budgetPerSecond - free} of ${budgetPerSecond} reconnects/s are in use` };
  }
  if (moving !== undefined) return { kind: "wait", blockedBy: `${moving.view.pod.name} is being drained` };
  return { kind: "start", reconnectsPerSecond: free };
}

/** How much of `free` it took. Worth a write only for a tenth of the budget, and for more than a second of work. */
function raise(context: Context, running: readonly DrainWish[], wishes: Map<string, Wish>, free: number): number {
  if (free < Math.max(1, context.budgetPerSecond / 10)) return 0;
  const rising = running
    .filter((drain) => drain.view.pod.report !== undefined && (wishes.get(drain.view.pod.uid)?.reconnectsPerSecond ?? 0) > 0)
    .filter((drain) => toMove(drain.view) > (drain.view.pod.grant?.reconnectsPerSecond ?? 0));
  const most = rising.reduce<DrainWish | undefined>(
    (best, one) => (best === undefined || toMove(one.view) > toMove(best.view) ? one : best),
    undefined,
  );
  const wish = most === undefined ? undefined : wishes.get(most.view.pod.uid);
  if (most === undefined || wish === undefined) return 0;
  wishes.set(most.view.pod.uid, { ...wish, reconnectsPerSecond: wish.reconnectsPerSecond + free });
  return free;
}

/** It cannot end by its deadline (the operator was away and the gateway paused, clients came back…) and may have more time. */
function needsMoreTime({ nowMs }: Context, view: PodView): boolean {
  const { grant, report } = view.pod;
  if (grant === undefined || report === undefined || view.connections === 0 || grant.extensions >= limits.drainExtensions) return false;
  const movingMs = (1_000 * report.remaining) / grant.reconnectsPerSecond;
  const leftMs = grant.deadlineMs - nowMs;
  return leftMs <= 0 || (report.remaining > 0 && movingMs > leftMs);
}

/** Over and out: no more time for one that reports, and one that does not report is not just unknown to an operator that has only started. */
function isOverdue(context: Context, view: PodView): boolean {
  const { nowMs, settings } = context;
  if (!isPastDeadline(view, nowMs)) return false;
  if (view.pod.report === undefined) return silentMs(context, view) >= settings.reportGraceMs;
  return (view.pod.grant?.reconnectsPerSecond ?? 0) > 0 && !needsMoreTime(context, view) && view.connections > 0;
}

/** Connections that have to be asked still; all of them for a pod whose gateway has not begun. */
function toMove(view: PodView): number {
  const { report } = view.pod;
  return report?.state === "draining" || report?.state === "drained" ? report.remaining : view.connections;
}

function describeBlocked({ spec, settings }: Context, view: PodView): string {
  return describeInfeasible(view.pod.name, toMove(view), spec.drain, settings);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
