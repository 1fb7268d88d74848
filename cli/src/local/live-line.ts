import { describeNext, type FleetStatus } from "@pushfleet/operator";

export interface Live {
  readonly status: FleetStatus | undefined;
  readonly deliveriesPerSecond: number;
}

/** One line a second: gateways and their states, connections, deliveries/s, the plan's next action and why. */
export function describeLive({ status, deliveriesPerSecond }: Live): string {
  if (status === undefined) return "starting";
  const states = Object.entries(status.podsByState).filter(([, count]) => count > 0);
  const gateways = states.map(([state, count]) => `${count} ${state}`).join(", ") || "none";
  const rate = deliveriesPerSecond.toFixed(deliveriesPerSecond < 10 ? 1 : 0);
  return `gateways: ${gateways} | connections: ${status.connections}/${status.capacity} | deliveries/s: ${rate} | ${describeNext(status)}`;
}
