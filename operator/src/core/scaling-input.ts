import type { DomainMember } from "./failure-domain.js";

/** What the autoscaler looks at, for one pool. */

/** Above this share of what its pods accept a second, a pool grows. */
export const handshakeUtilisation = 0.7;

export interface ScalingPod extends DomainMember {
  readonly uid: string;
  readonly accepting: boolean;
  /** Will take connections when it is ready. */
  readonly starting: boolean;
  /** Cᵢ. */
  readonly capacity: number;
  /** 0.9 × what it can hold. */
  readonly slots: number;
}

export interface ScalingInput {
  readonly minReplicas: number;
  readonly maxReplicas: number;
  /** Today's target; `pods.length` is less while some are missing. */
  readonly target: number;
  /** Pods that are not being drained. */
  readonly pods: readonly ScalingPod[];
  /** Pods being drained that could be kept: restored before any is created. */
  readonly restorable: readonly ScalingPod[];
  /** Cᵢ of a pod that does not exist yet. */
  readonly newPodCapacity: number;
  /** Connections on pods being drained. */
  readonly stillDraining: number;
  /** This pool's share of the connections of pools that are not in the spec: nobody else makes room for them. */
  readonly ofRemovedPools: number;
  readonly netArrivalsPerSecond: number;
  readonly handshakesPerSecond: number;
  /** What one pod accepts. */
  readonly podHandshakesPerSecond: number;
  readonly timeToReadyMs: number;
  /** Of the pods that should report. */
  readonly reporting: number;
  readonly expected: number;
  /** Why this is no time to shrink, if it is not. */
  readonly unsettled: string | undefined;
  readonly shrinkableSinceMs: number | undefined;
  readonly stabilizationMs: number;
  readonly nowMs: number;
}
