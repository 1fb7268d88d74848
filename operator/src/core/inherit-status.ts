import { inheritedMoves } from "./forced-moves.js";
import type { KeptStatus, PoolMemory } from "./types.js";

/** What a fleet's status tells the next leader: what of a memory cannot be found out again. */
export interface InheritedStatus {
  readonly pools: readonly InheritedPool[];
  /** `FleetStatus.connections` and `FleetStatus.forcedConnections`, of one plan. */
  readonly connections: number;
  readonly forcedConnections: number;
}

export interface InheritedPool {
  readonly name: string;
  /** `PoolStatus.target`. Without it the surge of a rollout half-way would count as wanted. */
  readonly target?: number | undefined;
  /** The revision on which its rollout stopped itself. */
  readonly pausedRevision?: string | undefined;
}

/** What a new leader plans with first, at `nowMs`; `epoch` is its own. Status is written after the actions, so it may be one plan behind: then
 *  that plan counts as never made. A pod that it made is one more than wanted and is kept (pool-size.ts); a drain that it began is taken back, and
 *  begins again when the pool still could do without. Its numbers may be a few seconds older: clients that came back meanwhile are seen when the
 *  gateways report. */
export function inheritStatus({ pools, connections, forcedConnections }: InheritedStatus, epoch: number, nowMs: number): KeptStatus {
  const paused = pools.flatMap(({ name, pausedRevision }) => (pausedRevision === undefined ? [] : [[name, pausedRevision]]));
  const forced = inheritedMoves(forcedConnections, connections, nowMs);
  return {
    epoch: epoch - 1,
    conditions: [],
    memory: {
      atMs: 0,
      leadingSinceMs: 0,
      quietUntilMs: 0,
      pods: {},
      pools: Object.fromEntries(pools.map((pool) => [pool.name, memoryOf(pool)])),
      ...(forced === undefined ? {} : { forced }),
      pausedRevisions: Object.fromEntries(paused),
    },
  };
}

function memoryOf({ target }: InheritedPool): PoolMemory {
  return { ...(target === undefined ? {} : { target }), netArrivalsPerSecond: 0, handshakesPerSecond: 0, timeToReadyMs: [] };
}
