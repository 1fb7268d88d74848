import { isMapping } from "@pushfleet/protocol";
import type { KubernetesObject } from "../api/types.js";

/*
 * What a person changed of an object that is ours, and what takes it back. Compared are two answers of the server, the one to our last apply and
 * what there is now: its defaults and its spelling of quantities are in both.
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
