import { type Context, connectionsOf, cordon, type DrainWish, serve, type Wait, type Wish } from "./context.js";
import type { PodView } from "./pod-view.js";
import { neverServed } from "./removal.js";
import { replaceOld } from "./rollout.js";

/** Pods whose pool is no longer in the spec: their clients move to the other pools, as those have room, for which they grow (scaling-input.ts). */
export interface RemovedPools {
  readonly wishes: ReadonlyMap<string, Wish>;
  readonly running: readonly DrainWish[];
  readonly candidates: readonly DrainWish[];
  readonly unserved: readonly { readonly view: PodView; readonly why: string }[];
  readonly waits: readonly Wait[];
}

export function planRemovedPools(context: Context): RemovedPools {
  const pods = context.views.filter((view) => view.mustLeave === "poolRemoved");
  const unserved = pods.filter((view) => neverServed(view, context));
  const draining = pods.filter((view) => view.pod.grant?.purpose === "drain" && !unserved.includes(view));
  const old = pods.filter((view) => !draining.includes(view) && !unserved.includes(view));
  const refuge = context.views.filter((view) => view.mustLeave === undefined && !view.dead);
  const step = old.length === 0 ? undefined : replaceOld(context, { ...quietPool, current: [], old, draining, refuge });
  const wishFor = ({ pod }: PodView): Wish => {
    const cordoned = step?.cordonMore === true || (pod.grant?.purpose === "cordon" && step?.keepCordoned === true);
    return cordoned ? cordon("poolRemoved", step.why) : serve(step?.blockedBy ?? "it is needed");
  };
  const drain = (view: PodView): DrainWish => ({
    view,
    reason: "poolRemoved",
    why: step?.why ?? `pool ${view.pod.pool} is not in the spec`,
  });
  return {
    wishes: new Map([
      ...old.map((view): [string, Wish] => [view.pod.uid, wishFor(view)]),
      ...draining.map((view): [string, Wish] => [view.pod.uid, cordon("poolRemoved", "its pool is not in the spec")]),
    ]),
    running: draining.map(drain),
    candidates: step?.victim === undefined ? [] : [drain(step.victim)],
    unserved: unserved.map((view) => ({ view, why: `pool ${view.pod.pool} is not in the spec` })),
    waits: step?.blockedBy === undefined ? [] : [{ why: `${step.why}; ${connectionsOf(old)} connections`, blockedBy: step.blockedBy }],
  };
}

/** Nothing is created for them, and their arrivals are those of the other pools. */
const quietPool = { target: 0, maxSurge: 0, podCapacity: 0, netArrivalsPerSecond: 0, handshakesPerSecond: 0, timeToReadyMs: 0 } as const;
