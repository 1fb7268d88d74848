/** Where `extra` connections end up when each goes to the pod with the least, as the balancer does: the loads after, in the order given.
 *  Fractions are fine, it is an estimate. Nothing changes when there is no pod. */
export function spreadOnLeastLoaded(loads: readonly number[], extra: number): readonly number[] {
  if (loads.length === 0 || extra <= 0) return loads;
  const level = waterLevel(
    [...loads].sort((a, b) => a - b),
    extra,
  );
  return loads.map((load) => Math.max(load, level));
}

/** How high the lowest loads rise: the first k of them, filled to one level, take `extra`. */
function waterLevel(ascending: readonly number[], extra: number): number {
  let sum = extra;
  let level = 0;
  for (const [index, load] of ascending.entries()) {
    if (index > 0 && level <= load) break;
    sum += load;
    level = sum / (index + 1);
  }
  return level;
}
