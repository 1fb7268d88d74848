import type { PushGateway } from "../../generated/push-gateway.js";
import type { Typed } from "../api/resources.js";
import type { ObjectKey, ReadCache } from "../api/types.js";
import type { Node, Pod } from "./observe-pod.js";
import type { OwnedKind } from "./owned-objects.js";

export type PushGatewayObject = Typed<PushGateway>;

/** What reconciling a fleet reads. Pods and owned objects have the index "owner": the uid of the PushGateway that controls them. Pods have "orphan"
 *  too: by "<namespace>/<fleet>" of their labels the gateways that nobody controls. Owned objects have
 *  "others" too: by their namespace those that are nobody's here; only of PodDisruptionBudgets such are watched. */
export interface FleetCaches {
  readonly pushGateways: ReadCache<PushGatewayObject>;
  readonly pods: ReadCache<Pod>;
  readonly nodes: ReadCache<Node>;
  /** By kind: Service, ConfigMap, Secret, … */
  readonly owned: ReadonlyMap<string, OwnedKind>;
}

/** "deleted" when the nodes are known and this one is not among them. */
export function nodeOf(caches: Pick<FleetCaches, "nodes">, name: string): Node | "deleted" | undefined {
  return caches.nodes.get({ namespace: "", name }) ?? (caches.nodes.synced ? "deleted" : undefined);
}

export function keyOf({ metadata }: { readonly metadata: { readonly namespace?: string; readonly name: string } }): ObjectKey {
  return { namespace: metadata.namespace ?? "", name: metadata.name };
}
