import { headroomOf, headroomWanted } from "./headroom.js";
import { handshakeUtilisation, type ScalingInput, type ScalingPod } from "./scaling-input.js";
import { spreadOnLeastLoaded } from "./spread.js";

/** The pod whose end moves the fewest people: least connections, then the highest slot's name, so that two operators choose the same. */
export function leastLoaded<P extends { readonly name: string; readonly connections: number }>(pods: readonly P[]): P | undefined {
  return pods.reduce<P | undefined>((best, pod) => (best === undefined || isLess(pod, best) ? pod : best), undefined);
}

function isLess(
  a: { readonly name: string; readonly connections: number },
  b: { readonly name: string; readonly connections: number },
): boolean {
  return a.connections === b.connections ? a.name > b.name : a.connections < b.connections;
}

/** Whether the pods without `victim` would hold its connections too, none above its capacity, and still have the headroom G that such a
 *  fleet would need. Measured after the move, with the loads it leads to: otherwise the pool would grow again at once. */
export function couldDoWithout(input: ScalingInput, victim: ScalingPod | undefined): boolean {
  const others = input.pods.filter((pod) => pod.accepting && pod.uid !== victim?.uid);
  if (others.length === 0) return false;
  const loads = spreadOnLeastLoaded(
    others.map((pod) => pod.connections),
    victim?.connections ?? 0,
  );
  const after = others.map((pod, index) => ({ ...pod, connections: loads[index] ?? 0 }));
  if (after.some((pod) => pod.connections > pod.capacity)) return false;
  if (input.handshakesPerSecond > handshakeUtilisation * input.podHandshakesPerSecond * others.length) return false;
  return headroomOf(after) >= headroomWanted({ ...input, pods: after, podCapacity: input.newPodCapacity }).connections;
}

/** Whether they would hold its connections at all, reserve or not: asked when the user, not the load, wants fewer pods. */
export function othersHold(pods: readonly ScalingPod[], victim: ScalingPod): boolean {
  const others = pods.filter((pod) => pod.accepting && pod.uid !== victim.uid);
  const loads = spreadOnLeastLoaded(
    others.map((pod) => pod.connections),
    victim.connections,
  );
  return victim.connections === 0 || (others.length > 0 && others.every((pod, index) => (loads[index] ?? 0) <= pod.slots));
}
