import type { V1PodDisruptionBudget } from "@kubernetes/client-node";
import { type Component, type Fleet, type Made, ownedMeta, podSelector } from "./fleet.js";
import { gatewaysName, haproxyName, routerName } from "./names.js";

/** Above any number of pods: the largest the API takes (an int32). */
export const minAvailableNever = 2_147_483_647;

/** No eviction of a gateway is ever granted, of one that is not ready neither (it may be draining, its sockets open): the operator moves its
 *  clients and deletes it. A percentage would not do, 100 % of no pods allows all. */
export function buildGatewayDisruptionBudget(fleet: Fleet): Made<V1PodDisruptionBudget> {
  const spec = { minAvailable: minAvailableNever, unhealthyPodEvictionPolicy: "IfHealthyBudget" };
  return budget(fleet, gatewaysName(fleet), "gateway", spec);
}

/** Routers hold no clients: one at a time may go. */
export function buildRouterDisruptionBudget(fleet: Fleet): Made<V1PodDisruptionBudget> {
  return budget(fleet, routerName(fleet), "router", { maxUnavailable: 1, unhealthyPodEvictionPolicy: "AlwaysAllow" });
}

export function buildHaproxyDisruptionBudget(fleet: Fleet): Made<V1PodDisruptionBudget> {
  return budget(fleet, haproxyName(fleet), "haproxy", { maxUnavailable: 1, unhealthyPodEvictionPolicy: "IfHealthyBudget" });
}

interface Allowance {
  readonly minAvailable?: number;
  readonly maxUnavailable?: number;
  readonly unhealthyPodEvictionPolicy: string;
}

function budget(fleet: Fleet, name: string, component: Component, allowance: Allowance): Made<V1PodDisruptionBudget> {
  return {
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    metadata: ownedMeta(fleet, { name, component }),
    spec: { ...allowance, selector: { matchLabels: podSelector(fleet, component) } },
  };
}
