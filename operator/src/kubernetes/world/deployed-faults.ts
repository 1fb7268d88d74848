import type { V1Deployment } from "@kubernetes/client-node";
import type { Typed } from "../api/resources.js";
import type { ObjectKey } from "../api/types.js";
import type { FleetCaches } from "./fleet-caches.js";
import { isOver, podFault } from "./observe-pod.js";
import { withAdvice } from "./what-helps.js";

/** What keeps the pods of a fleet's Deployments (routers, HAProxies) from running, in words. */
export function deployedFaults(
  fleet: ObjectKey & { readonly uid: string },
  caches: Pick<FleetCaches, "pods" | "owned">,
): readonly string[] {
  const deployments = (caches.owned.get("Deployment")?.cache.byIndex("owner", fleet.uid) ?? []) as readonly Typed<V1Deployment>[];
  const isWhole = deployments.every(({ status }) => (status?.unavailableReplicas ?? 0) === 0);
  // Of a pod that was evicted and replaced the object stays, until thousands are left.
  const pods = caches.pods.byIndex("deployed", `${fleet.namespace}/${fleet.name}`).filter((pod) => !isWhole || !isOver(pod));
  return [...deployments.flatMap(refusedPods), ...pods.flatMap((pod) => podFault(pod) ?? [])];
}

/** The Deployment's controller makes its pods, and is refused them as we are. */
function refusedPods({ metadata, status }: Typed<V1Deployment>): readonly string[] {
  const failure = status?.conditions?.find((one) => one.type === "ReplicaFailure" && one.status === "True");
  return failure === undefined
    ? []
    : [`Deployment ${metadata.name}: ${withAdvice(failure.message ?? failure.reason ?? "its pods are refused")}`];
}
