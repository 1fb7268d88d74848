import { isFinished, type Node, type Pod, type Taint } from "./objects.js";

export type Placement =
  | { readonly kind: "node"; readonly name: string }
  /** In the words of kube-scheduler. */
  | { readonly kind: "unschedulable"; readonly message: string };

type Spread = NonNullable<NonNullable<Pod["spec"]>["topologySpreadConstraints"]>[number];
type LabelSelector = Spread["labelSelector"];
type Requirement = { readonly key: string; readonly operator: string; readonly values?: readonly string[] };

/**
 * Picks a node for a pod: node selector, required node affinity, taints, cordon, topology spread; of those that fit the one with
 * the fewest pods of the same spread, then the fewest pods. Resources, ports and pod affinity are not looked at.
 */
export function planPlacement(pod: Pod, nodes: readonly Node[], pods: readonly Pod[]): Placement {
  const running = pods.filter((other) => other.spec?.nodeName !== undefined && !isFinished(other));
  const reasons = new Map<string, number>();
  const fitting: { readonly node: Node; readonly score: readonly number[] }[] = [];
  for (const node of nodes) {
    const reason = whyNot(pod, node) ?? spreadFault(pod, node, nodes, running);
    if (reason === undefined) fitting.push({ node, score: scoreOf(pod, node, nodes, running) });
    else reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  const [best] = fitting.sort((a, b) => compare(a.score, b.score) || (a.node.metadata.name < b.node.metadata.name ? -1 : 1));
  if (best !== undefined) return { kind: "node", name: best.node.metadata.name };
  const why = [...reasons].map(([reason, count]) => `${count} ${reason}`).join(", ");
  return { kind: "unschedulable", message: `0/${nodes.length} nodes are available: ${why === "" ? "there are none" : why}.` };
}

/** The taints of a node that a pod does not tolerate, of those that keep it out. */
export function untolerated(pod: Pod, taints: readonly Taint[], effects: readonly string[]): readonly Taint[] {
  const tolerations = pod.spec?.tolerations ?? [];
  return taints.filter(
    (taint) =>
      effects.includes(taint.effect) &&
      !tolerations.some(
        ({ key, operator, value, effect }) =>
          (key === undefined || key === taint.key) &&
          (effect === undefined || effect === taint.effect) &&
          (operator === "Exists" || (key !== undefined && (value ?? "") === (taint.value ?? ""))),
      ),
  );
}

const unschedulableTaint: Taint = { key: "node.kubernetes.io/unschedulable", effect: "NoSchedule" };

function whyNot(pod: Pod, node: Node): string | undefined {
  const cordon = node.spec?.unschedulable === true ? [unschedulableTaint] : [];
  if (untolerated(pod, cordon, ["NoSchedule"]).length > 0) return "node(s) were unschedulable";
  const [taint] = untolerated(pod, node.spec?.taints ?? [], ["NoSchedule", "NoExecute"]);
  if (taint !== undefined) return `node(s) had untolerated taint {${taint.key}: ${taint.value ?? ""}}`;
  const labels = node.metadata.labels ?? {};
  const selected = Object.entries(pod.spec?.nodeSelector ?? {}).every(([key, value]) => labels[key] === value);
  return selected && matchesAffinity(pod, node) ? undefined : "node(s) didn't match Pod's node affinity/selector";
}

function matchesAffinity(pod: Pod, { metadata }: Node): boolean {
  const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const fields = { "metadata.name": metadata.name }; // by which a DaemonSet says its pod's node
  return (
    required === undefined ||
    required.nodeSelectorTerms.some(
      ({ matchExpressions = [], matchFields = [] }) =>
        matchExpressions.every((one) => meets(one, metadata.labels ?? {})) && matchFields.every((one) => meets(one, fields)),
    )
  );
}

function meets({ key, operator, values = [] }: Requirement, labels: Readonly<Record<string, string>>): boolean {
  const value = labels[key];
  switch (operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
    default:
      throw new Error(`the test scheduler does not know the operator ${operator}`);
  }
}

export function matchesSelector(selector: LabelSelector, labels: Readonly<Record<string, string>> = {}): boolean {
  const { matchLabels = {}, matchExpressions = [] } = selector ?? {};
  return Object.entries(matchLabels).every(([key, value]) => labels[key] === value) && matchExpressions.every((one) => meets(one, labels));
}

const domainOf = (node: Node | undefined, key: string): string | undefined => node?.metadata.labels?.[key];

/** How many pods of the constraint's selector are in each domain of its key. */
function spreadCounts(constraint: Spread, pod: Pod, nodes: readonly Node[], running: readonly Pod[]): Map<string, number> {
  const counts = new Map<string, number>();
  const domains = new Map<string, string>();
  for (const node of nodes) {
    const domain = domainOf(node, constraint.topologyKey);
    if (domain === undefined) continue;
    domains.set(node.metadata.name, domain);
    if (whyNot(pod, node) === undefined || counts.has(domain)) counts.set(domain, 0);
  }
  for (const other of running) {
    const domain = domains.get(other.spec?.nodeName ?? "");
    const count = domain === undefined ? undefined : counts.get(domain);
    if (domain === undefined || count === undefined || other.metadata.namespace !== pod.metadata.namespace) continue;
    if (matchesSelector(constraint.labelSelector, other.metadata.labels)) counts.set(domain, count + 1);
  }
  return counts;
}

function spreadFault(pod: Pod, node: Node, nodes: readonly Node[], running: readonly Pod[]): string | undefined {
  for (const constraint of pod.spec?.topologySpreadConstraints ?? []) {
    if (constraint.whenUnsatisfiable !== "DoNotSchedule") continue;
    const domain = domainOf(node, constraint.topologyKey);
    if (domain === undefined) return "node(s) didn't match pod topology spread constraints (missing required label)";
    const counts = spreadCounts(constraint, pod, nodes, running);
    if ((counts.get(domain) ?? 0) + 1 - Math.min(...counts.values()) > constraint.maxSkew) {
      return "node(s) didn't match pod topology spread constraints";
    }
  }
  return undefined;
}

/** Less is better. */
function scoreOf(pod: Pod, node: Node, nodes: readonly Node[], running: readonly Pod[]): readonly number[] {
  const spread = (pod.spec?.topologySpreadConstraints ?? []).map(
    (constraint) => spreadCounts(constraint, pod, nodes, running).get(domainOf(node, constraint.topologyKey) ?? "") ?? 0,
  );
  return [...spread, running.filter((other) => other.spec?.nodeName === node.metadata.name).length];
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (const [index, value] of a.entries()) if (value !== b[index]) return value - (b[index] ?? 0);
  return 0;
}
