import type { Clock, Logger } from "@pushfleet/service";
import type { Registry } from "prom-client";
import { ObjectCache } from "./api/cache.js";
import { Reflector } from "./api/reflector.js";
import { resources } from "./api/resources.js";
import type { CacheChange, KubernetesApi, KubernetesObject, ObjectKey, Resource } from "./api/types.js";
import { type Component, componentLabel, fleetLabel } from "./objects/index.js";
import { type FleetCaches, keyOf, type PushGatewayObject } from "./world/fleet-caches.js";
import { type Node, type Pod, podFault, whyLeaving } from "./world/observe-pod.js";
import type { OwnedKind } from "./world/owned-objects.js";
import { trimPod } from "./world/trim-pod.js";

export interface ClusterCachesParts {
  readonly api: KubernetesApi;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics: Registry;
  /** Something of this fleet changed: its PushGateway, a pod, an owned object, a node one of its pods is on; or a budget of somebody else's. */
  readonly onChange: (fleet: ObjectKey, what: "pushGateway" | "pod" | "owned" | "node" | "budget") => void;
}

/** Everything of ours carries it; the watches ask for nothing else, but for PodDisruptionBudgets: of other people's one may select our pods. */
const [ownLabel, ownValue] = ["app.kubernetes.io/managed-by", "pushfleet-operator"];
const ownLabels = `${ownLabel}=${ownValue}`;

/** Kinds of the objects that a fleet owns beside its pods. */
export const ownedResources: readonly Resource[] = [
  resources.services,
  resources.configMaps,
  resources.secrets,
  resources.serviceAccounts,
  resources.deployments,
  resources.controllerRevisions,
  resources.podDisruptionBudgets,
  resources.networkPolicies,
];

/** What the operator reads of a cluster, kept by watches: all PushGateways, nodes and PodDisruptionBudgets, and the objects that are its own. */
export class ClusterCaches implements FleetCaches {
  readonly pushGateways = new ObjectCache<PushGatewayObject>();
  readonly pods = new ObjectCache<Pod>(
    { owner: ownerOf, orphan: orphanOf, node: (pod) => listOf(pod.spec?.nodeName), router: routerOf, deployed: deployedOf },
    trimPod,
  );
  readonly nodes = new ObjectCache<Node>();
  readonly owned: ReadonlyMap<string, OwnedKind>;
  readonly #reflectors: readonly Pick<Reflector<KubernetesObject>, "start" | "stop" | "synced">[];

