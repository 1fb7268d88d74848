import { limits } from "@pushfleet/protocol";
import type { Clock } from "@pushfleet/service";
import type { Action, FleetSpec } from "../../core/index.js";
import { resources } from "../api/resources.js";
import type { ApiResult, KubernetesApi, KubernetesObject } from "../api/types.js";
import {
  buildControllerRevision,
  buildFleetObjects,
  type Fleet,
  fleetCollisions,
  fleetProblems,
  instantiatePod,
  type NodeVersions,
  type OperatorFacts,
  otherBudgets,
  ownReferences,
  type PlacedFleet,
  readControllerRevision,
  resumeSecretName,
  revisionName,
  type SpecProblem,
} from "../objects/index.js";
import { oncePerObject } from "../once-per-object.js";
import { deployedReferences, podSpecOf } from "./deployed-references.js";
import type { EnsureOutcome } from "./ensure-outcome.js";
import type { FleetCaches, PushGatewayObject } from "./fleet-caches.js";
import type { FleetCertificates } from "./fleet-certificates.js";
import type { Problem } from "./fleet-conditions.js";
import { type FleetRevisions, FleetRevisionsMemory } from "./fleet-revisions.js";
import { countedLabel } from "./mark-pods.js";
import type { Node, Pod } from "./observe-pod.js";
import type { OwnedObjects } from "./owned-objects.js";
import { RefusalPause } from "./refusal-pause.js";
import { adoptOrphans, adoptUnseen, restoreLabels } from "./restore-pods.js";
import { ensureResumeSecret } from "./resume-secret.js";
import type { RouterScaler } from "./router-scaler.js";
import { SecretLookup } from "./secret-lookup.js";
import { withAdvice } from "./what-helps.js";

/** What a plan needs of the objects around the pods, and what is to be said of them. */
export interface Prepared {
  readonly spec: FleetSpec;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
  /** What the API server refused, in words. */
  readonly refusals: readonly string[];
  readonly heldPools: ReadonlySet<string>;
  readonly templateOutdated: boolean;
  /** Something could not be done now: look again soon. */
  readonly isPartial: boolean;
}

export interface FleetObjectsParts {
  readonly api: KubernetesApi;
  readonly caches: FleetCaches;
  readonly clock: Clock;
  readonly operator: OperatorFacts;
  readonly owned: OwnedObjects;
  readonly certificates: FleetCertificates;
  readonly routers: RouterScaler;
  /** Put back what somebody changed by hand. */
  readonly onRestored: (object: KubernetesObject, what: "changed" | "deleted") => void;
}

/** Everything a fleet owns but what happens to its pods: revisions, configuration, services, policies, routers, certificates. */
export class FleetObjects {
  readonly #parts: FleetObjectsParts;
  readonly #secrets: SecretLookup;
  readonly #chosen: FleetRevisionsMemory;
  /** Why the last pods to be created got no certificates, in words. */
  #uncertified: readonly string[] = [];
  #ensuredFor = "";
  #ensuredSpec = "";
  #ensuredAtMs = 0;
  /** While something is refused nothing is tried, unless something that owned objects depend on changes. */
  readonly #refused = new RefusalPause();
  #last: EnsuredAll = { ...nothing, isPartial: true };
  /** The same of a spec that cannot be followed. */
  #upheld: EnsuredAll = nothing;
  #isBlocked = false;
  /** Grows when an owned object changes: then all are looked at again. */
  #changes = 0;

  constructor(parts: FleetObjectsParts) {
    this.#parts = parts;
    this.#secrets = new SecretLookup(parts);
    this.#chosen = new FleetRevisionsMemory(parts.operator);
  }

  /** An owned object changed. */
  changed(): void {
    this.#changes += 1;
  }

