import type { KubernetesObject } from "../api/types.js";

/** ConfigMaps and Secrets marked so, and stored templates, which the API keeps from changing. They are made once: a newer operator that would
 *  write a template differently lets it be. */
export function isFixed(object: KubernetesObject): boolean {
  return object.kind === "ControllerRevision" || ("immutable" in object && object.immutable === true);
}

/** What somebody has changed of a fixed object all the same: its metadata, or its contents by putting another one in its place. A stored template
 *  is what it is; the contents of the others follow from it and from the spec, so that every operator writes the same. */
export function fixedFault(wanted: KubernetesObject, live: KubernetesObject): "contents" | "metadata" | undefined {
  if (wanted.kind !== "ControllerRevision" && !isSame(contentsOf(wanted), contentsOf(live))) return "contents";
  const { labels = {}, ownerReferences = [] } = wanted.metadata;
  const hasLabels = Object.entries(labels).every(([label, value]) => live.metadata.labels?.[label] === value);
  const hasOwners = ownerReferences.every(({ uid }) =>
    live.metadata.ownerReferences?.some((one) => one.uid === uid && one.controller === true),
  );
  return hasLabels && hasOwners ? undefined : "metadata";
}

function contentsOf(object: KubernetesObject): Readonly<Record<string, string>> {
  return (object as { readonly data?: Readonly<Record<string, string>> }).data ?? {};
}

function isSame(one: Readonly<Record<string, string>>, other: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name]);
}
