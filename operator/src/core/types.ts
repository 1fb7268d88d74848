/** The planner's words. `observe` fills an `Observed`, `plan` answers a `Plan`, `apply` does its actions, then again. Times are milliseconds
 *  since the epoch (`…AtMs`, `nowMs`) or durations (`…Ms`), rates are a second. Everything is a plain value that survives JSON. */

/** What the user asked for, parsed and with its defaults: seconds of the manifest are milliseconds here. `fleet-spec.ts` has the defaults. */
export interface FleetSpec {
  /** Name of the PushGateway: the first part of every pod's name. */
  readonly name: string;
  readonly pools: readonly PoolSpec[];
  /** `gateway.limits.handshakesPerSecond`: what one pod accepts. */
  readonly handshakesPerSecond: number;
  readonly autoscaling: {
    /** Builtin: the planner decides. External and None: each pool has as many pods as its `replicas` (kept within min and max). */
    readonly mode: "Builtin" | "External" | "None";
    /** How long a fleet must be able to do without a pod before it loses one. */
    readonly stabilizationMs: number;
  };
  readonly drain: {
    /** The fleet's budget of voluntary moves (invariant I3). */
    readonly reconnectsPerSecond: number;
    /** How long one pod may take to drain. */
    readonly deadlineMs: number;
    /** What a connection has, once asked to move, before its gateway closes it. */
    readonly stragglerGraceMs: number;
  };
  readonly rollout: {
    /** Pods above the target while pods of an older revision are replaced; at least 1 is used. */
    readonly maxSurge: number;
    /** How long a pod of the new revision must serve before an old one makes way for it. */
    readonly soakMs: number;
    /** Above this share of failed reconnects the rollout stops by itself. */
    readonly maxReconnectFailurePercent: number;
    readonly paused: boolean;
  };
  /** Plan and show, do nothing; but close a fleet that has been deleted. */
  readonly dryRun: boolean;
}

export interface PoolSpec {
  readonly name: string;
  /** Of the pod template: moves only with the spec. A pod of another revision is replaced. `revision.ts` makes one. */
  readonly revision: string;
  /** At least 1. */
  readonly minReplicas: number;
  readonly maxReplicas: number;
  /** Connections a pod should have at most; above it the pool grows. */
  readonly softConnections: number;
  /** Connections a pod accepts at most, as far as its limits allow (`GatewayReport.effectiveMaxConnections`). */
  readonly hardConnections: number;
  /** Only with autoscaling External or None: how many pods; default `minReplicas`. */
  readonly replicas?: number | undefined;
}

/** The world at one moment. Contract of `observe`: a pod is never older than this process's own confirmed writes to it (a cache needs an
 *  overlay); how old it may be compared with writes of *another* operator does not matter (fencing.ts). */
export interface Observed {
  readonly spec: FleetSpec;
  /** The fleet has been deleted: close it, create nothing. */
  readonly deleting: boolean;
  /** Transitions of the operator's lease, ≥ 1: each leader's is higher than that of every leader before it. Local mode: 1. A world whose
   *  lease can be lost (somebody deletes it) starts again above the highest epoch written on a pod: a planner with a lower one does nothing. */
  readonly epoch: number;
  /** Who leads, another name for each process: tells apart two that lead by Leases of their own and happen to have the same epoch. A world that
   *  finds itself in that (`rivalOf`) raises its epoch before it plans. Absent where there can be only one. */
  readonly leader?: string | undefined;
  /** All pods of the fleet, of any pool, revision and state, in any order. */
  readonly pods: readonly ObservedPod[];
  /** What the last `plan` returned, or what the next leader found of it (`inheritStatus`). Losing it is safe: windows are waited for again,
   *  averages start again; but what was ordered and what is surge the pods alone do not tell. */
  readonly status: KeptStatus | undefined;
  /** Facts of this world that differ from `defaultSettings` (settings.ts); local mode: `{ timeToReadyMs: 2000 }`. */
  readonly settings?: Partial<PlannerSettings> | undefined;
  /** Reconnects that pods of the rollout's revision refused or broke, in the last minutes; stops a rollout. Absent: no such signal. */
  readonly reconnectFailures?: { readonly attempted: number; readonly failed: number } | undefined;
}

