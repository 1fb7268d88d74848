import { parseGrant } from "../../operator/src/core/index.js";
import type { KubernetesServer } from "../peers/kubernetes.js";

/** Everything of ours in a namespace, by "Kind/name", without what differs from run to run: uids, times, keys, addresses, nodes. */
export type EndState = Readonly<Record<string, unknown>>;

interface Found {
  readonly metadata: { readonly name: string; readonly annotations?: Readonly<Record<string, string>> } & Readonly<Record<string, unknown>>;
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly data?: Readonly<Record<string, string>>;
  readonly status?: Readonly<Record<string, unknown>> & { readonly conditions?: readonly Readonly<Record<string, string>>[] };
}

const ours = encodeURIComponent("app.kubernetes.io/managed-by=pushfleet-operator");
const gateways = encodeURIComponent("app.kubernetes.io/component=gateway");

const paths: readonly (readonly [kind: string, path: (namespace: string) => string])[] = [
  ["PushGateway", (namespace) => `/apis/pushfleet.dev/v1alpha1/namespaces/${namespace}/pushgateways`],
  ["Pod", (namespace) => `/api/v1/namespaces/${namespace}/pods?labelSelector=${gateways}`],
  ...["Service", "ConfigMap", "Secret", "ServiceAccount"].map((kind) => core(kind)),
  grouped("Deployment", "apps/v1", "deployments"),
  grouped("ControllerRevision", "apps/v1", "controllerrevisions"),
  grouped("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets"),
  grouped("NetworkPolicy", "networking.k8s.io/v1", "networkpolicies"),
];

function core(kind: string): (typeof paths)[number] {
  return [kind, (namespace) => `/api/v1/namespaces/${namespace}/${kind.toLowerCase()}s?labelSelector=${ours}`];
}

function grouped(kind: string, group: string, plural: string): (typeof paths)[number] {
  return [kind, (namespace) => `/apis/${group}/namespaces/${namespace}/${plural}?labelSelector=${ours}`];
}

/** Objects of revisions and pods that are no more are left out: they are cleared away a minute after they were made, whatever happens. */
export async function readEndState(kubernetes: KubernetesServer, namespace: string): Promise<EndState> {
  const found = await Promise.all(
    paths.map(async ([kind, path]) => {
      const { status, body } = await kubernetes.request("GET", path(namespace));
      if (status !== 200) throw new Error(`${path(namespace)} was answered ${status}`);
      return (body as { readonly items: readonly Found[] }).items.map((object) => [`${kind}/${object.metadata.name}`, object] as const);
    }),
  );
  const all = found.flat();
  const pods = all.flatMap(([key]) => (key.startsWith("Pod/") ? [key.slice("Pod/".length)] : []));
  const kept = all.filter(([key]) => isInUse(key, pods));
  return Object.fromEntries(kept.map(([key, object]) => [key, withoutNamespace(normal(key, object), namespace)]));
}

/** `<fleet>-<pool>-<revision>` of a pool, and `<pod>-tls`. Fleets of one spec have the same revisions. */
function isInUse(key: string, pods: readonly string[]): boolean {
  const [kind = "", name = ""] = key.split("/");
  if (kind === "Pod" || name.includes("-router")) return true;
  const [, prefix, revision] = /^(.*)-([0-9a-f]{8})(?:-tls)?$/.exec(name) ?? [];
  if (prefix === undefined || revision === undefined) return true;
  return name.endsWith("-tls")
    ? pods.includes(name.slice(0, -"-tls".length))
    : pods.some((pod) => pod.startsWith(`${prefix}-`) && pod.endsWith(`-${revision}`));
}

function normal(key: string, { metadata, spec, data, status, ...rest }: Found): object {
  const { uid, resourceVersion, creationTimestamp, managedFields, generation, ownerReferences, annotations, ...kept } = metadata;
  const owners = (ownerReferences as readonly { readonly kind: string; readonly name: string }[] | undefined) ?? [];
  const object = {
    ...rest,
    metadata: { ...kept, annotations: normalAnnotations(annotations ?? {}), owners: owners.map(({ kind, name }) => `${kind}/${name}`) },
    conditions: (status?.conditions ?? []).map(({ type, status: is, reason }) => `${type} ${is} ${reason ?? ""}`).sort(),
  };
  if (key.startsWith("Secret/"))
    return { ...object, metadata: { ...object.metadata, annotations: certified(annotations) }, data: keysOf(data) };
  if (key.startsWith("Pod/")) {
    const conditions = (status?.conditions ?? []).map(({ type, status: is }) => `${type} ${is}`).sort();
    return { ...object, spec: { ...spec, nodeName: "" }, phase: status?.["phase"], conditions };
  }
  if (key.startsWith("Service/")) return { ...object, spec: { ...spec, clusterIP: "", clusterIPs: [], healthCheckNodePort: 0 } };
  if (key.startsWith("PushGateway/")) {
    const { observedGeneration, replicas, selector, pods, templateOutdated } = status ?? {};
    return { ...object, spec, status: { observedGeneration, replicas, selector, pods, templateOutdated } };
  }
  // Its number is one above those that are still there: see `readEndState`.
  if (key.startsWith("ControllerRevision/")) return { ...object, revision: 0, data };
  // Its conditions are other controllers'.
  return { ...object, spec, data, conditions: [] };
}

/** A certificate's times and fingerprints are its own. */
function certified(annotations: Readonly<Record<string, string>> = {}): object {
  return { keys: keysOf(annotations), names: annotations["pushfleet.dev/names"] };
}

function keysOf(map: object = {}): readonly string[] {
  return Object.keys(map).sort();
}

/** Of a grant: what it says, not who wrote it and when. */
function normalAnnotations(annotations: Readonly<Record<string, string>>): object {
  const grant = parseGrant(annotations["pushfleet.dev/grant"]);
  if (grant === undefined) return annotations;
  const { purpose, reconnectsPerSecond, heldPerSecond, reason } = grant;
  return { ...annotations, "pushfleet.dev/grant": { purpose, reconnectsPerSecond, heldPerSecond, reason } };
}

function withoutNamespace(object: object, namespace: string): unknown {
  return JSON.parse(JSON.stringify(object).replace(new RegExp(`\\b${namespace}\\b`, "g"), "the-namespace"));
}

/** Of two states, what is not the same in both. */
export function differences(a: EndState, b: EndState): readonly (readonly [key: string, a: unknown, b: unknown])[] {
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();
  return keys.flatMap((key) => (JSON.stringify(a[key]) === JSON.stringify(b[key]) ? [] : [[key, a[key], b[key]] as const]));
}
