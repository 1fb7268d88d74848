import type { PodPlace } from "./downward.js";
import { type ContainerStatus, conditionOf, type Pod, type PodCondition, type PodStatus, timeText } from "./objects.js";

/** What is known of a pod where it runs. */
export interface PodFacts {
  readonly place: PodPlace;
  readonly startedAtMs: number;
  /** Its volumes are there and its address is its own. */
  readonly isSandboxReady: boolean;
  readonly isInitialized: boolean;
  readonly containers: readonly ContainerStatus[];
  readonly initContainers: readonly ContainerStatus[];
  /** It is being deleted and none of its containers runs any more. */
  readonly hasEnded: boolean;
}

/** The status a kubelet writes: only its own conditions, which a strategic merge patch puts between those of others. */
export function buildPodStatus(pod: Pod, facts: PodFacts, former: readonly PodCondition[], nowMs: number): PodStatus {
  const { place, containers, initContainers } = facts;
  const generation = pod.metadata.generation === undefined ? {} : { observedGeneration: pod.metadata.generation };
  const condition = (type: string, fault: Fault | undefined): PodCondition => {
    const status = fault === undefined ? "True" : "False";
    const before = former.find((one) => one.type === type) ?? conditionOf(pod, type);
    const since = before?.status === status ? before.lastTransitionTime : timeText(nowMs);
    return { type, status, ...fault, ...(since === undefined ? {} : { lastTransitionTime: since }), ...generation };
  };
  const unready = containersFault(facts, containers);
  return {
    ...generation,
    phase: phaseOf(pod, facts),
    startTime: timeText(facts.startedAtMs),
    hostIP: place.hostIp,
    hostIPs: [{ ip: place.hostIp }],
    ...(facts.isSandboxReady ? { podIP: place.podIp, podIPs: [{ ip: place.podIp }] } : {}),
    containerStatuses: containers,
    ...(initContainers.length === 0 ? {} : { initContainerStatuses: initContainers }),
    conditions: [
      condition("PodScheduled", undefined),
      condition("PodReadyToStartContainers", facts.isSandboxReady ? undefined : {}),
      condition("Initialized", facts.isInitialized ? undefined : notInitialized(initContainers)),
      condition("ContainersReady", unready),
      condition("Ready", unready ?? gateFault(pod)),
    ],
  };
}

interface Fault {
  readonly reason?: string;
  readonly message?: string;
}

const names = (containers: readonly ContainerStatus[]): string => containers.map(({ name }) => name).join(" ");

const notInitialized = (containers: readonly ContainerStatus[]): Fault => ({
  reason: "ContainersNotInitialized",
  message: `containers with incomplete status: [${names(containers.filter(({ state }) => state?.terminated?.exitCode !== 0))}]`,
});

function containersFault(facts: PodFacts, containers: readonly ContainerStatus[]): Fault | undefined {
  const unready = containers.filter(({ ready }) => !ready);
  if (facts.hasEnded) return { reason: "PodCompleted" };
  return unready.length === 0
    ? undefined
    : { reason: "ContainersNotReady", message: `containers with unready status: [${names(unready)}]` };
}

/** A pod is ready when its containers are and every condition that its readiness gates name is true. */
function gateFault(pod: Pod): Fault | undefined {
  const faults = (pod.spec?.readinessGates ?? []).flatMap(({ conditionType }) => {
    const gate = conditionOf(pod, conditionType);
    if (gate === undefined) return `corresponding condition of pod readiness gate "${conditionType}" does not exist.`;
    return gate.status === "True" ? [] : `the status of pod readiness gate "${conditionType}" is not "True", but ${gate.status}`;
  });
  return faults.length === 0 ? undefined : { reason: "ReadinessGatesNotReady", message: faults.join(", ") };
}

function phaseOf(pod: Pod, { containers, isInitialized, hasEnded }: PodFacts): string {
  const exits = containers.map(({ state, lastState }) => (state?.terminated ?? (hasEnded ? lastState?.terminated : undefined))?.exitCode);
  const failed = exits.some((code) => code !== undefined && code !== 0);
  if (hasEnded) return failed ? "Failed" : "Succeeded";
  const willRestart = (code: number | undefined): boolean =>
    code === undefined ||
    pod.spec?.restartPolicy === undefined ||
    pod.spec.restartPolicy === "Always" ||
    (pod.spec.restartPolicy === "OnFailure" && code !== 0);
  if (containers.length > 0 && exits.every((code) => !willRestart(code))) return failed ? "Failed" : "Succeeded";
  const hasBegun = containers.every(({ state, lastState }) => state?.waiting === undefined || lastState?.terminated !== undefined);
  return isInitialized && hasBegun ? "Running" : "Pending";
}
