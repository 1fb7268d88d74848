import {
  type AcceptedGrant,
  type Action,
  acceptGrant,
  type FleetStatus,
  type KeptStatus,
  type Observed,
  type ObservedPod,
  type PlannerSettings,
  plan,
} from "../../operator/src/core/index.js";
import type { SimulatedWorld } from "./simulated-world.js";

/** One operator process on a simulated world: it keeps the contracts of `Observed` and `Action` and no more than those. */
export class SimulatedOperator {
  readonly epoch: number;
  private readonly world: SimulatedWorld;
  private readonly settings: Partial<PlannerSettings>;
  private readonly random: () => number;
  private readonly accepted = new Map<string, AcceptedGrant>();
  /** Its own confirmed writes since its cache stands still, laid over it. */
  private readonly overlay = new Map<string, Pick<ObservedPod, "grant" | "version">>();
  private frozen: Pick<Observed, "pods" | "spec" | "deleting"> | undefined;
  private readonly found: KeptStatus | undefined;
  /** Of its last plan. */
  status: FleetStatus | undefined;
  /** How often a call or a write fails, half of the failed calls having arrived all the same. */
  failureShare = 0;

  constructor(options: {
    readonly world: SimulatedWorld;
    readonly epoch: number;
    readonly settings: Partial<PlannerSettings>;
    readonly random: () => number;
    readonly status: KeptStatus | undefined;
  }) {
    this.world = options.world;
    this.epoch = options.epoch;
    this.settings = options.settings;
    this.random = options.random;
    this.found = options.status;
  }

  /** What the next one would find, if nothing was lost. */
  get kept(): KeptStatus | undefined {
    return this.status ?? this.found;
  }

  /** From now on it sees no change but its own: a watch that hangs. */
  freeze(): void {
    // What the cache shows may be newer than its last confirmed write: one that arrived and was told to have failed.
    this.overlay.clear();
    this.frozen = { pods: this.observePods(), spec: this.world.spec, deleting: this.world.deleting };
  }

  /** Observes, plans, does the first `actionsMax` actions (a crash comes then), and keeps its status. */
  reconcile(actionsMax = Number.MAX_SAFE_INTEGER): readonly Action[] {
    const observed = this.observe();
    const { actions, status } = plan(observed, this.world.nowMs);
    this.status = status;
    const failed = new Set<string>();
    const versions = new Map<string, string>();
    for (const action of actions.slice(0, actionsMax)) {
      if (action.kind === "wait" || action.kind === "createPod") this.world.apply(action);
      else if (!failed.has(action.uid)) {
        const version = versions.get(action.uid) ?? action.version;
        if (!this.attempt({ ...action, version }, versions)) failed.add(action.uid);
      }
    }
    return actions;
  }

  observe(): Observed {
    return {
      spec: this.frozen?.spec ?? this.world.spec,
      deleting: this.frozen?.deleting ?? this.world.deleting,
      epoch: this.epoch,
      pods:
        this.frozen === undefined
          ? this.observePods()
          : this.frozen.pods.map((pod) => ({ ...pod, ...this.overlay.get(pod.uid), accepted: this.accepted.get(pod.uid) })),
      status: this.kept,
      settings: this.settings,
    };
  }

  private observePods(): readonly ObservedPod[] {
    return this.world.observe().map((pod) => ({ ...pod, accepted: this.accepted.get(pod.uid) }));
  }

  private attempt(action: Exclude<Action, { kind: "wait" | "createPod" }>, versions: Map<string, string>): boolean {
    const fails = this.random() < this.failureShare;
    if (fails && this.random() < 0.5) return false;
    if (!this.world.apply(action) || fails) return false;
    const version = String(this.world.pods.get(action.uid)?.version ?? action.version);
    if (action.kind === "writeGrant") {
      versions.set(action.uid, version);
      this.overlay.set(action.uid, { grant: action.grant, version });
    } else if (action.kind !== "deletePod") {
      this.accepted.set(action.uid, acceptGrant(this.accepted.get(action.uid), action.grant, this.world.nowMs));
    }
    return true;
  }
}
