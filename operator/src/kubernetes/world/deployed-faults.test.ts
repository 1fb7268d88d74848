import { expect, test } from "vitest";
import type { KubernetesObject } from "../api/types.js";
import { deployedFaults } from "./deployed-faults.js";
import type { FleetCaches } from "./fleet-caches.js";

const evicted = { phase: "Failed", reason: "Evicted", message: "low on memory" };
const absent = { containerStatuses: [{ name: "router", state: { waiting: { reason: "ErrImagePull" } } }] };

/** What is told of a Deployment of such a status, and of one pod of it. */
function faultsWith(deployment: object, pod: object): readonly string[] {
  const object = (kind: string, name: string, status: object) =>
    ({ apiVersion: "v", kind, metadata: { name }, status }) as KubernetesObject;
  const deployments = { byIndex: () => [object("Deployment", "demo-router", deployment)] };
  const caches = {
    owned: new Map([["Deployment", { cache: deployments }]]),
    pods: { byIndex: () => [object("Pod", "demo-router-1", pod)] },
  };
  return deployedFaults({ namespace: "push", name: "demo", uid: "f" }, caches as unknown as FleetCaches);
}

test.each([
  ["a pod that fails", { replicas: 1, unavailableReplicas: 1 }, absent, ["demo-router-1: container router ErrImagePull"]],
  ["a pod that ended and is not replaced", { replicas: 1, unavailableReplicas: 1 }, evicted, ["demo-router-1: Evicted (low on memory)"]],
  ["none that is replaced and whose object was left behind", { replicas: 1, availableReplicas: 1 }, evicted, []],
  [
    "pods that are refused",
    { conditions: [{ type: "ReplicaFailure", status: "True", message: "no" }] },
    {},
    ["Deployment demo-router: no"],
  ],
])("of a fleet's Deployments is told %s", (_what, deployment, pod, told) => {
  expect(faultsWith(deployment, pod)).toEqual(told);
});