export interface PlannerSettings {
  /** Stands for p95 time-to-ready until five pods have been seen getting ready. */
  readonly timeToReadyMs: number;
  /** Half-life of the averages of arrivals and handshakes. */
  readonly arrivalHalfLifeMs: number;
  /** Time a cordoned gateway waits for its last handshakes before the first `reconnect`, at most. */
  readonly settleMs: number;
  /** Nothing is granted for this long after a grant may still have been in use elsewhere: a second and what the network adds. */
  readonly releaseMs: number;
  /** A grant is renewed this often; a gateway pauses without. */
  readonly renewMs: number;
  /** Voluntary moves wait no longer than this for clients of a pod that died. */
  readonly forcedPauseMaxMs: number;
  /** A pod without a report for less than this is not called lost, and so is any pod for that long after an operator took over. */
  readonly reportGraceMs: number;
}

/** One gateway pod as its world sees it. */
export interface ObservedPod {
  /** Deterministic, `podName(fleet, pool, slot, revision)`: creating what exists is done already. */
  readonly name: string;
  /** Tells this pod from an earlier one of its name. Precondition of every write. */
  readonly uid: string;
  /** Changes with every write to the pod and whenever `phase`, `ready` or `terminating` changes. Precondition of `writeGrant` and
   *  `deletePod`: Kubernetes' resourceVersion. */
  readonly version: string;
  readonly pool: string;
  readonly slot: number;
  readonly revision: string;
  readonly createdAtMs: number;
  /** Failure domain. Absent: the pod is a node of its own. */
  readonly node?: string | undefined;
  readonly zone?: string | undefined;
  /** pending: no process runs (not yet, or between two starts), or one starts over and over and never was accepting. gone: the world is sure
   *  that its process has ended for good (Failed, Succeeded, node deleted). */
  readonly phase: "pending" | "running" | "gone";
  /** How it ended, in the world's words ("Evicted (The node was low on resource: memory.)"); absent while it is not gone, or unknown. */
  readonly ended?: string | undefined;
  /** The world's readiness (`/readyz` 200, the Ready condition): the balancer sends it new connections. */
  readonly ready: boolean;
  /** Since when it is `ready` without a break, as the world remembers for leaders that come later. Absent: it is not, or nobody knows. */
  readonly readySinceMs?: number | undefined;
  /** Clients have been let in once, to this process or an earlier one of the pod, as the world remembers for leaders that come later. Absent:
   *  it does not know. */
  readonly hasAccepted?: boolean | undefined;
  /** It was deleted (by us or not) or got a SIGTERM, and its process may still run. */
  readonly terminating: boolean;
  /** Why it has to leave its place though nobody deleted it (`node worker-3 is unschedulable`): it is replaced, then drained. */
  readonly leaving?: string | undefined;
  /** Annotation `pushfleet.dev/grant`, parsed by `parseGrant`; absent when there is none or it makes no sense. */
  readonly grant?: PodGrant | undefined;
  /** What this leader writes on it is refused (a policy), and so would be what another one writes. Absent: no. */
  readonly refusesGrants?: boolean | undefined;
  /** The last grant this gateway has accepted from *this* operator process; absent after a start. */
  readonly accepted?: AcceptedGrant | undefined;
  /** Absent: its status stream is silent for 15 s, or never began. */
  readonly report?: GatewayReport | undefined;
}

/** From `WatchStatus` (GatewayStatus), summed over the pod's workers. Totals count from the start of the process. */
export interface GatewayReport {
  readonly state: "starting" | "serving" | "cordoned" | "draining" | "drained" | "stopping";
  readonly connections: number;
  readonly effectiveMaxConnections: number;
  /** Accepted handshakes, resumed ones included. */
  readonly handshakes: number;
  /** Handshakes with a valid `resume`: moved, not new. */
  readonly resumed: number;
  /** `reconnect` frames sent. */
  readonly reconnectsSent: number;
  /** Connections not yet asked to move. */
  readonly remaining: number;
  /** The highest epoch it has seen. */
  readonly epoch: number;
}

/** What the operator wants of a pod, written on the pod (annotation `pushfleet.dev/grant`, JSON) *before* the gateway is told. It is the
 *  planner's memory of budgets: a rate counts as in use from this write on, whatever happens to the operator. */
export interface PodGrant {
  /** serve: take connections. cordon: keep them, take no new ones. drain: move them away. */
  readonly purpose: "serve" | "cordon" | "drain";
  /** 0 with serve and cordon, and with a drain that is paused. A whole number. */
  readonly reconnectsPerSecond: number;
  /** A rate of an earlier grant that the gateway may still be using: it counts until the gateway has accepted this grant (same epoch and
   *  serial) and `releaseMs` have passed. 0: none. */
  readonly heldPerSecond: number;
  /** With drain: when it must be over. Otherwise 0. */
  readonly deadlineMs: number;
  readonly stragglerGraceMs: number;
  /** Of the operator that wrote it. */
  readonly epoch: number;
  /** One more at each write to this pod. */
  readonly serial: number;
  /** Since when it has this purpose. */
  readonly sinceMs: number;
  /** How often the deadline was put off though the drain was not paused. */
  readonly extensions: number;
  readonly reason: PurposeReason;
  /** Who wrote it (`Observed.leader`). */
  readonly leader?: string | undefined;
}

