import type { ApiResult, KubernetesApi, KubernetesObject, Resource } from "../api/types.js";

export type Standing =
  /** Nothing of that name, or the fleet's own that the watch does not see: it has lost its label. */
  | { readonly kind: "free" }
  | { readonly kind: "foreign"; readonly message: string }
  | { readonly kind: "unknown"; readonly result: ApiResult<never> };

/** What stands where an object that the fleet does not see is to be made. Writing over somebody else's would take it from him. */
export async function lookAtPlace(api: Pick<KubernetesApi, "get">, resource: Resource, object: KubernetesObject): Promise<Standing> {
  const { namespace = "", name, ownerReferences } = object.metadata;
  const found = await api.get(resource, { namespace, name });
  if (found.kind === "notFound") return { kind: "free" };
  if (found.kind !== "ok") return { kind: "unknown", result: found };
  const owner = ownerReferences?.[0]?.uid;
  if (found.object.metadata.ownerReferences?.some(({ uid }) => uid === owner) === true) return { kind: "free" };
  const message = `a ${resource.kind} ${name} exists and is not the fleet's: delete it, or make the PushGateway again under another name`;
  return { kind: "foreign", message };
}
