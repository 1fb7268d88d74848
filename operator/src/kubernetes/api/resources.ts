import type {
  EventsV1Event,
  V1ConfigMap,
  V1ControllerRevision,
  V1Deployment,
  V1Lease,
  V1Namespace,
  V1NetworkPolicy,
  V1Node,
  V1Pod,
  V1PodDisruptionBudget,
  V1Secret,
  V1Service,
  V1ServiceAccount,
} from "@kubernetes/client-node";
import type { PushGateway } from "../../generated/push-gateway.js";
import type { Json, KubernetesObject, Resource } from "./types.js";

/** JSON form of a client-node type as a server answers it: it has a version, a kind and a name. */
export type Typed<T> = Omit<Json<T>, "apiVersion" | "kind" | "metadata"> & KubernetesObject;

/** What the operator reads and writes. */
export const resources = {
  pods: namespaced<Typed<V1Pod>>("", "v1", "Pod", "pods"),
  services: namespaced<Typed<V1Service>>("", "v1", "Service", "services"),
  configMaps: namespaced<Typed<V1ConfigMap>>("", "v1", "ConfigMap", "configmaps"),
  secrets: namespaced<Typed<V1Secret>>("", "v1", "Secret", "secrets"),
  serviceAccounts: namespaced<Typed<V1ServiceAccount>>("", "v1", "ServiceAccount", "serviceaccounts"),
  nodes: clusterWide<Typed<V1Node>>("", "v1", "Node", "nodes"),
  namespaces: clusterWide<Typed<V1Namespace>>("", "v1", "Namespace", "namespaces"),
  deployments: namespaced<Typed<V1Deployment>>("apps", "v1", "Deployment", "deployments"),
  controllerRevisions: namespaced<Typed<V1ControllerRevision>>("apps", "v1", "ControllerRevision", "controllerrevisions"),
  podDisruptionBudgets: namespaced<Typed<V1PodDisruptionBudget>>("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
  networkPolicies: namespaced<Typed<V1NetworkPolicy>>("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
  leases: namespaced<Typed<V1Lease>>("coordination.k8s.io", "v1", "Lease", "leases"),
  events: namespaced<Typed<EventsV1Event>>("events.k8s.io", "v1", "Event", "events"),
  pushGateways: namespaced<Typed<PushGateway>>("pushfleet.dev", "v1alpha1", "PushGateway", "pushgateways"),
} as const;

/** `apiVersion` of an object of that resource: "v1", "apps/v1". */
export function apiVersionOf(resource: Resource): string {
  return resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
}

function namespaced<T extends KubernetesObject>(group: string, version: string, kind: string, plural: string): Resource<T> {
  return { group, version, kind, plural, namespaced: true };
}

function clusterWide<T extends KubernetesObject>(group: string, version: string, kind: string, plural: string): Resource<T> {
  return { group, version, kind, plural, namespaced: false };
}
