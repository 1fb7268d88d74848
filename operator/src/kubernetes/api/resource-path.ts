import type { Resource } from "./types.js";

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface PathParts {
  /** Absent or "": all namespaces, or a resource that has none. */
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly subresource?: string | undefined;
  readonly query?: Query | undefined;
}

/** Where an API server serves it: `/api/v1/namespaces/a/pods/b/status?fieldManager=c`. */
export function resourcePath(resource: Resource, { namespace, name, subresource, query = {} }: PathParts): string {
  const segments = resource.group === "" ? ["api", resource.version] : ["apis", resource.group, resource.version];
  if (resource.namespaced && namespace !== undefined && namespace !== "") segments.push("namespaces", namespace);
  segments.push(resource.plural);
  if (name !== undefined) segments.push(name);
  if (subresource !== undefined) segments.push(subresource);
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value !== undefined) parameters.set(key, String(value));
  const text = parameters.toString();
  return `/${segments.map(encodeURIComponent).join("/")}${text === "" ? "" : `?${text}`}`;
}
