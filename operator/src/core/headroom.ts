import { type DomainMember, largestFailureDomain } from "./failure-domain.js";

/** G of DESIGN §7: how many connections the accepting pods must be able to take on top of what they have, and why. */
export interface HeadroomWanted {
  readonly connections: number;
  /** `2000 for new arrivals, 667 for the loss of node a, 0 still draining`. */
  readonly because: string;
}

export interface HeadroomDemand {
  /** Σ over what would have to move. */
  readonly pods: readonly DomainMember[];
  /** Cᵢ of one pod. */
  readonly podCapacity: number;
  readonly netArrivalsPerSecond: number;
  readonly timeToReadyMs: number;
  /** Connections on pods that are being drained. */
  readonly stillDraining: number;
  /** Connections that will come from pools that are not in the spec. */
  readonly ofRemovedPools: number;
}

/** G = max(10 % of a pod, max(0, net arrivals) × time-to-ready + largest failure domain + still draining + of removed pools). */
export function headroomWanted(demand: HeadroomDemand): HeadroomWanted {
  const least = podCapacityShare(demand.podCapacity);
  const arrivals = arrivalsUntilReady(demand.netArrivalsPerSecond, demand.timeToReadyMs);
  const domain = largestFailureDomain(demand.pods);
  const sum = arrivals + domain.connections + demand.stillDraining + demand.ofRemovedPools;
  if (sum <= least) return { connections: least, because: `${least}, 10 % of a pod` };
  const parts = [
    ...(arrivals > 0 ? [`${arrivals} for arrivals until a new pod is ready`] : []),
    ...(domain.connections > 0 ? [`${Math.ceil(domain.connections)} for the loss of ${domain.name}`] : []),
    ...(demand.stillDraining > 0 ? [`${demand.stillDraining} still draining`] : []),
    ...(demand.ofRemovedPools > 0 ? [`${demand.ofRemovedPools} of pools that are not in the spec`] : []),
  ];
  return { connections: sum, because: parts.join(" + ") };
}

/** What will arrive before a pod ordered now is ready. */
export function arrivalsUntilReady(netArrivalsPerSecond: number, timeToReadyMs: number): number {
  return Math.ceil((Math.max(0, netArrivalsPerSecond) * timeToReadyMs) / 1000);
}

/** Room that is kept even when nothing arrives. */
export function podCapacityShare(podCapacity: number): number {
  return Math.ceil(podCapacity / 10);
}

/** Σ max(0, Cᵢ − cᵢ): what is above its capacity takes nothing, and takes nothing away. */
export function headroomOf(pods: readonly { readonly capacity: number; readonly connections: number }[]): number {
  return pods.reduce((sum, pod) => sum + Math.max(0, pod.capacity - pod.connections), 0);
}
