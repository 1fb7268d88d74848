import type { V1ControllerRevision, V1PodTemplateSpec } from "@kubernetes/client-node";
import { isMapping } from "@pushfleet/protocol";
import { revisionOf } from "../../core/index.js";
import type { Json, KubernetesObject } from "../api/types.js";
import { type Component, componentLabel, type Fleet, type Made, ownedMeta } from "./fleet.js";
import { haproxyRevisionName, poolRevisionName, routerRevisionName } from "./names.js";
import { poolLabel, revisionLabel } from "./pod-template.js";

/** Pods of one revision as they were first made: a newer operator, which would make them differently, goes on making them like this. */
export interface PodRecipe {
  readonly template: Json<V1PodTemplateSpec>;
  /** Text of the configuration by file name, such as gateway.yaml. Fixed with the template: an older image cannot read what only a newer one
   *  knows. */
  readonly files: Readonly<Record<string, string>>;
}

export interface StoredRevision extends PodRecipe {
  readonly revision: string;
  readonly component: Component;
  /** Of gateways. */
  readonly pool?: string | undefined;
  /** `poolRevision`, `routerRevision` or `haproxyRevision` of the spec it was made from. */
  readonly inputs: string;
  /** Grows: of two with the same inputs the higher one is in force. */
  readonly number: number;
}

/** Names its ControllerRevision, its ConfigMap and the Secret of its addresses. */
export function revisionName(
  fleet: Pick<Fleet, "name">,
  { component, pool, revision }: Pick<StoredRevision, "component" | "pool" | "revision">,
): string {
  if (pool !== undefined) return poolRevisionName(fleet, pool, revision);
  return component === "haproxy" ? haproxyRevisionName(fleet, revision) : routerRevisionName(fleet, revision);
}

/** `metadata` of an object that belongs to one revision. */
export function revisionMeta(fleet: Fleet, stored: Pick<StoredRevision, "component" | "pool" | "revision">) {
  const { component, pool, revision } = stored;
  const labels = { ...(pool === undefined ? {} : { [poolLabel]: pool }), [revisionLabel]: revision };
  return ownedMeta(fleet, { name: revisionName(fleet, stored), component, labels });
}

/** A ControllerRevision (its data never changes) named after the revision. */
export function buildControllerRevision(fleet: Fleet, stored: StoredRevision): Made<V1ControllerRevision> {
  const { inputs, number, template, files } = stored;
  return {
    apiVersion: "apps/v1",
    kind: "ControllerRevision",
    metadata: revisionMeta(fleet, stored),
    revision: number,
    data: { inputs, template, files },
  };
}

/** Reads one back. `undefined`: not of ours, or edited into nonsense: as good as absent. */
export function readControllerRevision(object: KubernetesObject): StoredRevision | undefined {
  const { revision: number, data } = object as { readonly revision?: unknown; readonly data?: unknown };
  const labels = object.metadata.labels ?? {};
  const component = components.find((one) => one === labels[componentLabel]);
  const revision = labels[revisionLabel];
  const pool = labels[poolLabel];
  if (component === undefined || revision === undefined || typeof number !== "number" || !isMapping(data)) return undefined;
  if ((component === "gateway") !== (pool !== undefined)) return undefined;
  const { inputs, template, files } = data;
  if (typeof inputs !== "string" || !isFiles(files) || !isTemplate(template)) return undefined;
  return { revision, component, ...(pool === undefined ? {} : { pool }), inputs, number, template, files };
}

const components: readonly Component[] = ["gateway", "router", "haproxy"];

function isFiles(value: unknown): value is Readonly<Record<string, string>> {
  return isMapping(value) && Object.values(value).every((text) => typeof text === "string");
}

export interface RevisionChoice {
  readonly inForce: StoredRevision;
  /** It is not stored yet: store it before a pod of it is made. */
  readonly isNew: boolean;
  /** This operator would make the pods differently. */
  readonly isOutdated: boolean;
}

export interface RevisionWish {
  readonly component: Component;
  readonly pool?: string | undefined;
  /** `poolRevision`, `routerRevision` or `haproxyRevision` of the spec of now. */
  readonly inputs: string;
  /** How this operator would make pods of a revision. */
  readonly build: (revision: string) => PodRecipe;
  /** `rollout.adoptOperatorTemplate`. */
  readonly adopt: boolean;
}

/** Which revision pods are made of: the one stored for these inputs, though this operator would make it differently; with `adopt` a new one,
 *  named after inputs and recipe. Turning `adopt` off again keeps what was adopted. */
export function chooseRevision(stored: readonly StoredRevision[], wish: RevisionWish): RevisionChoice {
  const ofPart = stored.filter((one) => one.component === wish.component && one.pool === wish.pool);
  const ofWish = ofPart.filter((one) => one.inputs === wish.inputs);
  const newest = ofWish.reduce<StoredRevision | undefined>(
    (best, one) => (best === undefined || one.number > best.number ? one : best),
    undefined,
  );
  const { component, pool, inputs } = wish;
  const number = 1 + Math.max(0, ...ofPart.map((one) => one.number));
  const made = (revision: string): StoredRevision => ({ revision, component, pool, inputs, number, ...wish.build(revision) });
  if (newest === undefined) {
    return { inForce: made(inputs), isNew: true, isOutdated: false };
  }
  const isOutdated = !isSameRecipe(newest, wish.build(newest.revision));
  if (!isOutdated || !wish.adopt) return { inForce: newest, isNew: false, isOutdated };
  const revision = revisionOf({ inputs, recipe: wish.build("") });
  const adopted = ofWish.find((one) => one.revision === revision);
  // The operator went back to a version it had adopted before: stored data cannot change, so the number moves into a new name.
  const name = adopted === undefined ? revision : revisionOf({ revision, number });
  return { inForce: made(name), isNew: true, isOutdated: false };
}

function isSameRecipe(one: PodRecipe, other: PodRecipe): boolean {
  const hash = ({ template, files }: PodRecipe): string => revisionOf({ template, files });
  return hash(one) === hash(other);
}

/** What `instantiatePod` needs to be there. */
function isTemplate(value: unknown): value is Json<V1PodTemplateSpec> {
  if (!isMapping(value) || !isMapping(value["spec"])) return false;
  const { containers } = value["spec"];
  return Array.isArray(containers) && containers.length > 0 && containers.every(isMapping);
}