/** scaleDown: the pool does not need it. rollout: older revision. leaving: its node. poolRemoved: its pool is not in the spec any more.
 *  fleetDeleted: close clients with 1013, there is nowhere to go. none: serving. */
export type PurposeReason = "none" | "scaleDown" | "rollout" | "leaving" | "poolRemoved" | "fleetDeleted";

export interface AcceptedGrant {
  readonly epoch: number;
  readonly serial: number;
  /** When it was accepted for the first time, and the last time. Operator's clock, when the reply was received. */
  readonly atMs: number;
  readonly renewedAtMs: number;
}

export type PodState = "Pending" | "Warming" | "Serving" | "Cordoned" | "Draining" | "Drained" | "Terminating";

/** Which pod an action is about, with the preconditions of its write. */
export interface PodReference {
  readonly pod: string;
  readonly uid: string;
  readonly version: string;
}

/** What `apply` has to do, in this order. Contract: (1) an action that fails cancels the later actions *for that pod* in this plan, nothing
 *  else; (2) a write whose precondition (uid, version) does not hold has failed; (3) `writeGrant` gives the pod a new version, which the later
 *  actions of this plan use; (4) actions may be cut off anywhere (a crash): the next plan goes on from what is observed. */
export type Action =
  | {
      readonly kind: "createPod";
      readonly pod: string;
      readonly pool: string;
      readonly slot: number;
      readonly revision: string;
      /** Its first annotation. */
      readonly grant: PodGrant;
      readonly why: string;
    }
  /** Delete with both preconditions. AlreadyExists and NotFound elsewhere, a conflict here, are "not done", never an error. */
  | ({ readonly kind: "deletePod"; readonly reason: DeleteReason; readonly why: string } & PodReference)
  /** Write the annotation. */
  | ({ readonly kind: "writeGrant"; readonly grant: PodGrant; readonly why: string } & PodReference)
  /** Tell the gateway. cordon, startDrain, renewDrain: `Drain(grant)`; uncordon, abortDrain: `AbortDrain(epoch)`. On acceptance the world
   *  remembers `accepted` (accept-grant.ts); a refusal or an unknown outcome changes nothing it remembers. */
  | ({
      readonly kind: "cordon" | "startDrain" | "renewDrain" | "uncordon" | "abortDrain";
      readonly grant: PodGrant;
      readonly why: string;
    } & PodReference)
  /** Nothing to do: something that should happen cannot yet. */
  | {
      readonly kind: "wait";
      readonly pod?: string | undefined;
      readonly why: string;
      readonly blockedBy: string;
    };

/** gone: the world says its process ended. drained: no connection, and its grant is released. neverServed: it never had a connection.
 *  deadlinePassed: deadline and grace are over (I4 allows it). */
export type DeleteReason = "gone" | "drained" | "neverServed" | "deadlinePassed";

export interface Plan {
  /** Empty with `dryRun`, unless the fleet has been deleted, and for an operator that was deposed. */
  readonly actions: readonly Action[];
  readonly status: FleetStatus;
}

/** `status` of the PushGateway; `memory` may be kept elsewhere, or lost. */
export interface FleetStatus {
  /** Closed: deleted and no pod left: the finalizer may go. */
  readonly phase: "Running" | "Closing" | "Closed";
  readonly epoch: number;
  readonly conditions: readonly Condition[];
  readonly pools: readonly PoolStatus[];
  /** In the order of their names. */
  readonly pods: readonly PodStatus[];
  readonly podsByState: Readonly<Record<PodState, number>>;
  /** Over all pods, the last known figure for those that do not report. */
  readonly connections: number;
  /** Σ Cᵢ over pods that take connections. */
  readonly capacity: number;
  readonly budget: BudgetStatus;
  /** Why voluntary moves pause, while they do. */
  readonly forced?: string | undefined;
  /** Clients that lost their gateway by what was not ours to choose, and are not back. */
  readonly forcedConnections: number;
  /** The next actions, the most telling first; also what `dryRun` would do. */
  readonly plan: readonly PlannedStep[];
  readonly memory: PlannerMemory;
}

