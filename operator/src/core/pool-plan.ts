import { type Context, connectionsOf, cordon, type DrainWish, serve, type Wait, type Wish } from "./context.js";
import { backOffLeftMs } from "./create-back-off.js";
import { createActions } from "./creation.js";
import type { PodView } from "./pod-view.js";
import { type PoolSize, poolSize } from "./pool-size.js";
import { neverServed } from "./removal.js";
import { type Replacement, replaceOld } from "./rollout.js";
import { type ScalingDecision, scaleTarget } from "./scale-target.js";
import type { ScalingPod } from "./scaling-input.js";
import { timeToReadyMs } from "./time-to-ready.js";
import type { Action, PoolMemory, PoolSpec } from "./types.js";
import { leastLoaded, othersHold } from "./victim.js";

/** What one pool wants, before budgets: drains.ts decides which of its drains may run. */
export interface PoolPlan {
  readonly pool: PoolSpec;
  /** For each pod that is alive (by uid): what to tell it when no drain says otherwise. */
  readonly wishes: ReadonlyMap<string, Wish>;
  /** Drains that go on. */
  readonly running: readonly DrainWish[];
  /** Drains that should start, the most wanted first. */
  readonly candidates: readonly DrainWish[];
  /** Pods without a client that are not wanted. */
  readonly unserved: readonly { readonly view: PodView; readonly why: string }[];
  readonly creates: readonly Action[];
  readonly waits: readonly Wait[];
  readonly scaling: ScalingDecision;
  readonly replacement: Replacement | undefined;
  readonly memory: PoolMemory;
}

/** Straight down: who is there, how many should be, what is missing, what has to be replaced, who goes. */
export function planPool(context: Context, pool: PoolSpec): PoolPlan {
  const pods = sortPods(context, pool);
  const surge = surgeNow(context, pool, pods);
  const size = poolSize({
    pool,
    mode: context.spec.autoscaling.mode,
    memory: context.memory.pools[pool.name],
    kept: pods.kept,
    shrinkingNow: pods.shrinking,
    gone: pods.gone,
    surge,
  });
  const scaling = decideScaling(context, pool, pods, size);
  const restored = pods.shrinking.slice(0, Math.max(0, scaling.target - pods.kept.length));
  const replacement = pods.old.length === 0 ? undefined : replaceOld(context, replacementInput(context, pool, pods, scaling.target));
  const missing = replacement?.create ?? scaling.target - pods.kept.length - restored.length;
  const backOffMs = backOffLeftMs(context.memory.pools[pool.name]?.startFailures, context.nowMs);
  const surplus = chooseVictim(context, pods, scaling, surge);
  const wishes = new Map<string, Wish>();
  for (const view of pods.current) wishes.set(view.pod.uid, serve("wanted"));
  for (const view of [...pods.undone, ...pods.shrinking])
    wishes.set(view.pod.uid, serve(restored.includes(view) ? scaling.why : "it may stay"));
  for (const view of [...pods.old, ...pods.leaving]) wishes.set(view.pod.uid, wishForOld(view, replacement));
  return {
    pool,
    wishes,
    running: [
      ...pods.shrinking.filter((view) => !restored.includes(view)).map((view) => drainWish(view, "the pool does not need it")),
      ...pods.leaving.map((view) => drainWish(view, replacement?.why ?? describeLeaving(view))),
    ],
    candidates: [
      ...(replacement?.victim === undefined ? [] : [drainWish(replacement.victim, replacement.why)]),
      ...(surplus === undefined || neverServed(surplus.view, context) ? [] : [surplus]),
    ],
    unserved: [
      ...pods.unservedOld.map((view) => ({ view, why: `it has no clients and must go: ${describeLeaving(view)}` })),
      ...(surplus !== undefined && neverServed(surplus.view, context) ? [surplus] : []),
    ],
    creates: missing > 0 && backOffMs === 0 ? createActions(context, pool, missing, describeMissing(pool, pods, scaling, replacement)) : [],
    waits: [...startingWaits(pods), ...replacementWaits(replacement), ...backOffWaits(context, pool, missing, backOffMs)],
    scaling,
    replacement,
    memory: rememberDecision(context, pool, pods, scaling, surplus),
  };
}

interface PoolPods {
  /** Alive and not being drained: `current` and `old`. */
  readonly kept: readonly PodView[];
  readonly current: readonly PodView[];
  /** Must leave. */
  readonly old: readonly PodView[];
  /** Must leave and can simply be deleted. */
  readonly unservedOld: readonly PodView[];
  /** Being drained because they must leave. */
  readonly leaving: readonly PodView[];
  /** Being drained because the pool did not need them. */
  readonly shrinking: readonly PodView[];
  /** Being drained for a reason that is no more. */
  readonly undone: readonly PodView[];
  /** Objects of pods that ended. */
  readonly gone: number;
}

