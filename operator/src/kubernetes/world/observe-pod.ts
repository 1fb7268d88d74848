import type { V1Node, V1Pod } from "@kubernetes/client-node";
import { isMapping, parseMapping } from "@pushfleet/protocol";
import type { AcceptedGrant, GatewayReport, ObservedPod } from "../../core/index.js";
import type { Typed } from "../api/resources.js";
import { acceptingGate } from "../objects/pod-template.js";
import { hasAccepted } from "./accepting-gate.js";
import { grantOf } from "./pod-grant.js";
import { identityOf } from "./pod-identity.js";

export type Pod = Typed<V1Pod>;
export type Node = Typed<V1Node>;

/** What is known of a pod beside its object: from its status stream and from this process's calls. */
export interface PodKnowledge {
  readonly accepted?: AcceptedGrant | undefined;
  readonly report?: GatewayReport | undefined;
  /** This process has only begun to listen to it: that it does not report says nothing yet. */
  readonly isAwaited?: boolean | undefined;
  /** As `ObservedPod.refusesGrants`. */
  readonly refusesGrants?: boolean | undefined;
}

/** A gateway pod as the planner sees it; `undefined` for one of which neither name nor labels say which it is.
 *  `nodeOf` answers "deleted" when the node's object is known to be gone. */
export function observePod(pod: Pod, known: PodKnowledge, nodeOf: (name: string) => Node | "deleted" | undefined): ObservedPod | undefined {
  const { name, uid, resourceVersion, creationTimestamp, deletionTimestamp } = pod.metadata;
  const identity = identityOf(pod);
  if (uid === undefined || identity === undefined) return undefined;
  const { isAwaited = false, ...heard } = known;
  const nodeName = pod.spec?.nodeName;
  const node = nodeName === undefined ? undefined : nodeOf(nodeName);
  const phase = phaseOf(pod, heard.report !== undefined);
  // A node that has only come is not seen where the watch of the nodes is behind: what reports runs, and what never ran loses nobody by waiting.
  const hasLostNode = node === "deleted" && phase === "running" && heard.report === undefined && !isAwaited;
  return {
    name,
    uid,
    version: resourceVersion ?? "",
    ...identity,
    createdAtMs: creationTimestamp === undefined ? 0 : Date.parse(creationTimestamp),
    node: nodeName,
    zone: typeof node === "object" ? node.metadata.labels?.[zoneLabel] : undefined,
    phase: hasLostNode ? "gone" : phase,
    ended: hasLostNode ? `its node ${nodeName} is gone` : howEnded(pod),
    ready: pod.status?.conditions?.some((one) => one.type === "Ready" && one.status === "True") === true,
    readySinceMs: readySince(pod),
    hasAccepted: hasAccepted(pod),
    terminating: deletionTimestamp !== undefined,
    leaving: typeof node === "object" ? whyLeaving(node) : undefined,
    grant: grantOf(pod),
    ...heard,
  };
}

/** By the kubelet's word and by an operator's: a node's clock that is behind must not make a new pod an old one. */
function readySince({ status }: Pod): number | undefined {
  const times = ["Ready", acceptingGate].map((type) => {
    const found = status?.conditions?.find((one) => one.type === type && one.status === "True");
    return Date.parse(found?.lastTransitionTime ?? "");
  });
  const latest = Math.max(...times); // NaN where one is missing
  return Number.isNaN(latest) ? undefined : latest;
}

const zoneLabel = "topology.kubernetes.io/zone";

/** A container that fails over and over counts as one that has not started when no clients were ever let in, and between two starts, when no
 *  process runs: nobody is on it, and it may be deleted (when: core/removal.ts). What reports runs, whatever a kubelet that lags behind says;
 *  so does what answers its probe, for an HAProxy asks no readiness gate. */
function phaseOf(pod: Pod, isReporting: boolean): ObservedPod["phase"] {
  const { status } = pod;
  if (isOver(pod)) return "gone";
  const containers = status?.containerStatuses ?? [];
  if (isReporting) return "running";
  if (containers.some((one) => one.restartCount > 0 && !one.ready) && !hasAccepted(pod)) return "pending";
  if (containers.some((one) => one.state?.running !== undefined)) return "running";
  if (containers.some((one) => one.state?.waiting !== undefined || one.state?.terminated !== undefined)) return "pending";
  return status?.phase === "Running" || containers.some((one) => one.restartCount > 0) ? "running" : "pending";
}

/** Taints by which a node says that it will go, or that nobody reaches it. Sources: kubernetes.io "Taints and Tolerations", cluster-autoscaler
 *  (ToBeDeletedTaint), karpenter (v1 and v1beta1), GKE and AWS termination notices. */
