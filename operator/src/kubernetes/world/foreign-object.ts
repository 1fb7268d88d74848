import type { ApiResult, KubernetesApi, KubernetesObject, ObjectMeta, ReadCache, Resource } from "../api/types.js";
import { type EnsureOutcome, outcomeOf } from "./ensure-outcome.js";

/** Where objects of a kind are served, and the cache that is to show them. */
interface ShownKind {
  readonly resource: Resource;
  readonly cache: Pick<ReadCache<KubernetesObject>, "overlay">;
}

export type Standing =
  /** Nothing of that name. */
  | { readonly kind: "free" }
  /** The fleet's own, which the watch does not see: it has lost its label. */
  | { readonly kind: "unseen"; readonly object: KubernetesObject }
  /** Nothing may be made there: it is somebody else's, or it is not known whose. */
  | { readonly kind: "barred"; readonly outcome: EnsureOutcome };

/** What stands where an object that the fleet does not see is to be made. Writing over somebody else's would take it from him, and using it would
 *  hand the fleet's processes what he wrote. */
export async function lookAtPlace(api: Pick<KubernetesApi, "get">, resource: Resource, object: KubernetesObject): Promise<Standing> {
  const { namespace = "", name } = object.metadata;
  const found = await api.get(resource, { namespace, name });
  if (found.kind === "notFound") return { kind: "free" };
  if (found.kind !== "ok") return { kind: "barred", outcome: outcomeOf(found, object) };
  if (isOwnedAs(found.object, object)) return { kind: "unseen", object: found.object };
  const message =
    `a ${resource.kind} ${name} exists and is not the fleet's (${whose(found.object)}): delete it, or rename it, ` +
    "or make the PushGateway again under another name";
  return { kind: "barred", outcome: { kind: "refused", message } };
}

/** What becomes of an object that could not be created because one of that name exists. One of the fleet's own is there to be seen again. */
export async function yieldTo(
  kind: ShownKind,
  object: KubernetesObject,
  api: Pick<KubernetesApi, "get" | "patch">,
): Promise<EnsureOutcome> {
  const standing = await lookAtPlace(api, kind.resource, object);
  switch (standing.kind) {
    case "unseen":
      return outcomeOf(await showAgain(kind, standing.object.metadata, object, api), object);
    case "barred":
      return standing.outcome;
    case "free":
      return { kind: "not_done", message: `${object.kind} ${object.metadata.name} was deleted meanwhile` };
  }
}

/** Whether `live` belongs to the PushGateway that `wanted` is made for. A label, or a name, is no proof: anybody can write it. */
export function isOwnedAs(live: KubernetesObject, wanted: KubernetesObject): boolean {
  const owner = wanted.metadata.ownerReferences?.[0]?.uid;
  return live.metadata.ownerReferences?.some(({ uid }) => uid === owner) === true;
}

/** Puts back the labels and the owner of `wanted`, by which the watch finds an object and the fleet knows it for its own. Shows it to the cache
 *  meanwhile. */
export async function showAgain(
  { resource, cache }: ShownKind,
  { uid }: Pick<ObjectMeta, "uid">,
  wanted: KubernetesObject,
  api: Pick<KubernetesApi, "patch">,
): Promise<ApiResult<KubernetesObject>> {
  const { namespace = "", name, labels, ownerReferences } = wanted.metadata;
  const metadata = { ...(uid === undefined ? {} : { uid }), labels, ownerReferences };
  const patched = await api.patch(resource, { namespace, name }, { metadata });
  if (patched.kind === "ok") cache.overlay(patched.object);
  return patched;
}

/** In words: who controls it, or who has written it. */
function whose({ metadata }: KubernetesObject): string {
  const { ownerReferences = [], managedFields = [] } = metadata;
  const owner = ownerReferences.find((one) => one.controller === true) ?? ownerReferences[0];
  if (owner !== undefined) {
    const which = owner.kind === "PushGateway" ? ` with uid ${owner.uid}` : "";
    return `it belongs to the ${owner.kind} ${owner.name}${which}`;
  }
  const managers = managedFields.flatMap((one) => (one as { readonly manager?: string }).manager ?? []);
  return managers.length === 0 ? "it has no owner" : `it has no owner; ${[...new Set(managers)].join(", ")} wrote it`;
}
