import type {
  V1ConfigMap,
  V1Container,
  V1ContainerState,
  V1ContainerStatus,
  V1Node,
  V1Pod,
  V1PodCondition,
  V1PodStatus,
  V1Probe,
  V1Secret,
  V1Service,
  V1Taint,
  V1Volume,
} from "@kubernetes/client-node";
import type { Json, KubernetesObject } from "../../../operator/src/kubernetes/api/types.js";

export type Pod = Json<V1Pod> & KubernetesObject;
export type Node = Json<V1Node> & KubernetesObject;
export type Service = Json<V1Service> & KubernetesObject;
export type ConfigMap = Json<V1ConfigMap> & KubernetesObject;
export type Secret = Json<V1Secret> & KubernetesObject;
export type Container = Json<V1Container>;
export type ContainerState = Json<V1ContainerState>;
export type ContainerStatus = Json<V1ContainerStatus>;
export type PodCondition = Json<V1PodCondition>;
export type PodStatus = Json<V1PodStatus>;
export type Probe = Json<V1Probe>;
export type Taint = Json<V1Taint>;
export type Volume = Json<V1Volume>;

/** Where an object stands: "namespace/name", and "name" for a node. */
export const keyOf = ({ metadata: { namespace, name } }: KubernetesObject): string => keyFor(name, namespace ?? "");
export const keyFor = (name: string, namespace: string): string => (namespace === "" ? name : `${namespace}/${name}`);
export const namespaceOf = (object: KubernetesObject): string => object.metadata.namespace ?? "";

/** Kubernetes writes times of status to the second. */
export const timeText = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");

export const conditionOf = (pod: Pod, type: string): PodCondition | undefined =>
  pod.status?.conditions?.find((condition) => condition.type === type);
export const isConditionTrue = (pod: Pod, type: string): boolean => conditionOf(pod, type)?.status === "True";
export const isDeleting = (pod: Pod): boolean => pod.metadata.deletionTimestamp !== undefined;
/** Ended for good: nothing of it runs or will. */
export const isFinished = (pod: Pod): boolean => pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed";