const leavingTaints: readonly string[] = [
  "node.kubernetes.io/out-of-service",
  "node.cloudprovider.kubernetes.io/shutdown",
  "ToBeDeletedByClusterAutoscaler",
  "karpenter.sh/disrupted",
  "karpenter.sh/disruption",
  "cloud.google.com/impending-node-termination",
  "aws-node-termination-handler/spot-itn",
  "aws-node-termination-handler/scheduled-maintenance",
  "aws-node-termination-handler/asg-lifecycle-termination",
];

/** Only with the effect NoExecute: the node controller gives it to nodes that fail, and not while all of them seem to, because the control plane
 *  was away (zone disruption mode). With NoSchedule it says nothing of the pods that are there. */
const failingTaints: readonly string[] = ["node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready"];

/** Why a node's pods have to leave it, in words; `undefined` when they need not. */
export function whyLeaving({ metadata, spec }: Node): string | undefined {
  const taint = spec?.taints?.find(
    ({ key, effect }) => leavingTaints.includes(key) || (failingTaints.includes(key) && effect === "NoExecute"),
  );
  if (taint !== undefined) return `node ${metadata.name} has the taint ${taint.key}`;
  return spec?.unschedulable === true ? `node ${metadata.name} is unschedulable` : undefined;
}

/** What keeps a pod from running, for a person: "demo-default-0-1a2b3c4d: ErrImagePull (…)". `undefined`: nothing the pod tells of. */
export function podFault(pod: Pod): string | undefined {
  const fault = addressFault(pod) ?? faultOf(pod);
  return fault === undefined ? undefined : `${pod.metadata.name}: ${fault}`;
}

/** Its probes fail, and its restarts would say nothing of why. */
function addressFault({ status }: Pod): string | undefined {
  const { podIP } = status ?? {};
  if (podIP?.includes(":") !== true) return undefined;
  return `its address ${podIP} is an IPv6 one, and this release listens on IPv4 only: it needs a cluster in which a pod's first address is an IPv4 one`;
}

function howEnded(pod: Pod): string | undefined {
  return isOver(pod) ? (faultOf(pod) ?? pod.status?.phase) : undefined;
}

/** Who took it away (a kubelet, a scheduler, …) says more than how its containers ended by that. */
function faultOf(pod: Pod): string | undefined {
  const { metadata, status } = pod;
  if (status?.phase === "Failed" && status.reason !== undefined) return `${status.reason} (${status.message ?? "its containers ended"})`;
  const disrupted = status?.conditions?.find((one) => one.type === "DisruptionTarget");
  if (disrupted?.status === "True" && (metadata.deletionTimestamp !== undefined || isOver(pod)))
    return `${disrupted.reason ?? "Disrupted"} (${disrupted.message ?? "it is taken away"})`;
  for (const one of [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])]) {
    const fault = containerFault(one);
    if (fault !== undefined) return `container ${one.name} ${fault}`;
  }
  const scheduled = status?.conditions?.find((one) => one.type === "PodScheduled");
  if (scheduled?.status === "False") return `${scheduled.reason ?? "Unschedulable"} (${scheduled.message ?? "no node fits"})`;
  return status?.phase === "Failed" ? "Failed (its containers ended)" : undefined;
}

/** None of its containers runs, nor ever will. */
export function isOver({ status }: Pod): boolean {
  return status?.phase === "Failed" || status?.phase === "Succeeded";
}

/** How a container ended says more than that it waits to be started again, and stays said while it is tried again. */
function containerFault({ state, lastState, ready }: ContainerStatus): string | undefined {
  const reason = state?.waiting?.reason;
  if (state?.terminated !== undefined && state.terminated.exitCode === 0) return undefined;
  const ended = state?.terminated ?? lastState?.terminated;
  if (reason !== undefined && startingReasons.includes(reason)) return undefined;
  if (ended !== undefined && !ready && ended.exitCode !== 0) {
    const words = lastWords(ended.message ?? "");
    const how = `exit code ${ended.exitCode} ${ended.reason ?? ""}`.trim();
    return `${reason ?? "failed"} (${how}${words === "" ? "" : `: ${words}`})`;
  }
  if (reason === undefined) return undefined;
  return state?.waiting?.message === undefined ? reason : `${reason} (${state.waiting.message})`;
}

/** The last line of a log, which is a record of ours where the container is. */
function lastWords(log: string): string {
  const line = log.trim().split("\n").at(-1) ?? "";
  const { msg, err } = parseMapping(line) ?? {};
  const said = [msg, isMapping(err) ? err["message"] : undefined].filter((one) => typeof one === "string");
  return said.length === 0 ? line : said.join(": ");
}

type ContainerStatus = NonNullable<NonNullable<Pod["status"]>["containerStatuses"]>[number];

const startingReasons: readonly string[] = ["ContainerCreating", "PodInitializing"];
