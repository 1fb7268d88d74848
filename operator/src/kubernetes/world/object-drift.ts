import { isMapping } from "@pushfleet/protocol";
import type { KubernetesObject } from "../api/types.js";
import { fieldManager } from "../writer-name.js";

/*
 * What a person changed of an object that is ours, and what takes it back. Compared are two answers of the server, the one to our last apply and
 * what there is now: its defaults and its spelling of quantities are in both. What was there before this process wrote for the first time, the
 * server tells by who wrote it: defaults are nobody's.
 */

export type Fields = Readonly<Record<string, unknown>>;

/** The merge patch that takes back what was changed since the server answered `kept`; `undefined` where nothing was. */
export function whatPutsBack(wanted: KubernetesObject, live: KubernetesObject, kept: Fields): object | undefined {
  return mergePatch(keptOf(wanted, live), kept) as object | undefined;
}

/** What is ours to keep of a live object: the paths that `wanted` sets, and all of `spec`. A field that is added there by hand does as much as one
 *  that is changed: a Service with one more label in its selector finds nobody. */
export function keptOf(wanted: KubernetesObject, live: KubernetesObject): Fields {
  const kept = atPathsOf(wanted, live) as Fields;
  return "spec" in wanted && "spec" in live ? { ...kept, spec: specOf(wanted, live.spec as Fields) } : kept;
}

function specOf(wanted: KubernetesObject, live: Fields): Fields {
  const { template, loadBalancerIP: _, ...rest } = live; // written by implementations of load balancers
  const ours = ("spec" in wanted ? wanted.spec : {}) as Fields;
  const address = "loadBalancerIP" in ours ? { loadBalancerIP: live["loadBalancerIP"] ?? null } : {};
  if (!isMapping(template)) return { ...rest, ...address };
  const metadata = atPathsOf(isMapping(ours["template"]) ? ours["template"]["metadata"] : {}, template["metadata"]);
  return { ...rest, ...address, template: { ...template, metadata } }; // `kubectl rollout restart` writes an annotation
}

/** The merge patch that takes away what others have added to the `spec` of an object that was just applied; `undefined` where they have not. */
export function whatOthersAdded(wanted: KubernetesObject, live: KubernetesObject): Fields | undefined {
  const others = (live.metadata.managedFields ?? []).flatMap((entry): readonly unknown[] => {
    const { manager, subresource, fieldsV1 } = entry as ManagedFields;
    return manager === fieldManager || manager === writtenByNobody || subresource !== undefined ? [] : [fieldsV1?.["f:spec"]];
  });
  const spec = "spec" in wanted ? wanted.spec : undefined;
  const taken = others.flatMap((owned) => {
    const change = isMapping(owned) ? takenAway(withoutLeft(owned), spec) : undefined;
    return change === undefined ? [] : [change];
  });
  return taken.length === 0 ? undefined : { spec: taken.reduce((all, one) => mergeFields(all, one) as object) };
}

/** https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management */
interface ManagedFields {
  readonly manager?: string;
  readonly subresource?: string;
  /** "f:<field>", "k:<keys of an item>", "v:<item>"; a leaf is {}. */
  readonly fieldsV1?: Fields;
}

/** Whom the server names for all there is in an object whose writers it does not know. */
const writtenByNobody = "before-first-apply";

/** What is left as others write it: as in `specOf`. */
function withoutLeft({ "f:loadBalancerIP": _, "f:template": template, ...rest }: Fields): Fields {
  if (!isMapping(template)) return rest;
  const { "f:metadata": __, ...kept } = template;
  return { ...rest, "f:template": kept };
}

/** By the fields that somebody else owns. A list of ours in which he wrote is written whole. */
function takenAway(owned: Fields, wanted: unknown): object | undefined {
  if (Array.isArray(wanted)) return Object.keys(owned).length === 0 ? undefined : wanted;
  if (!isMapping(wanted)) return undefined;
  const changes = Object.entries(owned).flatMap(([key, inside]): readonly (readonly [string, unknown])[] => {
    const name = key.slice(2);
    if (!key.startsWith("f:")) return [];
    if (!(name in wanted)) return [[name, null]];
    const change = isMapping(inside) ? takenAway(inside, wanted[name]) : undefined;
    return change === undefined ? [] : [[name, change]];
  });
  return changes.length === 0 ? undefined : Object.fromEntries(changes);
}

/** `over` laid over `under`, field by field; lists whole. */
export function mergeFields(under: unknown, over: unknown): unknown {
  if (!isMapping(under) || !isMapping(over)) return over;
  const merged = Object.entries(over).map(([name, field]) => [name, name in under ? mergeFields(under[name], field) : field] as const);
  return { ...under, ...Object.fromEntries<unknown>(merged) };
}

/** What `live` has at the paths that `wanted` sets. A list counts as a whole: one more port is a change. */
export function atPathsOf(wanted: unknown, live: unknown): unknown {
  if (Array.isArray(wanted)) {
    if (!Array.isArray(live)) return null;
    return live.map((item, index) => (index < wanted.length ? atPathsOf(wanted[index], item) : item));
  }
  if (!isMapping(wanted)) return live ?? null;
  const there = isMapping(live) ? live : {};
  return Object.fromEntries(Object.entries(wanted).map(([name, field]) => [name, atPathsOf(field, there[name])]));
}

/** The merge patch (RFC 7396) that makes `to` of `from`, or `undefined` where they are alike. Lists are written whole. */
export function mergePatch(from: unknown, to: unknown): unknown {
  if (!isMapping(from) || !isMapping(to)) return JSON.stringify(from) === JSON.stringify(to) ? undefined : to;
  const changes = [...new Set([...Object.keys(from), ...Object.keys(to)])].flatMap((name) => {
    if (!(name in to)) return [[name, null] as const];
    if (!(name in from)) return [[name, to[name]] as const];
    const change = mergePatch(from[name], to[name]);
    return change === undefined ? [] : [[name, change] as const];
  });
  return changes.length === 0 ? undefined : Object.fromEntries(changes);
}

/** Somebody else's items stand in a list of ours. */
export function hasMore(wanted: unknown, live: unknown): boolean {
  if (Array.isArray(wanted)) {
    return Array.isArray(live) && (live.length > wanted.length || wanted.some((item, index) => hasMore(item, live[index])));
  }
  if (!isMapping(wanted) || !isMapping(live)) return false;
  return Object.entries(wanted).some(([name, field]) => hasMore(field, live[name]));
}