function sortPods(context: Context, pool: PoolSpec): PoolPods {
  const all = context.views.filter((view) => view.pod.pool === pool.name);
  const alive = all.filter((view) => !view.dead);
  const draining = alive.filter((view) => view.pod.grant?.purpose === "drain");
  const unservedOld = alive.filter((view) => view.mustLeave !== undefined && neverServed(view, context));
  const unserved = new Set(unservedOld);
  const still = draining.filter((view) => !unserved.has(view));
  const shrinking = still.filter((view) => view.pod.grant?.reason === "scaleDown");
  const others = still.filter((view) => view.pod.grant?.reason !== "scaleDown");
  const undone = others.filter((view) => view.mustLeave === undefined);
  const staying = alive.filter((view) => view.pod.grant?.purpose !== "drain" && !unserved.has(view));
  const current = [...staying.filter((view) => view.mustLeave === undefined), ...undone];
  const old = staying.filter((view) => view.mustLeave !== undefined);
  return {
    kept: [...current, ...old],
    current,
    old,
    unservedOld,
    leaving: others.filter((view) => view.mustLeave !== undefined),
    shrinking,
    undone,
    gone: all.filter((view) => view.pod.phase === "gone").length,
  };
}

/** Pods that may be there on top of the target: while some are replaced, and while a rollout is paused half-way. Its surge is what it goes on
 *  with, and of two revisions the planner cannot know which one the person who paused it wants to keep. */
function surgeNow({ spec }: Context, pool: PoolSpec, pods: PoolPods): number {
  const isReplacing = pods.old.length + pods.leaving.length > 0;
  const isHalfWay = pods.kept.some((view) => view.pod.revision !== pool.revision);
  return isReplacing || isHalfWay ? Math.max(1, spec.rollout.maxSurge) : 0;
}

function decideScaling(context: Context, pool: PoolSpec, pods: PoolPods, size: PoolSize): ScalingDecision {
  const { spec, memory, settings, nowMs } = context;
  const known = memory.pools[pool.name];
  const served = [...pods.kept, ...pods.shrinking, ...pods.leaving].filter((view) => view.memory.wasReady);
  const decision = scaleTarget({
    minReplicas: Math.max(1, pool.minReplicas),
    maxReplicas: Math.max(1, pool.minReplicas, pool.maxReplicas),
    target: size.target,
    pods: pods.kept.map(scalingPod),
    restorable: pods.shrinking.map(scalingPod),
    newPodCapacity: Math.min(pool.softConnections, Math.floor(0.9 * pool.hardConnections)),
    stillDraining: connectionsOf([...pods.shrinking, ...pods.leaving]),
    ofRemovedPools: Math.ceil(connectionsOf(context.views.filter((view) => view.mustLeave === "poolRemoved")) / spec.pools.length),
    netArrivalsPerSecond: known?.netArrivalsPerSecond ?? 0,
    handshakesPerSecond: known?.handshakesPerSecond ?? 0,
    podHandshakesPerSecond: spec.handshakesPerSecond,
    timeToReadyMs: timeToReadyMs(known?.timeToReadyMs ?? [], settings.timeToReadyMs),
    reporting: served.filter((view) => view.pod.report !== undefined).length,
    expected: served.length,
    unsettled: whyUnsettled(context, pods, size),
    shrinkableSinceMs: known?.shrinkableSinceMs,
    stabilizationMs: spec.autoscaling.stabilizationMs,
    nowMs,
  });
  if (spec.autoscaling.mode === "Builtin") return decision;
  const asked = `autoscaling.mode ${spec.autoscaling.mode}: ${size.target} replicas are asked for`;
  const { headroom, headroomWanted, blind } = decision;
  const why = blind ? `${asked}; too few pods report to give one up` : asked;
  return { target: size.target, headroom, headroomWanted, kind: "hold", limited: false, blind, why };
}

function whyUnsettled({ memory }: Context, pods: PoolPods, size: PoolSize): string | undefined {
  if (memory.forced !== undefined) return "clients of a lost pod are coming back";
  if (pods.kept.length > size.target) return `${pods.kept.length - size.target} pods too many go first`;
  if (pods.shrinking.length + pods.leaving.length > 0) return "a pod is being drained";
  return pods.old.length + pods.unservedOld.length > 0 ? "pods are being replaced" : undefined;
}

/** A cordoned pod counts as one that takes connections: it can at once, by an uncordon. So does one whose drain is undone. */
function scalingPod(view: PodView): ScalingPod {
  const { name, uid, node, zone, grant, report } = view.pod;
  const cordoned = grant !== undefined && grant.purpose !== "serve" && report !== undefined;
  return {
    name,
    uid,
    node,
    zone,
    connections: view.connections,
    accepting: view.accepting || cordoned,
    starting: view.starting,
    capacity: view.capacity,
    slots: view.slots,
  };
}