  /** Brings the owned objects up to the spec (with dryRun it only looks) and tells what pods are to be made of. */
  async prepare(object: PushGatewayObject, pods: readonly Pod[]): Promise<Prepared> {
    const fleet = toFleet(object);
    const found = await this.#problems(object);
    const errors = found.filter((one) => one.severity === "error");
    const revisions = this.#revisions(fleet, pods, errors.length > 0);
    const ensured = await this.#ensure(fleet, revisions, pods, errors.length > 0);
    const restored = fleet.spec.dryRun || (await restoreLabels(fleet, pods, this.#restoreParts()));
    return {
      ...pick(revisions),
      problems: errors,
      warnings: [
        ...found.filter((one) => one.severity === "warning"),
        ...ensured.faults.map((message) => ({ reason: "AuthorityInvalid", message })),
        ...this.#leftUndone(fleet, pods).map((message) => ({ reason: "CertificatesEnd", message })),
        ...this.#otherBudgets(fleet, pods).map((message) => ({ reason: "EvictionsFail", message })),
      ],
      refusals: ensured.refusals,
      isPartial: ensured.isPartial || !restored,
    };
  }

  /** For a fleet that is being deleted: nothing is made. */
  async prepareEnd(object: PushGatewayObject, pods: readonly Pod[]): Promise<Prepared> {
    const fleet = toFleet(object);
    await this.#parts.certificates.readOnly(fleet);
    const revisions = this.#revisions(fleet, pods, true);
    return { ...pick(revisions), problems: [], warnings: [], refusals: [], isPartial: false };
  }

  /** Makes the certificates of pods that are about to be created. */
  async prepareCreates(object: PushGatewayObject, pods: readonly Pod[], names: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    const known = new Set(pods.map((pod) => pod.metadata.name));
    const { outcomes } = await this.#parts.certificates.ensure(
      toFleet(object),
      [...known],
      names.filter((name) => !known.has(name)),
    );
    this.#uncertified = summary(outcomes).refusals;
  }

  /** The pod of an action. */
  buildPod(object: PushGatewayObject, action: Extract<Action, { readonly kind: "createPod" }>, isCounted: boolean): ApiResult<Pod> {
    const { certificates, caches } = this.#parts;
    const fleet = toFleet(object);
    const stored = this.#stored(fleet)
      .flatMap((one) => readControllerRevision(one) ?? [])
      .find((one) => one.pool === action.pool && one.revision === action.revision);
    if (stored === undefined)
      return { kind: "unavailable", message: `revision ${action.revision} of pool ${action.pool} is not stored yet` };
    if (!certificates.hasGateway(fleet, action.pod)) {
      if (this.#uncertified.length > 0) return refused(this.#uncertified.join("; "));
      return { kind: "unavailable", message: `${action.pod} has no certificate yet` };
    }
    const nodes = caches.nodes.list().filter((node) => fits(node, stored.template.spec?.nodeSelector ?? {}));
    const { pod: name, pool, slot, revision, grant } = action;
    const pod = instantiatePod(stored.template, { fleet, name, pool, slot, revision, grant, nodes: nodes.map(versionsOf) });
    const absent = pod.spec === undefined ? [] : this.#absent(fleet, pod.spec);
    if (absent.length > 0) {
      const message = `${action.pod} needs the fleet's ${absent.join(", ")}, which is not there`;
      // What is refused for is told already, and tried again; of a spec that cannot be followed nothing is.
      return this.#last.isPartial && !this.#isBlocked ? { kind: "unavailable", message } : refused(message);
    }
    const labels = { ...pod.metadata.labels, ...(isCounted ? { [countedLabel]: "true" } : {}) };
    return { kind: "ok", object: { ...pod, metadata: { ...pod.metadata, labels } } as Pod };
  }

  /** Takes back the gateways whose owner somebody took away. Answers the names of those that it could not. */
  async adoptOrphans(object: PushGatewayObject): Promise<readonly string[]> {
    const fleet = toFleet(object);
    const orphans = this.#parts.caches.pods.byIndex("orphan", `${fleet.namespace}/${fleet.name}`);
    return await adoptOrphans(fleet, orphans, this.#restoreParts());
  }

  /** A pod that was to be created exists: by the same name, and perhaps unseen. */
  async found(object: PushGatewayObject, name: string): Promise<"ours" | "foreign" | "unknown"> {
    return await adoptUnseen(toFleet(object), name, this.#restoreParts());
  }

  async #problems(object: PushGatewayObject): Promise<readonly SpecProblem[]> {
    const { namespace, name, uid, spec } = toFleet(object);
    const found = await this.#secrets.find(namespace, spec);
    if (found.kind === "forbidden") return [secretsForbidden(found.message)];
    const { secrets } = found;
    const others = this.#parts.caches.pushGateways.list().filter((one) => one.metadata.uid !== uid);
    const otherFleets = others.filter((one) => one.metadata.namespace === namespace).map((one) => one.metadata.name);
    const collisions = fleetCollisions(placed(object), others.map(placed));
    return fleetProblems(spec, { secrets, name, otherFleets, collisions });
  }

  #leftUndone(fleet: Fleet, pods: readonly Pod[]): readonly string[] {
    if (!fleet.spec.dryRun) return [];
    return this.#parts.certificates.leftUndone(
      fleet,
      pods.map((pod) => pod.metadata.name),
    );
  }

  #otherBudgets({ namespace, name }: Fleet, gateways: readonly Pod[]): readonly string[] {
    const { owned, pods } = this.#parts.caches;
    const budgets = owned.get(resources.podDisruptionBudgets.kind)?.cache.byIndex("others", namespace) ?? [];
    return budgets.length === 0 ? [] : otherBudgets(name, [...gateways, ...pods.byIndex("deployed", `${namespace}/${name}`)], budgets);
  }

