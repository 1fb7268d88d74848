import { limits } from "@pushfleet/protocol";
import { isDead } from "./pod-view.js";
import type { ForcedMoves, Observed, ObservedPod, PlannerMemory, PlannerSettings, PodMemory } from "./types.js";

/** Clients that lost their gateway, and were not asked, reconnect at a rate nobody granted. While they do, moves that are ours to choose wait. */

/** Share of the connections of before that counts as "everybody is back": some users just leave. */
const backShare = 0.98;

/** The forced moves going on at `nowMs`, or `undefined`. `lost` are the pods (name, last known connections) whose end was noticed now. */
export function forcedMoves(
  observed: Observed,
  lost: readonly PodMemory[],
  before: PlannerMemory | undefined,
  settings: PlannerSettings,
  nowMs: number,
): ForcedMoves | undefined {
  const leaving = observed.pods.filter((pod) => isLosingClients(pod, before, settings, nowMs)).map((pod) => pod.name);
  const names = [...lost.map((pod) => pod.name), ...leaving];
  const past = before?.forced;
  if (names.length === 0 && past === undefined) return undefined;
  const moves: ForcedMoves = {
    pods: [...new Set([...(past?.pods ?? []), ...names])].slice(-limits.podNamesTold),
    sinceMs: past?.sinceMs ?? nowMs,
    lastSeenMs: names.length > 0 ? nowMs : (past?.lastSeenMs ?? nowMs),
    connectionsBefore: Math.max(past?.connectionsBefore ?? 0, names.length > 0 ? connectionsKnown(observed, before) : 0),
  };
  if (leaving.length > 0) return moves;
  return clientsMissing(moves, observed) === 0 || nowMs - moves.lastSeenMs >= settings.forcedPauseMaxMs ? undefined : moves;
}

/** How many of the clients that lost their gateway have not come back yet. */
export function clientsMissing(moves: ForcedMoves | undefined, observed: Observed): number {
  if (moves === undefined) return 0;
  const alive = observed.pods.filter((pod) => !isDead(pod)).reduce((sum, pod) => sum + (pod.report?.connections ?? 0), 0);
  return Math.max(0, Math.ceil(moves.connectionsBefore * backShare) - alive);
}

/** What a status tells the next leader of them. Together those that were missing and those that were not are what the fleet has once all are
 *  back; a few more where some stood on pods that ended or were silent, and then it waits a little longer. When the first was lost is not told:
 *  they are waited for from now on, as long as any. */
export function inheritedMoves(forcedConnections: number, connections: number, nowMs: number): ForcedMoves | undefined {
  if (forcedConnections <= 0) return undefined;
  return {
    pods: ["gateways that ended under an earlier leader"],
    sinceMs: nowMs,
    lastSeenMs: nowMs,
    connectionsBefore: Math.floor((forcedConnections + connections) / backShare),
  };
}

/** Deleted by a person, evicted, told to stop: the gateway drains by itself, as fast as its time left demands. Our own deletes find no
 *  connections, or a deadline that has passed. One that has been silent for long is not waited for. */
function isLosingClients(pod: ObservedPod, before: PlannerMemory | undefined, settings: PlannerSettings, nowMs: number): boolean {
  if (pod.phase === "gone" || !isDead(pod)) return false;
  if (pod.report !== undefined) return pod.report.connections > 0;
  const last = before?.pods[pod.uid];
  return last !== undefined && last.connections > 0 && nowMs - last.reportedAtMs < settings.forcedPauseMaxMs;
}

/** Of the fleet before the pod ended, as far as it was seen. */
function connectionsKnown(observed: Observed, before: PlannerMemory | undefined): number {
  const remembered = Object.values(before?.pods ?? {}).reduce((sum, pod) => sum + pod.connections, 0);
  return remembered > 0 ? remembered : observed.pods.reduce((sum, pod) => sum + (pod.report?.connections ?? 0), 0);
}
