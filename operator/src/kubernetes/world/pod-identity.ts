import { resources } from "../api/resources.js";
import { poolLabel, revisionLabel, slotLabel } from "../objects/pod-template.js";
import { oncePerObject } from "../once-per-object.js";
import type { Pod } from "./observe-pod.js";

/** Where a pod belongs, as its name says: `<fleet>-<pool>-<slot>-<revision>`. Names cannot be edited, labels can. */
export interface PodIdentity {
  readonly pool: string;
  readonly slot: number;
  readonly revision: string;
}

/** `undefined`: no name that this fleet's pods have. */
export function identityFromName(fleet: string, name: string): PodIdentity | undefined {
  if (!name.startsWith(`${fleet}-`)) return undefined;
  const match = /^(.+)-(\d+)-([0-9a-f]{8})$/.exec(name.slice(fleet.length + 1));
  const [, pool, slot, revision] = match ?? [];
  return pool === undefined || slot === undefined || revision === undefined ? undefined : { pool, slot: Number(slot), revision };
}

/** By the name of a pod that a fleet owns, so that one whose labels cannot be put back is still known; otherwise by its labels. */
export const identityOf = oncePerObject(({ metadata: { name, labels, ownerReferences } }: Pod): PodIdentity | undefined => {
  const owner = ownerReferences?.find((one) => one.controller === true && one.kind === resources.pushGateways.kind);
  const named = owner === undefined ? undefined : identityFromName(owner.name, name);
  if (named !== undefined) return named;
  const [pool, slot, revision] = [labels?.[poolLabel], Number(labels?.[slotLabel]), labels?.[revisionLabel]];
  return pool === undefined || revision === undefined || !Number.isInteger(slot) ? undefined : { pool, slot, revision };
});

/** The labels of `wanted` that the pod has not, for a patch; `undefined` when it has them all. */
export function missingLabels(pod: Pod, wanted: Readonly<Record<string, string>>): Readonly<Record<string, string>> | undefined {
  const labels = pod.metadata.labels ?? {};
  const missing = Object.entries(wanted).filter(([name, value]) => labels[name] !== value);
  return missing.length === 0 ? undefined : Object.fromEntries(missing);
}
