/** What filling needs of a pool. */
export interface PoolBounds {
  readonly minReplicas: number;
  readonly maxReplicas: number;
}

/** `spec.replicas` over the pools, in their order: each to its minReplicas first, then each up to its maxReplicas. What does not fit between
 *  the sums is cut to them: the answer is never below a pool's minimum nor above its maximum. */
export function fillPools(pools: readonly PoolBounds[], replicas: number): readonly number[] {
  let left = replicas - pools.reduce((sum, pool) => sum + pool.minReplicas, 0);
  return pools.map(({ minReplicas, maxReplicas }) => {
    const more = Math.max(0, Math.min(left, maxReplicas - minReplicas));
    left -= more;
    return minReplicas + more;
  });
}