/** What the next plan has to know of the one before. */
export type KeptStatus = Pick<FleetStatus, "epoch" | "conditions" | "memory">;

export interface BudgetStatus {
  readonly reconnectsPerSecond: number;
  readonly inUse: number;
  readonly holders: readonly { readonly pod: string; readonly reconnectsPerSecond: number }[];
}

export interface PlannedStep {
  readonly action: Action["kind"];
  /** A pod's name, or nothing for the fleet. */
  readonly pod?: string | undefined;
  readonly why: string;
  readonly blockedBy?: string | undefined;
}

export interface PoolStatus {
  readonly name: string;
  /** How many pods it should have, surge and draining ones not counted. */
  readonly target: number;
  /** Pods with `counted`. */
  readonly replicas: number;
  /** Pods that take connections. */
  readonly accepting: number;
  /** Pods of the spec's revision. */
  readonly updated: number;
  readonly connections: number;
  readonly capacity: number;
  /** Σ max(0, Cᵢ − cᵢ), and the G it is held against. */
  readonly headroom: number;
  readonly headroomWanted: number;
  /** The autoscaler's sentence. */
  readonly scaling: string;
}

export interface PodStatus {
  readonly name: string;
  readonly pool: string;
  readonly slot: number;
  readonly revision: string;
  readonly state: PodState;
  /** One of the pool's `replicas` (label `pushfleet.dev/counted`): not surge, not draining, not dead. */
  readonly counted: boolean;
  readonly reporting: boolean;
  readonly accepting: boolean;
  readonly connections: number;
  readonly capacity: number;
  readonly reconnectsPerSecond: number;
  readonly reason: PurposeReason;
}

export interface Condition {
  readonly type: "Available" | "Progressing" | "Degraded" | "ScalingActive" | "DrainBlocked" | "RolloutPaused";
  readonly status: "True" | "False" | "Unknown";
  /** One CamelCase word. */
  readonly reason: string;
  /** A sentence with the numbers, for a person. */
  readonly message: string;
  readonly lastTransitionMs: number;
}

/** What `plan` has to know of the past. Every part may be lost. */
export interface PlannerMemory {
  /** When this memory was true. */
  readonly atMs: number;
  /** First plan of this epoch. */
  readonly leadingSinceMs: number;
  /** Before this no grant is given or raised: one may still be in use that is not written on any pod. */
  readonly quietUntilMs: number;
  /** By uid. */
  readonly pods: Readonly<Record<string, PodMemory>>;
  /** By name. */
  readonly pools: Readonly<Record<string, PoolMemory>>;
  readonly forced?: ForcedMoves | undefined;
  /** The rollout stopped itself on this revision (by pool). */
  readonly pausedRevisions: Readonly<Record<string, string>>;
}

export interface PodMemory {
  readonly name: string;
  readonly pool: string;
  /** At the last report. */
  readonly connections: number;
  readonly handshakes: number;
  readonly resumed: number;
  readonly reportedAtMs: number;
  /** Since when it has taken connections without a break. */
  readonly acceptingSinceMs?: number | undefined;
  /** It has been ready once, as far as this leader or the pod itself remembers. */
  readonly wasReady: boolean;
  readonly drainedSinceMs?: number | undefined;
  /** Since when no process of it has run, as far as its world knew, without a break. */
  readonly pendingSinceMs?: number | undefined;
  /** Its end has been noticed. */
  readonly gone: boolean;
}

export interface PoolMemory {
  /** The autoscaler's last decision; absent for a pool that is new or whose memory was lost. */
  readonly target?: number | undefined;
  /** Pods (uid) being drained for which `target` was lowered already; absent: for all of them. */
  readonly shrinking?: readonly string[] | undefined;
  /** Averages a second; net arrivals do not count resumed connections and may be negative. */
  readonly netArrivalsPerSecond: number;
  readonly handshakesPerSecond: number;
  /** The newest time-to-ready samples. */
  readonly timeToReadyMs: readonly number[];
  readonly startFailures?: StartFailures | undefined;
  /** Since when the pool could do without a pod. */
  readonly shrinkableSinceMs?: number | undefined;
}

/** Pods that ended before they were ready, one plan after the other. */
export interface StartFailures {
  readonly count: number;
  readonly lastMs: number;
}

/** Moves that were not ours to choose. */
export interface ForcedMoves {
  /** In words, for people. */
  readonly pods: readonly string[];
  readonly sinceMs: number;
  /** The last time one of those pods still had connections, or was found gone. */
  readonly lastSeenMs: number;
  /** Their clients are back once the fleet has this many connections again. */
  readonly connectionsBefore: number;
}
