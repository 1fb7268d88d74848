import type { FleetSpec, Observed, ObservedPod, PodMemory, PodState, PoolSpec, PurposeReason } from "./types.js";

/** A pod with everything the decisions ask of it, worked out once. */
export interface PodView {
  readonly pod: ObservedPod;
  readonly memory: PodMemory;
  readonly state: PodState;
  /** Gone, terminating or stopping by itself: nothing more is asked of it. */
  readonly dead: boolean;
  /** Takes new connections, and says so. */
  readonly accepting: boolean;
  /** Alive, wanted, and never yet ready; or let in, without a client so far, and not yet ready by its kubelet's word. */
  readonly starting: boolean;
  /** Why it must be replaced and drained, if it must. */
  readonly mustLeave: PurposeReason | undefined;
  /** The last known figure; 0 for a pod that is gone. */
  readonly connections: number;
  /** Cᵢ: what it should hold. */
  readonly capacity: number;
  /** 0.9 × what it can hold: beyond it nothing is sent there on purpose. */
  readonly slots: number;
}

/** Share of a gateway's effective maximum that is planned with; DESIGN §7. */
const usableShare = 0.9;

export function viewPod(
  pod: ObservedPod,
  memory: PodMemory,
  observed: Observed,
  pausedRevisions: Readonly<Record<string, string>>,
): PodView {
  const pool = observed.spec.pools.find((one) => one.name === pod.pool);
  const purpose = pod.grant?.purpose ?? "serve";
  const dead = isDead(pod);
  const limit = Math.min(pool?.hardConnections ?? Number.MAX_SAFE_INTEGER, pod.report?.effectiveMaxConnections ?? Number.MAX_SAFE_INTEGER);
  const slots = Math.floor(usableShare * limit);
  return {
    pod,
    memory,
    state: stateOf(pod, memory, dead),
    dead,
    accepting: isAccepting(pod),
    starting: !dead && purpose === "serve" && (!memory.wasReady || isLetIn(pod)),
    mustLeave: dead ? undefined : reasonToLeave(pod, pool, observed.spec, pausedRevisions),
    connections: memory.connections,
    capacity: Math.min(pool?.softConnections ?? 0, slots),
    slots,
  };
}

export function isDead(pod: ObservedPod): boolean {
  return pod.phase === "gone" || pod.terminating || pod.report?.state === "stopping";
}

/** It gets new connections and nothing is planned that takes them away again. A pod that does not report is not counted on. */
export function isAccepting(pod: ObservedPod): boolean {
  return !isDead(pod) && pod.ready && pod.report?.state === "serving" && (pod.grant?.purpose ?? "serve") === "serve";
}

function isLetIn({ ready, report }: ObservedPod): boolean {
  return !ready && report?.state === "serving" && report.handshakes === 0;
}

/** Both the operator's wish and the gateway's word: a pod is drained when it was told to and has nobody left. */
export function isDrained(pod: ObservedPod): boolean {
  return pod.grant?.purpose === "drain" && pod.report?.state === "drained" && pod.report.connections === 0;
}

function stateOf(pod: ObservedPod, memory: PodMemory, dead: boolean): PodState {
  if (dead) return "Terminating";
  if (pod.grant?.purpose === "cordon") return "Cordoned";
  if (pod.grant?.purpose === "drain") {
    if (isDrained(pod)) return "Drained";
    return pod.grant.reconnectsPerSecond === 0 ? "Cordoned" : "Draining";
  }
  if (memory.wasReady) return "Serving";
  return pod.phase === "pending" ? "Pending" : "Warming";
}

function reasonToLeave(
  pod: ObservedPod,
  pool: PoolSpec | undefined,
  spec: FleetSpec,
  pausedRevisions: Readonly<Record<string, string>>,
): PurposeReason | undefined {
  if (pool === undefined) return "poolRemoved";
  if (pod.leaving !== undefined) return "leaving";
  const paused = spec.rollout.paused || pausedRevisions[pool.name] === pool.revision;
  return pod.revision !== pool.revision && !paused ? "rollout" : undefined;
}