  #revisions(fleet: Fleet, pods: readonly Pod[], isBlocked: boolean): FleetRevisions {
    return this.#chosen.choose(fleet, { stored: this.#stored(fleet), pods, isBlocked });
  }

  #stored(fleet: Fleet): readonly KubernetesObject[] {
    return this.#ownedBy(fleet, resources.controllerRevisions.kind);
  }

  #ownedBy(fleet: Fleet, kind: string): readonly KubernetesObject[] {
    return this.#parts.caches.owned.get(kind)?.cache.byIndex("owner", fleet.uid) ?? [];
  }

  async #ensure(fleet: Fleet, revisions: FleetRevisions, pods: readonly Pod[], isBlocked: boolean): Promise<EnsuredAll> {
    if (fleet.spec.dryRun) {
      await this.#parts.certificates.readOnly(fleet);
      return nothing;
    }
    this.#isBlocked = isBlocked;
    return isBlocked ? await this.#uphold(fleet, pods) : await this.#ensureAll(fleet, revisions, pods);
  }

  /** Of a spec that cannot be followed nothing is made, but what runs must not end with its certificates. */
  async #uphold(fleet: Fleet, pods: readonly Pod[]): Promise<EnsuredAll> {
    const { certificates, clock } = this.#parts;
    if (pods.length === 0) return nothing;
    const isTriedAgain = this.#upheld.isPartial && this.#refused.isOver(clock.monotonicMs());
    if (!certificates.isDue() && !isTriedAgain) return this.#upheld;
    const { outcomes } = await certificates.ensure(
      fleet,
      pods.map((pod) => pod.metadata.name),
    );
    this.#upheld = { ...summary(outcomes), faults: [] };
    this.#pauseAfter(this.#upheld);
    return this.#upheld;
  }

  #pauseAfter({ refusals }: EnsuredAll): void {
    if (refusals.length > 0) this.#refused.refused(this.#parts.clock.monotonicMs());
    else this.#refused.end();
  }

  /** All owned objects, when something they depend on may have changed. */
  async #ensureAll(fleet: Fleet, revisions: FleetRevisions, pods: readonly Pod[]): Promise<EnsuredAll> {
    const { clock, routers, certificates } = this.#parts;
    const routerReplicas = await routers.replicas(fleet);
    const names = pods.map((pod) => pod.metadata.name);
    const revisionNames = revisions.kept.map((one) => `${one.pool ?? one.component}/${one.revision}`).sort();
    const spec = `${fleet.uid}@${fleet.generation}`;
    const wish = JSON.stringify([spec, routerReplicas, revisionNames, this.#changes, names.length]);
    if (spec !== this.#ensuredSpec) this.#refused.end();
    this.#ensuredSpec = spec;
    const nowMs = clock.monotonicMs();
    const isWaiting = this.#last.refusals.length > 0 && !this.#refused.isOver(nowMs);
    const isSettled = !this.#last.isPartial && nowMs - this.#ensuredAtMs < limits.ownedLookMs;
    if (wish === this.#ensuredFor && !certificates.isDue() && (isSettled || isWaiting)) return this.#last;
    const changes = this.#changes;
    const wanted: KubernetesObject[] = revisions.inForce
      .filter((one) => one.isNew)
      .map((one) => buildControllerRevision(fleet, one.inForce));
    const { router, haproxy, kept } = revisions;
    wanted.push(...buildFleetObjects(fleet, this.#parts.operator, { revisions: kept, router, routerReplicas, haproxy }));
    const certified = await certificates.ensure(fleet, names);
    const outcomes = [...certified.outcomes, await ensureResumeSecret(fleet, this.#parts)];
    for (const object of wanted) outcomes.push(await this.#ensureOne(fleet, object));
    outcomes.push(...(await this.#prune(fleet, wanted, revisions, names)));
    this.#last = { ...summary(outcomes), faults: certified.problems };
    this.#ensuredFor = changes === this.#changes ? wish : "";
    this.#ensuredAtMs = clock.monotonicMs();
    this.#pauseAfter(this.#last);
    return this.#last;
  }

  /** A Deployment waits for what its pods refer to: in its place may be what somebody else has made. */
  async #ensureOne(fleet: Fleet, object: KubernetesObject): Promise<EnsureOutcome> {
    const absent = object.kind === "Deployment" ? this.#absent(fleet, podSpecOf(object)) : [];
    if (absent.length === 0) return await this.#parts.owned.ensure(object);
    return { kind: "not_done", message: `${object.metadata.name} waits for ${absent.join(", ")}` };
  }

  /** What such a pod refers to and the fleet does not own, "Secret demo-ca". */
  #absent(fleet: Fleet, pod: Parameters<typeof ownReferences>[0]): readonly string[] {
    return ownReferences(pod)
      .filter(({ kind, name }) => !this.#ownedBy(fleet, kind).some((one) => one.metadata.name === name))
      .map(({ kind, name }) => `${kind} ${name}`);
  }

  /** Deletes what has no use any more; never what is so young that its use may not be seen yet. */
  async #prune(
    fleet: Fleet,
    wanted: readonly KubernetesObject[],
    revisions: FleetRevisions,
    pods: readonly string[],
  ): Promise<readonly EnsureOutcome[]> {
    const { certificates, clock, caches, owned } = this.#parts;
    const used = new Set(wanted.map((object) => `${object.kind}/${object.metadata.name}`));
    for (const secret of certificates.secretNames(fleet, pods)) used.add(`Secret/${secret}`);
    used.add(`Secret/${resumeSecretName(fleet)}`);
    for (const name of deployedReferences(fleet, caches)) used.add(name);
    for (const one of revisions.kept) {
      const name = revisionName(fleet, one);
      for (const kind of ["ControllerRevision", "ConfigMap", "Secret"]) used.add(`${kind}/${name}`);
    }
    const outcomes: EnsureOutcome[] = [];
    for (const kind of caches.owned.keys()) {
      for (const object of this.#ownedBy(fleet, kind)) {
        const isYoung = clock.nowMs() - Date.parse(object.metadata.creationTimestamp ?? "") < limits.pruneAgeMs;
        const isGoing = object.metadata.deletionTimestamp !== undefined;
        if (!used.has(`${kind}/${object.metadata.name}`) && !isYoung && !isGoing) outcomes.push(await owned.remove({ ...object, kind }));
      }
    }
    return outcomes;
  }

  #restoreParts() {
    const { api, caches, onRestored } = this.#parts;
    return { api, cache: caches.pods, onRestored: (pod: Pod) => onRestored(pod, "changed") };
  }
}

interface EnsuredAll {
  readonly refusals: readonly string[];
  /** Of the authority that the spec brings. */
  readonly faults: readonly string[];
  readonly isPartial: boolean;
}

const nothing: EnsuredAll = { refusals: [], faults: [], isPartial: false };

function secretsForbidden(told: string): SpecProblem {
  const message = `the operator may not read the Secrets that the spec names (${told}): give its ServiceAccount the right to get Secrets here`;
  return { severity: "error", reason: "SecretsForbidden", path: "spec", message };
}

export function toFleet({ metadata, spec }: PushGatewayObject): Fleet {
  const { namespace = "", name, uid = "", generation = 0 } = metadata;
  return { namespace, name, uid, generation, spec };
}

/** As the caches' objects, one fleet is one object until it changes. */
const placed = oncePerObject(
  (object: PushGatewayObject): PlacedFleet => ({ ...toFleet(object), createdAt: object.metadata.creationTimestamp ?? "" }),
);

function pick({ spec, heldPools, templateOutdated }: FleetRevisions) {
  return { spec, heldPools, templateOutdated };
}

function refused(message: string): ApiResult<never> {
  return { kind: "refused", status: 403, reason: "Absent", message };
}

function summary(outcomes: readonly EnsureOutcome[]) {
  const refusals = outcomes.flatMap((one) => (one.kind === "refused" ? [withAdvice(one.message)] : []));
  return { refusals: [...new Set(refusals)], isPartial: outcomes.some((one) => one.kind !== "ensured") };
}

function fits(node: Node, selector: Readonly<Record<string, string>>): boolean {
  return Object.entries(selector).every(([label, value]) => node.metadata.labels?.[label] === value);
}

function versionsOf({ status }: Node): NodeVersions {
  return { kubeletVersion: status?.nodeInfo?.kubeletVersion ?? "", kernelVersion: status?.nodeInfo?.kernelVersion ?? "" };
}
