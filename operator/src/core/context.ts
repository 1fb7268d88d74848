import type { PodView } from "./pod-view.js";
import type { FleetSpec, Observed, PlannerMemory, PlannerSettings, PodReference, PurposeReason } from "./types.js";

/** What every decision of one plan may look at. */
export interface Context {
  readonly observed: Observed;
  readonly spec: FleetSpec;
  readonly settings: PlannerSettings;
  readonly nowMs: number;
  /** Brought up to now. */
  readonly memory: PlannerMemory;
  readonly views: readonly PodView[];
  /** Whole moves a second, at least 1. */
  readonly budgetPerSecond: number;
  /** By uid; see budget.ts. */
  readonly inUse: ReadonlyMap<string, number>;
  /** Why no grant may be given or raised now, if so. */
  readonly grantsBlockedBy: string | undefined;
  /** Clients of pods that died which are not back yet. */
  readonly clientsMissing: number;
}

/** What a pod should be told; grants.ts turns the difference from what it was told into actions. */
export interface Wish {
  readonly purpose: "serve" | "cordon" | "drain";
  readonly reason: PurposeReason;
  readonly reconnectsPerSecond: number;
  readonly deadlineMs: number;
  readonly extensions: number;
  readonly why: string;
}

export interface DrainWish {
  readonly view: PodView;
  readonly reason: PurposeReason;
  readonly why: string;
}

export interface Wait {
  readonly pod?: string | undefined;
  readonly why: string;
  readonly blockedBy: string;
}

export function serve(why: string): Wish {
  return { purpose: "serve", reason: "none", reconnectsPerSecond: 0, deadlineMs: 0, extensions: 0, why };
}

export function cordon(reason: PurposeReason, why: string): Wish {
  return { purpose: "cordon", reason, reconnectsPerSecond: 0, deadlineMs: 0, extensions: 0, why };
}

export function referenceOf({ pod }: PodView): PodReference {
  return { pod: pod.name, uid: pod.uid, version: pod.version };
}

export function connectionsOf(views: readonly PodView[]): number {
  return views.reduce((sum, view) => sum + view.connections, 0);
}
