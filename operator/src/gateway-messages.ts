import type { v1 } from "@pushfleet/service";
import type { GatewayReport, PodGrant } from "./core/index.js";

/** Names of `ServingState` by number, as the planner has them. */
const states: readonly GatewayReport["state"][] = ["starting", "serving", "cordoned", "draining", "drained", "stopping"];

/** What a gateway says of itself, as the planner reads it. */
export function toReport(status: v1.IGatewayStatus): GatewayReport {
  return {
    state: states[status.state ?? 0] ?? "starting",
    connections: status.connections ?? 0,
    effectiveMaxConnections: status.effectiveMaxConnections ?? 0,
    handshakes: status.handshakes ?? 0,
    resumed: status.resumed ?? 0,
    reconnectsSent: status.reconnectsSent ?? 0,
    remaining: status.remaining ?? 0,
    epoch: status.epoch ?? 0,
  };
}

/** What a gateway is told of a grant. */
export function toGrant(grant: PodGrant): v1.IGrant {
  return {
    reconnectsPerSecond: grant.reconnectsPerSecond,
    deadlineMs: grant.deadlineMs,
    epoch: grant.epoch,
    stragglerGraceMs: grant.stragglerGraceMs,
  };
}
