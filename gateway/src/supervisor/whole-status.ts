import { type Readiness, v1 } from "@pushfleet/service";
import type { WorkerReport } from "./messages.js";

const { STATE_STARTING, STATE_SERVING, STATE_CORDONED, STATE_DRAINING, STATE_DRAINED, STATE_STOPPING } = v1.ServingState;

/** A gateway is drained when its last worker is, and draining as soon as the first one is. */
function wholeState(states: readonly v1.ServingState[]): v1.ServingState {
  const some = (state: v1.ServingState): boolean => states.includes(state);
  const all = (state: v1.ServingState): boolean => states.every((one) => one === state);
  if (states.length === 0) return STATE_STARTING;
  if (all(STATE_STOPPING)) return STATE_STOPPING;
  if (all(STATE_DRAINED)) return STATE_DRAINED;
  if (some(STATE_DRAINING) || some(STATE_DRAINED) || some(STATE_STOPPING)) return STATE_DRAINING;
  if (some(STATE_CORDONED)) return STATE_CORDONED;
  return some(STATE_SERVING) ? STATE_SERVING : STATE_STARTING;
}

/** Status of a gateway from those of its workers that run. */
export function wholeStatus(gateway: string, reports: readonly WorkerReport[], nowMs: number): v1.IGatewayStatus {
  const statuses = reports.map(({ status }) => status);
  const sum = (name: SummedField): number => statuses.reduce((total, status) => total + (status[name] ?? 0), 0);
  const first = statuses[0];
  return {
    gateway,
    incarnation: first?.incarnation ?? "",
    state: wholeState(statuses.map(({ state }) => state ?? STATE_STARTING)),
    ready: wholeReadiness(reports).kind === "ready",
    connections: sum("connections"),
    effectiveMaxConnections: sum("effectiveMaxConnections"),
    bindingLimit: first?.bindingLimit ?? "",
    handshakes: sum("handshakes"),
    resumed: sum("resumed"),
    resumeAttempts: sum("resumeAttempts"),
    resumeFailures: sum("resumeFailures"),
    reconnectsSent: sum("reconnectsSent"),
    drainCloses: sum("drainCloses"),
    deliveries: sum("deliveries"),
    epoch: Math.max(0, ...statuses.map(({ epoch }) => epoch ?? 0)),
    remaining: sum("remaining"),
    atMs: nowMs,
  };
}

type SummedField =
  | "connections"
  | "effectiveMaxConnections"
  | "handshakes"
  | "resumed"
  | "resumeAttempts"
  | "resumeFailures"
  | "reconnectsSent"
  | "drainCloses"
  | "deliveries"
  | "remaining";

/** Ready when all workers that run are; one that is being restarted takes no connections anyway, the kernel gives them to the others. */
export function wholeReadiness(reports: readonly WorkerReport[]): Readiness {
  if (reports.length === 0) return { kind: "not_ready", reason: "no worker runs" };
  return reports.find(({ readiness }) => readiness.kind === "not_ready")?.readiness ?? { kind: "ready" };
}
