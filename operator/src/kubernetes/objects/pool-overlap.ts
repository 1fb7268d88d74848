import type { Pool } from "./fleet.js";

/** Pairs of pools that may run on the same nodes: one's nodeSelector asks for no more than the other's, and no taint that only the narrower one
 *  tolerates keeps the wider one away. What nodes there are is not looked at: selectors that merely might meet on some node do not count. */
export function poolsOnSameNodes(pools: readonly Pool[]): readonly (readonly [Pool, Pool])[] {
  return pools.flatMap((one, index) =>
    pools.slice(index + 1).flatMap((other) => (isOverlapping(one, other) ? [[one, other] as const] : [])),
  );
}

function isOverlapping(one: Pool, other: Pool): boolean {
  const oneIsWider = isSubset(one.nodeSelector ?? {}, other.nodeSelector ?? {});
  const otherIsWider = isSubset(other.nodeSelector ?? {}, one.nodeSelector ?? {});
  if (oneIsWider && otherIsWider) return !(isKeptAway(one, other) && isKeptAway(other, one));
  if (oneIsWider) return !isKeptAway(one, other);
  return otherIsWider && !isKeptAway(other, one);
}

/** Whether the nodes of `narrow` can be presumed to have a taint that `wide` does not tolerate. */
function isKeptAway(wide: Pool, narrow: Pool): boolean {
  return (narrow.tolerations ?? []).some((wanted) => {
    if (wanted.effect === "PreferNoSchedule" || wanted.key === undefined) return false;
    return !(wide.tolerations ?? []).some((given) => covers(given, wanted));
  });
}

type Toleration = NonNullable<Pool["tolerations"]>[number];

/** Whether `given` tolerates every taint that `wanted` is meant for. */
function covers(given: Toleration, wanted: Toleration): boolean {
  const effectFits = given.effect === undefined || given.effect === wanted.effect;
  if (given.key === undefined) return effectFits && given.operator === "Exists";
  if (!effectFits || given.key !== wanted.key) return false;
  return given.operator === "Exists" || (wanted.operator !== "Exists" && (given.value ?? "") === (wanted.value ?? ""));
}

function isSubset(small: Readonly<Record<string, string>>, large: Readonly<Record<string, string>>): boolean {
  return Object.entries(small).every(([label, value]) => large[label] === value);
}
