import type { V1LabelSelector, V1PodDisruptionBudget } from "@kubernetes/client-node";
import type { Typed } from "../api/resources.js";
import type { Json, KubernetesObject } from "../api/types.js";
import { componentLabel } from "./fleet.js";

/** Every pod of a fleet has a PodDisruptionBudget of the fleet's. The API server evicts no pod that has two, nor says "later" as with one: it answers
 *  with an error (500), at which `kubectl drain` gives up. What to do about each of somebody else's that selects one of `pods`. */
export function otherBudgets(fleet: string, pods: readonly KubernetesObject[], budgets: readonly KubernetesObject[]): readonly string[] {
  return budgets.flatMap(({ metadata, ...budget }) => {
    const { spec } = budget as Pick<Typed<V1PodDisruptionBudget>, "spec">;
    const selected = pods.filter((pod) => selects(spec?.selector, pod.metadata.labels ?? {}));
    const parts = new Set(selected.map((pod) => pod.metadata.labels?.[componentLabel] ?? "gateway"));
    if (parts.size === 0) return [];
    return [
      `the PodDisruptionBudget ${metadata.name} selects pods of this fleet (${[...parts].sort().join(", ")}), which have the fleet's own, and of a ` +
        `pod with two every eviction fails with an error, at which kubectl drain gives up: let its selector leave out pushfleet.dev/fleet: ${fleet}`,
    ];
  });
}

/** As policy/v1 has it: an empty selector selects every pod of the namespace, none at all selects none. */
function selects(selector: Json<V1LabelSelector> | undefined, labels: Readonly<Record<string, string>>): boolean {
  if (selector === undefined) return false;
  const { matchLabels = {}, matchExpressions = [] } = selector;
  return (
    Object.entries(matchLabels).every(([label, value]) => labels[label] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key];
      switch (operator) {
        case "In":
          return value !== undefined && values.includes(value);
        case "NotIn":
          return value === undefined || !values.includes(value);
        case "Exists":
          return value !== undefined;
        default:
          return value === undefined; // DoesNotExist
      }
    })
  );
}
