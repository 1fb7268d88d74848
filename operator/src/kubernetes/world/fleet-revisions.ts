import type { FleetSpec } from "../../core/index.js";
import { toFleetSpec } from "../../manifest/index.js";
import type { KubernetesObject } from "../api/types.js";
import {
  chooseRevision,
  type Fleet,
  gatewayWish,
  haproxyWish,
  type OperatorFacts,
  poolLabel,
  type RevisionChoice,
  readControllerRevision,
  revisionLabel,
  routerWish,
  type StoredRevision,
} from "../objects/index.js";
import type { Pod } from "./observe-pod.js";
import { identityFromName } from "./pod-identity.js";

/** Which pods the fleet is made of now. */
export interface FleetRevisions {
  readonly spec: FleetSpec;
  /** What is in force, with what has to be stored before it is used. */
  readonly inForce: readonly RevisionChoice[];
  readonly router: StoredRevision;
  readonly haproxy: StoredRevision | undefined;
  /** In force, or of a pod that is there: their configuration is kept. */
  readonly kept: readonly StoredRevision[];
  /** Pools of which nothing may be created: the spec cannot be followed and there is no earlier revision. */
  readonly heldPools: ReadonlySet<string>;
  readonly templateOutdated: boolean;
}

export interface SeenRevisions {
  readonly stored: readonly KubernetesObject[];
  readonly pods: readonly Pod[];
  readonly isBlocked: boolean;
}

/** The revisions of one fleet, chosen again only when something they depend on changed: templates are built and hashed for it. */
export class FleetRevisionsMemory {
  readonly #operator: OperatorFacts;
  #dependsOn = "";
  #chosen: FleetRevisions | undefined;

  constructor(operator: OperatorFacts) {
    this.#operator = operator;
  }

  choose(fleet: Fleet, seen: SeenRevisions): FleetRevisions {
    const stored = seen.stored.map(({ metadata: { uid, resourceVersion } }) => `${uid}@${resourceVersion}`);
    const dependsOn = JSON.stringify([fleet.uid, fleet.generation, seen.isBlocked, stored, [...placesOf(fleet, seen.pods)].sort()]);
    if (this.#chosen === undefined || dependsOn !== this.#dependsOn) this.#chosen = fleetRevisions(fleet, this.#operator, seen);
    this.#dependsOn = dependsOn;
    return this.#chosen;
  }
}

/** Chooses the revisions of a fleet. `isBlocked`: the spec cannot be followed, so that each pool stays with what its pods are already; pods that
 *  die are made again, nothing is rolled. */
export function fleetRevisions(fleet: Fleet, operator: OperatorFacts, seen: SeenRevisions): FleetRevisions {
  const stored = seen.stored.flatMap((object) => readControllerRevision(object) ?? []);
  const inUse = placesOf(fleet, seen.pods);
  const gateways = fleet.spec.pools.map((pool) => chooseRevision(stored, gatewayWish(fleet, pool, operator)));
  const router = chooseRevision(stored, routerWish(fleet, operator));
  const haproxy = fleet.spec.loadBalancer.kind === "HAProxy" ? chooseRevision(stored, haproxyWish(fleet, operator)) : undefined;
  const planned = toFleetSpec({ name: fleet.name, namespace: fleet.namespace, spec: fleet.spec });
  const heldPools = new Set<string>();
  const pools = planned.pools.map((pool, index) => {
    const wanted = gateways[index]?.inForce.revision ?? pool.revision;
    if (!seen.isBlocked) return { ...pool, revision: wanted };
    const last = newest(stored.filter((one) => one.pool === pool.name && inUse.has(placeOf(pool.name, one.revision))));
    if (last === undefined) heldPools.add(pool.name);
    return { ...pool, revision: last?.revision ?? wanted };
  });
  const inForce = [...gateways, router, ...(haproxy === undefined ? [] : [haproxy])];
  return {
    spec: { ...planned, pools },
    inForce,
    router: router.inForce,
    haproxy: haproxy?.inForce,
    kept: [...inForce.map((choice) => choice.inForce), ...stored.filter((one) => inUse.has(placeOf(one.pool, one.revision)))],
    heldPools,
    templateOutdated: inForce.some((choice) => choice.isOutdated),
  };
}

function newest(stored: readonly StoredRevision[]): StoredRevision | undefined {
  return stored.reduce<StoredRevision | undefined>((best, one) => (best === undefined || one.number > best.number ? one : best), undefined);
}

function placesOf(fleet: Fleet, pods: readonly Pod[]): ReadonlySet<string> {
  const places = pods.map(({ metadata: { name, labels } }) => {
    const named = identityFromName(fleet.name, name);
    return placeOf(named?.pool ?? labels?.[poolLabel], named?.revision ?? labels?.[revisionLabel]);
  });
  return new Set(places);
}

function placeOf(pool: string | undefined, revision: string | undefined): string {
  return `${pool ?? ""}/${revision ?? ""}`;
}
