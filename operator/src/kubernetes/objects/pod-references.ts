import type { V1PodSpec } from "@kubernetes/client-node";
import type { Json } from "../api/types.js";

/** An object of the pod's namespace. */
export interface Reference {
  readonly kind: "ConfigMap" | "Secret" | "ServiceAccount";
  readonly name: string;
}

/** Volumes of Secrets that the user's spec names; all else that a pod of a fleet refers to is the fleet's own. */
export const usersVolumes: readonly string[] = ["auth", "client-tls", "api-tokens"];

/** What a pod of a fleet reads or runs as, and the fleet itself has made: a pod must not start with what somebody else has put in its place. */
export function ownReferences(pod: Json<V1PodSpec>): readonly Reference[] {
  const { volumes = [], containers, serviceAccountName } = pod;
  const found: Reference[] = [];
  const add = (kind: Reference["kind"], name: string | undefined): void => {
    if (name !== undefined && !found.some((one) => one.kind === kind && one.name === name)) found.push({ kind, name });
  };
  add("ServiceAccount", serviceAccountName);
  for (const { configMap, secret } of volumes.filter((one) => !usersVolumes.includes(one.name))) {
    add("ConfigMap", configMap?.name);
    add("Secret", secret?.secretName);
  }
  for (const { valueFrom } of containers.flatMap(({ env = [] }) => env)) {
    add("ConfigMap", valueFrom?.configMapKeyRef?.name);
    add("Secret", valueFrom?.secretKeyRef?.name);
  }
  return found;
}
