import { budgetStatus } from "./budget.js";
import { type Context, connectionsOf } from "./context.js";
import type { PodView } from "./pod-view.js";
import type { PoolPlan } from "./pool-plan.js";
import { describeStep } from "./steps.js";
import type { Condition, FleetStatus, PlannedStep, PlannerMemory, PodState, PodStatus, PoolStatus } from "./types.js";

export interface StatusFacts {
  readonly pools: readonly PoolPlan[];
  readonly conditions: readonly Condition[];
  readonly steps: readonly PlannedStep[];
  readonly memory: PlannerMemory;
}

export function fleetStatus(context: Context, facts: StatusFacts): FleetStatus {
  const { observed, views, budgetPerSecond, inUse } = context;
  const counted = new Set(facts.pools.flatMap((one) => countedPods(context, one)));
  const pods = [...views].sort((a, b) => (a.pod.name < b.pod.name ? -1 : 1)).map((view) => podStatus(view, counted.has(view.pod.uid)));
  const holders = views.map((view) => ({ name: view.pod.name, inUse: inUse.get(view.pod.uid) ?? 0 }));
  const { forced } = facts.memory;
  return {
    phase: phaseOf(context),
    epoch: observed.epoch,
    conditions: facts.conditions,
    pools: facts.pools.map((one) => poolStatus(context, one, counted)),
    pods,
    podsByState: countStates(pods),
    connections: connectionsOf(views),
    capacity: views.reduce((sum, view) => sum + (view.accepting ? view.capacity : 0), 0),
    budget: budgetStatus(holders, budgetPerSecond),
    ...(forced === undefined ? {} : { forced: `${context.clientsMissing} clients of ${forced.pods.join(", ")} are not back yet` }),
    forcedConnections: forced === undefined ? 0 : context.clientsMissing,
    plan: facts.steps,
    memory: facts.memory,
  };
}

function phaseOf({ observed }: Context): FleetStatus["phase"] {
  if (!observed.deleting) return "Running";
  return observed.pods.length === 0 ? "Closed" : "Closing";
}

/** `target` pods at most: new ones before old ones, those that serve before those that start. */
function countedPods({ views }: Context, { pool, scaling }: PoolPlan): readonly string[] {
  const eligible = views.filter((view) => view.pod.pool === pool.name && !view.dead && view.pod.grant?.purpose !== "drain");
  const rank = (view: PodView): number => (view.mustLeave === undefined ? 0 : 2) + (view.memory.wasReady ? 0 : 1);
  eligible.sort((a, b) => rank(a) - rank(b) || (a.pod.name < b.pod.name ? -1 : 1));
  return eligible.slice(0, scaling.target).map((view) => view.pod.uid);
}

function podStatus(view: PodView, counted: boolean): PodStatus {
  const { pod } = view;
  return {
    name: pod.name,
    pool: pod.pool,
    slot: pod.slot,
    revision: pod.revision,
    state: view.state,
    counted,
    reporting: pod.report !== undefined,
    accepting: view.accepting,
    connections: view.connections,
    capacity: view.capacity,
    reconnectsPerSecond: pod.grant?.reconnectsPerSecond ?? 0,
    reason: pod.grant?.reason ?? "none",
  };
}

function poolStatus({ views }: Context, { pool, scaling }: PoolPlan, counted: ReadonlySet<string>): PoolStatus {
  const pods = views.filter((view) => view.pod.pool === pool.name);
  const accepting = pods.filter((view) => view.accepting);
  return {
    name: pool.name,
    target: scaling.target,
    replicas: pods.filter((view) => counted.has(view.pod.uid)).length,
    accepting: accepting.length,
    updated: pods.filter((view) => !view.dead && view.pod.revision === pool.revision).length,
    connections: connectionsOf(pods),
    capacity: accepting.reduce((sum, view) => sum + view.capacity, 0),
    headroom: scaling.headroom,
    headroomWanted: scaling.headroomWanted,
    scaling: scaling.why,
  };
}

function countStates(pods: readonly PodStatus[]): Readonly<Record<PodState, number>> {
  const counts = { Pending: 0, Warming: 0, Serving: 0, Cordoned: 0, Draining: 0, Drained: 0, Terminating: 0 };
  for (const pod of pods) counts[pod.state] += 1;
  return counts;
}

/** The next action and why, on one line; with nothing to do, the autoscaler's view of the first pool. */
export function describeNext(status: FleetStatus): string {
  const [next] = status.plan;
  if (next !== undefined) return describeStep(next);
  const [pool] = status.pools;
  return pool === undefined ? "nothing to do" : `nothing to do: ${pool.scaling}`;
}
