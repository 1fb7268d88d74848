import { limits } from "@pushfleet/protocol";
import type { FleetStatus, PlannedStep, PodState, PodStatus } from "../../core/index.js";
import type { PushGatewayStatus, PushGatewayStatusCondition, PushGatewayStatusPods } from "../../generated/push-gateway.js";
import { cutText, type StatusCondition } from "./fleet-conditions.js";

export interface ObjectStatusFacts {
  readonly name: string;
  readonly generation: number;
  readonly conditions: readonly StatusCondition[];
  readonly templateOutdated: boolean;
  /** Moves in the last second, as the gateways count them. */
  readonly movesPerSecond: number;
  readonly nowMs: number;
}

/** `status` of the PushGateway object (crds/pushgateway.yaml) from a plan's. `before` keeps a condition's time while its status stays. */
export function objectStatus(status: FleetStatus, facts: ObjectStatusFacts, before: PushGatewayStatus | undefined): PushGatewayStatus {
  const counted = status.pods.filter((pod) => pod.counted).length;
  return {
    observedGeneration: facts.generation,
    conditions: facts.conditions.map((one) => withTime(one, facts, before?.conditions ?? [])),
    replicas: counted,
    selector: countedSelector(facts.name),
    connections: status.connections,
    capacity: status.capacity,
    pods: byState(status.pods),
    budget: {
      grantedPerSecond: status.budget.inUse,
      inUsePerSecond: Math.min(status.budget.inUse, Math.round(facts.movesPerSecond)),
      forcedConnections: status.forcedConnections,
    },
    plan: status.plan.map(stepOf),
    templateOutdated: facts.templateOutdated,
    pools: status.pools.map((pool) => ({
      name: pool.name,
      desiredReplicas: pool.target,
      replicas: pool.replicas,
      connections: pool.connections,
      capacity: pool.capacity,
      ...(status.memory.pausedRevisions[pool.name] === undefined ? {} : { pausedRevision: status.memory.pausedRevisions[pool.name] }),
      pods: byState(status.pods.filter((pod) => pod.pool === pool.name)),
    })),
  };
}

/** Just the pods that are counted in `status.replicas`: what HorizontalPodAutoscaler and KEDA read metrics of. */
export function countedSelector(fleet: string): string {
  return `pushfleet.dev/fleet=${fleet},pushfleet.dev/counted=true`;
}

const stateFields: Readonly<Record<PodState, keyof PushGatewayStatusPods>> = {
  Pending: "pending",
  Warming: "warming",
  Serving: "serving",
  Cordoned: "cordoned",
  Draining: "draining",
  Drained: "drained",
  Terminating: "terminating",
};

function byState(pods: readonly PodStatus[]): PushGatewayStatusPods {
  const counts = { pending: 0, warming: 0, serving: 0, cordoned: 0, draining: 0, drained: 0, terminating: 0 };
  for (const pod of pods) counts[stateFields[pod.state]] += 1;
  return counts;
}

function withTime(
  condition: StatusCondition,
  { generation, nowMs }: ObjectStatusFacts,
  before: readonly PushGatewayStatusCondition[],
): PushGatewayStatusCondition {
  const last = before.find((one) => one.type === condition.type);
  const lastTransitionTime = last?.status === condition.status ? last.lastTransitionTime : new Date(nowMs).toISOString();
  return { ...condition, observedGeneration: generation, lastTransitionTime };
}

function stepOf(step: PlannedStep): NonNullable<PushGatewayStatus["plan"]>[number] {
  const { action, pod, why, blockedBy } = step;
  const text = (sentence: string): string => cutText(sentence, limits.planSentenceCharactersMax);
  return {
    action: `${action[0]?.toUpperCase() ?? ""}${action.slice(1)}`,
    ...(pod === undefined ? {} : { target: pod }),
    why: text(why),
    ...(blockedBy === undefined ? {} : { blockedBy: text(blockedBy) }),
  };
}