function replacementInput(context: Context, pool: PoolSpec, pods: PoolPods, target: number): Parameters<typeof replaceOld>[1] {
  const known = context.memory.pools[pool.name];
  return {
    target,
    maxSurge: context.spec.rollout.maxSurge,
    current: pods.current,
    old: pods.old,
    draining: [...pods.shrinking, ...pods.leaving],
    refuge: pods.current,
    podCapacity: pool.softConnections,
    netArrivalsPerSecond: known?.netArrivalsPerSecond ?? 0,
    handshakesPerSecond: known?.handshakesPerSecond ?? 0,
    timeToReadyMs: timeToReadyMs(known?.timeToReadyMs ?? [], context.settings.timeToReadyMs),
  };
}

/** The autoscaler's victim, or the least loaded of too many pods: with External scaling and a lowered maximum there is no window to wait. */
function chooseVictim(context: Context, pods: PoolPods, scaling: ScalingDecision, surge: number): DrainWish | undefined {
  const chosen = pods.kept.find((view) => view.pod.uid === scaling.victim);
  if (chosen !== undefined) return { view: chosen, reason: "scaleDown", why: scaling.why };
  const settled = pods.old.length + pods.leaving.length + pods.shrinking.length === 0 && context.memory.forced === undefined;
  if (scaling.blind || !settled || pods.kept.length <= scaling.target + surge) return undefined;
  const candidates = pods.kept.map(scalingPod);
  const victim = leastLoaded(candidates.filter((pod) => pod.accepting || pod.starting));
  if (victim === undefined || !othersHold(candidates, victim)) return undefined;
  const view = pods.kept.find((one) => one.pod.uid === victim.uid);
  return view === undefined ? undefined : { view, reason: "scaleDown", why: `${pods.kept.length} pods, ${scaling.target} wanted` };
}

function wishForOld(view: PodView, replacement: Replacement | undefined): Wish {
  const isCordoned = (view.pod.grant?.purpose ?? "serve") !== "serve";
  const cordoned = replacement === undefined ? isCordoned : replacement.cordonMore || (isCordoned && replacement.keepCordoned);
  return cordoned && view.mustLeave !== undefined
    ? cordon(view.mustLeave, `new connections go to new pods: ${replacement?.why ?? describeLeaving(view)}`)
    : serve(replacement?.blockedBy ?? "it is needed until its replacement serves");
}

function drainWish(view: PodView, why: string): DrainWish {
  const reason = view.pod.grant?.purpose === "drain" ? view.pod.grant.reason : (view.mustLeave ?? "scaleDown");
  return { view, reason, why };
}

function describeLeaving({ pod, mustLeave }: PodView): string {
  return pod.leaving ?? (mustLeave === "poolRemoved" ? "its pool is not in the spec" : `revision ${pod.revision} is not the spec's`);
}

function describeMissing(pool: PoolSpec, pods: PoolPods, scaling: ScalingDecision, replacement: Replacement | undefined): string {
  if (replacement !== undefined) return replacement.why;
  if (scaling.kind === "grow") return scaling.why;
  return `pool ${pool.name} has ${pods.kept.length} of ${scaling.target} pods`;
}

function startingWaits(pods: PoolPods): readonly Wait[] {
  return pods.kept
    .filter((view) => view.starting)
    .map(({ pod, state }) => ({
      pod: pod.name,
      why: "it is starting",
      blockedBy: state === "Pending" ? "its process has not started" : "it is not ready yet",
    }));
}

function backOffWaits({ memory }: Context, pool: PoolSpec, missing: number, leftMs: number): readonly Wait[] {
  const count = memory.pools[pool.name]?.startFailures?.count ?? 0;
  const blockedBy = `pods ended before they were ready ${count} times in a row; the next try is in ${Math.ceil(leftMs / 1000)} s`;
  return missing > 0 && leftMs > 0 ? [{ why: `pool ${pool.name} misses ${missing} pods`, blockedBy }] : [];
}

function replacementWaits(replacement: Replacement | undefined): readonly Wait[] {
  return replacement?.blockedBy === undefined ? [] : [{ why: replacement.why, blockedBy: replacement.blockedBy }];
}

function rememberDecision(
  context: Context,
  pool: PoolSpec,
  pods: PoolPods,
  scaling: ScalingDecision,
  surplus: DrainWish | undefined,
): PoolMemory {
  const { shrinkableSinceMs: _, ...known } = context.memory.pools[pool.name] ?? emptyPool;
  const shrinking = [...pods.shrinking.map((view) => view.pod.uid), ...(surplus === undefined ? [] : [surplus.view.pod.uid])];
  // A dry run decides the same again next time: nothing was done about it.
  const target = context.spec.dryRun ? pods.kept.length : scaling.target;
  const since = scaling.shrinkableSinceMs;
  return { ...known, target, shrinking, ...(since === undefined ? {} : { shrinkableSinceMs: since }) };
}

const emptyPool: PoolMemory = { netArrivalsPerSecond: 0, handshakesPerSecond: 0, timeToReadyMs: [] };
