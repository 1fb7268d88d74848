import type { FleetSpec, PlannerSettings } from "./types.js";

/** Whether a drain can be over in time; DESIGN §7: it starts only if 2 × connections ÷ rate + settle + grace ≤ deadline. The factor 2 leaves
 *  room for stragglers, who share the rate, and for pauses. */
export interface DrainEstimate {
  readonly feasible: boolean;
  readonly neededMs: number;
  /** The smallest whole rate that would do; `undefined` when settling and grace alone take longer than the deadline. */
  readonly rateNeeded: number | undefined;
}

export function estimateDrain(
  connections: number,
  reconnectsPerSecond: number,
  drain: FleetSpec["drain"],
  settings: PlannerSettings,
): DrainEstimate {
  const fixedMs = settings.settleMs + drain.stragglerGraceMs;
  const movingMs = connections === 0 ? 0 : (2_000 * connections) / reconnectsPerSecond;
  const leftMs = drain.deadlineMs - fixedMs;
  return {
    feasible: fixedMs + movingMs <= drain.deadlineMs,
    neededMs: fixedMs + movingMs,
    rateNeeded: leftMs > 0 ? Math.max(1, Math.ceil((2_000 * connections) / leftMs)) : undefined,
  };
}

/** The sentence of DrainBlocked, with the numbers and what to change. */
export function describeInfeasible(pod: string, connections: number, drain: FleetSpec["drain"], settings: PlannerSettings): string {
  const { neededMs, rateNeeded } = estimateDrain(connections, drain.reconnectsPerSecond, drain, settings);
  const moving = `2 × ${connections} connections ÷ ${drain.reconnectsPerSecond}/s`;
  const sum = `${moving} + ${seconds(settings.settleMs)} to settle + ${seconds(drain.stragglerGraceMs)} grace`;
  const remedies = [
    ...(rateNeeded === undefined ? [] : [`raise drain.reconnectsPerSecond to ${rateNeeded}`]),
    `raise drain.deadlineSeconds to ${Math.ceil(neededMs / 1000)}`,
  ];
  return `${pod} needs ${sum} = ${seconds(neededMs)} to drain, over the deadline of ${seconds(drain.deadlineMs)}; ${remedies.join(" or ")}`;
}

function seconds(ms: number): string {
  return `${Math.ceil(ms / 1000)} s`;
}
