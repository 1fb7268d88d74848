import type { PushGatewayPool, PushGatewaySpec } from "../../generated/push-gateway.js";
import type { Json, KubernetesObject, OwnerReference } from "../api/types.js";

/** A PushGateway as its objects are made from it: the spec with the schema's defaults filled in. */
export interface Fleet {
  readonly namespace: string;
  /** At most 28 characters, a DNS label (crds/pushgateway.yaml). */
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  readonly spec: PushGatewaySpec;
}

export type Pool = PushGatewayPool;

/** What the operator brings to the objects beside the spec. */
export interface OperatorFacts {
  /** Of the operator's own release: used where the spec names none. */
  readonly images: { readonly gateway: string; readonly router: string; readonly haproxy: string };
  /** Where the operator runs: the network policies let it in from there. */
  readonly namespace: string;
  /** Absent: `cluster.local`. HAProxy resolves full names only. */
  readonly clusterDomain?: string | undefined;
}

/** A `@kubernetes/client-node` type as the plain JSON that is sent: apiVersion, kind and a name are there. */
export type Made<T> = Json<T> & KubernetesObject;

export type Component = "gateway" | "router" | "haproxy";
export const componentLabel = "app.kubernetes.io/component";
export const fleetLabel = "pushfleet.dev/fleet";

/** Labels of everything a fleet owns; `component` for what belongs to one of its parts. */
export function fleetLabels(fleet: Pick<Fleet, "name">, component?: Component): Readonly<Record<string, string>> {
  return {
    "app.kubernetes.io/name": "pushfleet",
    "app.kubernetes.io/managed-by": "pushfleet-operator",
    "app.kubernetes.io/instance": fleet.name,
    ...(component === undefined ? {} : { [componentLabel]: component }),
    [fleetLabel]: fleet.name,
  };
}

/** Selects the pods of one part of a fleet, and nothing of another fleet. */
export function podSelector(fleet: Pick<Fleet, "name">, component: Component): Readonly<Record<string, string>> {
  return { [componentLabel]: component, [fleetLabel]: fleet.name };
}

/** Everything a fleet owns goes with it: the garbage collector sees to what the finalizer has not deleted. */
export function ownerReference(fleet: Pick<Fleet, "name" | "uid">): OwnerReference {
  return {
    apiVersion: "pushfleet.dev/v1alpha1",
    kind: "PushGateway",
    name: fleet.name,
    uid: fleet.uid,
    controller: true,
    blockOwnerDeletion: true,
  };
}

export interface OwnedMeta {
  readonly name: string;
  readonly component?: Component | undefined;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>> | undefined;
}

/** `metadata` of an owned object. */
export function ownedMeta(fleet: Fleet, { name, component, labels, annotations }: OwnedMeta) {
  return {
    name,
    namespace: fleet.namespace,
    labels: { ...fleetLabels(fleet, component), ...labels },
    ...(annotations === undefined ? {} : { annotations }),
    ownerReferences: [ownerReference(fleet)],
  };
}
