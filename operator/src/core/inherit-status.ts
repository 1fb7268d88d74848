import type { KeptStatus, PoolMemory } from "./types.js";

/** What a pool's status tells the next leader: what of a memory cannot be found out again. */
export interface InheritedPool {
  readonly name: string;
  /** `PoolStatus.target`. Without it the surge of a rollout half-way would count as wanted. */
  readonly target?: number | undefined;
  /** The revision on which its rollout stopped itself. */
  readonly pausedRevision?: string | undefined;
}

/** What a new leader plans with first; `epoch` is its own. Status is written after the actions, so it may be one plan behind: then that plan
 *  counts as never made. A pod that it made is one more than wanted and is kept (pool-size.ts); a drain that it began is taken back, and
 *  begins again when the pool still could do without. */
export function inheritStatus(pools: readonly InheritedPool[], epoch: number): KeptStatus {
  const paused = pools.flatMap(({ name, pausedRevision }) => (pausedRevision === undefined ? [] : [[name, pausedRevision]]));
  return {
    epoch: epoch - 1,
    conditions: [],
    memory: {
      atMs: 0,
      leadingSinceMs: 0,
      quietUntilMs: 0,
      pods: {},
      pools: Object.fromEntries(pools.map((pool) => [pool.name, memoryOf(pool)])),
      pausedRevisions: Object.fromEntries(paused),
    },
  };
}

function memoryOf({ target }: InheritedPool): PoolMemory {
  return { ...(target === undefined ? {} : { target }), netArrivalsPerSecond: 0, handshakesPerSecond: 0, timeToReadyMs: [] };
}
