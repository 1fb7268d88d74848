import { ewma, sampleArrivals } from "./arrivals.js";
import { startFailures } from "./create-back-off.js";
import { forcedMoves } from "./forced-moves.js";
import { isAccepting, isDrained } from "./pod-view.js";
import { withTimesToReady } from "./time-to-ready.js";
import type { Observed, ObservedPod, PlannerMemory, PlannerSettings, PodMemory, PoolMemory } from "./types.js";

/** Brings the memory of the last plan up to what is observed now. `target`, `shrinking` and `shrinkableSinceMs` of a pool are left as they
 *  were: they are decisions, made later. A memory of another epoch is kept, but its owner starts to lead now, and measures nothing over the
 *  time in which nobody looked. */
export function advanceMemory(observed: Observed, settings: PlannerSettings, nowMs: number): PlannerMemory {
  const before = observed.status?.memory;
  const leads = before !== undefined && observed.status?.epoch === observed.epoch;
  const lost = before === undefined ? [] : lostPods(observed, before);
  const forced = observed.deleting ? undefined : forcedMoves(observed, lost, before, settings, nowMs);
  // A pod that ended may have sent what was granted until its end, and its grant went with it.
  const quiet =
    leads && !someoneVanished(observed, before, settings, nowMs) && lost.length === 0 ? before.quietUntilMs : nowMs + settings.releaseMs;
  return {
    atMs: nowMs,
    leadingSinceMs: leads ? before.leadingSinceMs : nowMs,
    quietUntilMs: quiet,
    pods: Object.fromEntries(observed.pods.map((pod) => [pod.uid, rememberPod(pod, before?.pods[pod.uid], nowMs)])),
    pools: Object.fromEntries(observed.spec.pools.map((pool) => [pool.name, rememberPool(pool.name, observed, leads, settings, nowMs)])),
    ...(forced === undefined ? {} : { forced }),
    pausedRevisions: before?.pausedRevisions ?? {},
  };
}

function rememberPod(pod: ObservedPod, last: PodMemory | undefined, nowMs: number): PodMemory {
  const { report } = pod;
  const gone = pod.phase === "gone";
  const acceptingSinceMs = isAccepting(pod) ? (last?.acceptingSinceMs ?? Math.min(nowMs, pod.readySinceMs ?? nowMs)) : undefined;
  const pendingSinceMs = pod.phase === "pending" ? (last?.pendingSinceMs ?? nowMs) : undefined;
  const drainedSinceMs = isDrained(pod) ? (last?.drainedSinceMs ?? nowMs) : undefined;
  return {
    name: pod.name,
    pool: pod.pool,
    connections: gone ? 0 : (report?.connections ?? last?.connections ?? 0),
    handshakes: report?.handshakes ?? last?.handshakes ?? 0,
    resumed: report?.resumed ?? last?.resumed ?? 0,
    reportedAtMs: report === undefined ? (last?.reportedAtMs ?? nowMs) : nowMs,
    ...(acceptingSinceMs === undefined ? {} : { acceptingSinceMs }),
    // Of a pod that this leader has not known before, the pod itself tells; of others it would say so before they are ready.
    wasReady: pod.ready || (last?.wasReady ?? pod.hasAccepted === true) || (report?.handshakes ?? 0) > 0,
    ...(drainedSinceMs === undefined ? {} : { drainedSinceMs }),
    ...(pendingSinceMs === undefined ? {} : { pendingSinceMs }),
    gone,
  };
}

function rememberPool(name: string, observed: Observed, leads: boolean, settings: PlannerSettings, nowMs: number): PoolMemory {
  const before = observed.status?.memory;
  const pods = observed.pods.filter((pod) => pod.pool === name);
  const last = before?.pools[name];
  const failures = startFailures(pods, before, last?.startFailures, nowMs);
  const elapsedMs = before === undefined || !leads ? 0 : nowMs - before.atMs;
  const averages = { netArrivalsPerSecond: last?.netArrivalsPerSecond ?? 0, handshakesPerSecond: last?.handshakesPerSecond ?? 0 };
  if (before !== undefined && last !== undefined && elapsedMs > 0) {
    const sample = sampleArrivals(pods, before.pods, elapsedMs);
    const halfLifeMs = settings.arrivalHalfLifeMs;
    averages.netArrivalsPerSecond = ewma(averages.netArrivalsPerSecond, sample.netPerSecond, elapsedMs, halfLifeMs);
    averages.handshakesPerSecond = ewma(averages.handshakesPerSecond, sample.handshakesPerSecond, elapsedMs, halfLifeMs);
  }
  return {
    ...(last?.target === undefined ? {} : { target: last.target }),
    ...(last?.shrinking === undefined ? {} : { shrinking: last.shrinking }),
    ...averages,
    ...(failures === undefined ? {} : { startFailures: failures }),
    timeToReadyMs: withTimesToReady(last?.timeToReadyMs ?? [], pods, leads ? before : undefined, nowMs),
    ...(last?.shrinkableSinceMs === undefined ? {} : { shrinkableSinceMs: last.shrinkableSinceMs }),
  };
}

/** Pods that had clients and ended, or restarted in place, since the plan before. */
function lostPods(observed: Observed, before: PlannerMemory): readonly PodMemory[] {
  const now = new Map(observed.pods.map((pod) => [pod.uid, pod]));
  return Object.entries(before.pods).flatMap(([uid, last]) => {
    const pod = now.get(uid);
    const ended = pod === undefined || pod.phase === "gone";
    const restarted = pod?.report !== undefined && pod.report.handshakes < last.handshakes;
    return last.connections > 0 && (ended || restarted) ? [last] : [];
  });
}

/** Someone whose grant had not been released yet. */
function someoneVanished(observed: Observed, before: PlannerMemory, { releaseMs }: PlannerSettings, nowMs: number): boolean {
  const now = new Set(observed.pods.filter((pod) => pod.phase !== "gone").map((pod) => pod.uid));
  return Object.entries(before.pods).some(([uid, last]) => {
    const released = last.drainedSinceMs !== undefined && nowMs - last.drainedSinceMs >= releaseMs;
    return !now.has(uid) && !last.gone && !released && last.wasReady;
  });
}