  constructor(parts: ClusterCachesParts) {
    const { onChange } = parts;
    const shared = { api: parts.api, clock: parts.clock, random: parts.random, logger: parts.logger, metrics: parts.metrics };
    const owned = ownedResources.map((resource) => ({ resource, cache: new ObjectCache<KubernetesObject>(ownedIndexes) }));
    this.owned = new Map(owned.map((kind) => [kind.resource.kind, kind]));
    this.#reflectors = [
      new Reflector({
        ...shared,
        resource: resources.pushGateways,
        cache: this.pushGateways,
        onChange: (change) => {
          if (!isOwnStatus(change)) onChange(keyOf(objectOf(change)), "pushGateway");
        },
      }),
      new Reflector({
        ...shared,
        resource: resources.pods,
        labelSelector: ownLabels,
        cache: this.pods,
        onChange: (change) => {
          tellOwner(objectOf(change), "pod", onChange);
          const isOrphaned = change.kind === "changed" && controllerOf(change.after) === undefined;
          if (isOrphaned) tellOwner(change.before, "pod", onChange);
          tellOfDeployed(change, onChange);
        },
      }),
      new Reflector({ ...shared, resource: resources.nodes, cache: this.nodes, onChange: (change) => this.#tellOfNode(change, onChange) }),
      ...owned.map(
        ({ resource, cache }) =>
          new Reflector({
            ...shared,
            resource,
            ...(resource === resources.podDisruptionBudgets ? {} : { labelSelector: ownLabels }),
            cache,
            onChange: (change) => {
              if (othersIn(objectOf(change)).length === 0) tellOwner(objectOf(change), "owned", onChange);
              else this.#tellOfOther(change, onChange);
            },
          }),
      ),
    ];
  }

  start(): void {
    for (const reflector of this.#reflectors) reflector.start();
  }

  /** Resolves when each has been filled once. */
  async synced(): Promise<void> {
    await Promise.all(this.#reflectors.map((reflector) => reflector.synced));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#reflectors.map((reflector) => reflector.stop()));
  }

  /** Somebody else's PodDisruptionBudget came, was edited or went: fleets of its namespace may have something to say. */
  #tellOfOther(change: CacheChange<KubernetesObject>, onChange: ClusterCachesParts["onChange"]): void {
    if (change.kind === "changed") tellOwner(change.before, "owned", onChange); // somebody took our label and owner away
    if (change.kind === "changed" && change.before.metadata.generation === change.after.metadata.generation) return;
    const { namespace } = objectOf(change).metadata;
    for (const fleet of this.pushGateways.list()) if (fleet.metadata.namespace === namespace) onChange(keyOf(fleet), "budget");
  }

  /** A node's status changes all the time; only its going, and its leaving, matters to a fleet. */
  #tellOfNode(change: CacheChange<Node>, onChange: ClusterCachesParts["onChange"]): void {
    if (change.kind === "changed" && whyLeaving(change.before) === whyLeaving(change.after)) return;
    for (const pod of this.pods.byIndex("node", objectOf(change).metadata.name)) tellOwner(pod, "node", onChange);
  }
}

/** Only the status changed, which nobody writes but this operator. */
function isOwnStatus(change: CacheChange<PushGatewayObject>): boolean {
  if (change.kind !== "changed") return false;
  const parts = ({ metadata }: PushGatewayObject): string =>
    JSON.stringify([
      metadata.uid,
      metadata.generation,
      metadata.deletionTimestamp,
      metadata.finalizers,
      metadata.labels,
      metadata.annotations,
    ]);
  return parts(change.before) === parts(change.after);
}

function objectOf<T>(change: CacheChange<T>): T {
  return change.kind === "deleted" ? change.before : change.after;
}

function controllerOf(object: KubernetesObject) {
  return object.metadata.ownerReferences?.find((one) => one.controller === true && one.kind === resources.pushGateways.kind);
}

function ownerOf(object: KubernetesObject): readonly string[] {
  return listOf(controllerOf(object)?.uid);
}

/** See `FleetCaches`. */
export const ownedIndexes = { owner: ownerOf, others: othersIn };

function othersIn(object: KubernetesObject): readonly string[] {
  const { namespace, labels } = object.metadata;
  return labels?.[ownLabel] === ownValue || controllerOf(object) !== undefined ? [] : listOf(namespace);
}

function listOf(value: string | undefined): readonly string[] {
  return value === undefined ? [] : [value];
}

/** The fleet whose gateway it says it is, where it is nobody's. */
function orphanOf(pod: Pod): readonly string[] {
  const isOwned = pod.metadata.ownerReferences?.some((one) => one.controller === true) === true;
  return isOwned ? [] : fleetOf(pod, "gateway");
}

/** The fleet whose router it is: such a pod belongs to a ReplicaSet. */
function routerOf(pod: Pod): readonly string[] {
  return fleetOf(pod, "router");
}

/** The fleet whose router or HAProxy it is. */
function deployedOf(pod: Pod): readonly string[] {
  return fleetOf(pod, "router", "haproxy");
}

/** "<namespace>/<fleet>" by its labels, of a pod of one of these parts. */
function fleetOf({ metadata: { labels, namespace = "" } }: Pod, ...components: readonly Component[]): readonly string[] {
  const isOne = components.some((component) => labels?.[componentLabel] === component);
  return isOne ? [`${namespace}/${labels?.[fleetLabel] ?? ""}`] : [];
}

/** A router's or HAProxy's pod is owned by its ReplicaSet; of it a fleet tells only what is wrong. */
function tellOfDeployed(change: CacheChange<Pod>, onChange: ClusterCachesParts["onChange"]): void {
  const pod = objectOf(change);
  const { namespace = "", labels } = pod.metadata;
  const name = labels?.[fleetLabel];
  if (name === undefined || deployedOf(pod).length === 0) return; // most are gateways
  const before = change.kind === "added" ? undefined : podFault(change.before);
  const after = change.kind === "deleted" ? undefined : podFault(change.after);
  if (before !== after) onChange({ namespace, name }, "pod");
}

function tellOwner(object: KubernetesObject, what: "pod" | "owned" | "node", onChange: ClusterCachesParts["onChange"]): void {
  const owner = controllerOf(object);
  if (owner !== undefined) onChange({ namespace: object.metadata.namespace ?? "", name: owner.name }, what);
}
