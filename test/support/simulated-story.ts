import {
  type FleetSpec,
  type FleetStatus,
  type InheritedStatus,
  inheritStatus,
  type KeptStatus as PlannedBefore,
  type PlannerSettings,
} from "../../operator/src/core/index.js";
import { SimulatedOperator } from "./simulated-operator.js";
import { SimulatedWorld, sliceMs } from "./simulated-world.js";

/** Something that happens to a fleet. `pick` chooses a pod (modulo how many there are). */
export type StoryEvent =
  | { readonly kind: "load"; readonly count: number }
  | { readonly kind: "crash"; readonly pick: number; readonly trace: boolean }
  | { readonly kind: "restart" | "evict" | "leaving" | "silence"; readonly pick: number; readonly seconds: number }
  | { readonly kind: "edit"; readonly edit: SpecEdit }
  /** The operator dies after `actions` actions of a plan; the next one starts `seconds` later with what it finds. */
  | { readonly kind: "operatorCrash"; readonly actions: number; readonly seconds: number; readonly status: KeptStatus }
  /** Another operator takes over while this one believes to lead for `seconds` more; `blind`: it sees no change but its own. */
  | { readonly kind: "takeOver"; readonly seconds: number; readonly blind: boolean; readonly status: KeptStatus }
  | { readonly kind: "failures"; readonly share: number };

/** Of the operator before: what it returned last, what it returned a while ago, what the PushGateway's status tells of it, or nothing. */
export type KeptStatus = "last" | "old" | "told" | "lost";

export type SpecEdit =
  | { readonly kind: "revision"; readonly revision: string }
  | { readonly kind: "replicas"; readonly min: number; readonly max: number }
  | { readonly kind: "soft"; readonly connections: number }
  | { readonly kind: "budget"; readonly perSecond: number }
  | { readonly kind: "pause"; readonly paused: boolean };

export interface Story {
  readonly seed: number;
  /** Gateways waste no time and operators plan every 200 ms. */
  readonly eager: boolean;
  readonly spec: FleetSpec;
  readonly clients: number;
  readonly events: readonly { readonly second: number; readonly event: StoryEvent }[];
}

export const storySettings: Partial<PlannerSettings> = {
  timeToReadyMs: 2_000,
  arrivalHalfLifeMs: 3_000,
  forcedPauseMaxMs: 20_000,
  reportGraceMs: 5_000,
};

/** Plays stories: operators plan once a second (or oftener), the world moves in slices of 100 ms. */
export class StoryTeller {
  readonly world: SimulatedWorld;
  leader: SimulatedOperator | undefined;
  private deposed: { readonly operator: SimulatedOperator; readonly untilMs: number }[] = [];
  private next: { readonly atMs: number; readonly status: PlannedBefore | undefined } | undefined;
  private epoch = 1;
  private oldStatus: PlannedBefore | undefined;
  /** Written after each plan that was carried out to its end. */
  private toldStatus: InheritedStatus | undefined;
  private readonly random: () => number;
  /** Actions that the leader wanted, waits not counted. */
  private actionsPlanned = 0;
  /** Pods that leaders wanted to create since the fleet was deleted. */
  createdAfterDeletion = 0;

  private readonly periodSlices: number;
  private readonly firstSpec: FleetSpec;

  constructor(story: Omit<Story, "events">) {
    this.random = randomFrom(story.seed);
    this.periodSlices = story.eager ? 2 : 10;
    this.firstSpec = story.spec;
    this.world = new SimulatedWorld(story.spec, this.random, story.eager);
    this.leader = this.startOperator(undefined);
    this.world.changeLoad(story.clients);
  }

  /** Plays `seconds`; events (by second, ascending) happen between two slices. */
  play(seconds: number, events: Story["events"] = []): void {
    const queue = [...events].sort((a, b) => a.second - b.second);
    for (let slice = 0; slice < seconds * 10; slice += 1) {
      while ((queue[0]?.second ?? Number.POSITIVE_INFINITY) * 10 <= slice) this.happen(queue.shift()?.event);
      this.world.step();
      this.operate(slice);
    }
  }

  private operate(slice: number): void {
    const { nowMs } = this.world;
    if (this.next !== undefined && nowMs >= this.next.atMs) {
      this.leader = this.startOperator(this.next.status);
      this.next = undefined;
    }
    this.deposed = this.deposed.filter((one) => nowMs < one.untilMs);
    if (slice % this.periodSlices === 0 && this.leader !== undefined) {
      if (slice % 50 === 0) this.oldStatus = this.leader.kept;
      const actions = this.leader.reconcile();
      this.tell();
      this.actionsPlanned += actions.filter((action) => action.kind !== "wait").length;
      if (this.world.deleting) this.createdAfterDeletion += actions.filter((action) => action.kind === "createPod").length;
    }
    if (slice % this.periodSlices === 1) for (const { operator } of this.deposed) operator.reconcile();
  }

  private startOperator(status: PlannedBefore | undefined): SimulatedOperator {
    return new SimulatedOperator({ world: this.world, epoch: this.epoch++, settings: storySettings, random: this.random, status });
  }

  private kept(kind: KeptStatus): PlannedBefore | undefined {
    if (kind === "lost") return undefined;
    if (kind === "told") return this.told;
    return kind === "old" ? this.oldStatus : this.leader?.kept;
  }

  private get told(): PlannedBefore | undefined {
    return this.toldStatus === undefined ? undefined : inheritStatus(this.toldStatus, this.epoch, this.world.nowMs);
  }

  private tell(): void {
    if (this.leader?.status !== undefined) this.toldStatus = toldBy(this.leader.status);
  }

  private happen(event: StoryEvent | undefined): void {
    if (event === undefined) return;
    const { world } = this;
    switch (event.kind) {
      case "load":
        return world.changeLoad(Math.max(event.count, -world.clients));
      case "crash":
        return this.onPod(event.pick, (pod) => world.crash(pod, event.trace));
      case "restart":
        return this.onPod(event.pick, (pod) => world.restart(pod));
      case "evict":
        return this.onPod(event.pick, (pod) => world.evict(pod));
      case "leaving":
        return this.onPod(event.pick, (pod) => {
          pod.leaving = pod.leaving === undefined ? "its node is unschedulable" : undefined;
        });
      case "silence":
        return this.onPod(event.pick, (pod) => {
          pod.silentUntilMs = world.nowMs + event.seconds * 1_000;
        });
      case "edit":
        return world.edit(edited(world.spec, event.edit));
      case "failures":
        if (this.leader !== undefined) this.leader.failureShare = event.share;
        return;
      case "operatorCrash": {
        if (this.leader === undefined) return;
        const status = this.kept(event.status);
        this.leader.reconcile(event.actions);
        this.next = {
          atMs: world.nowMs + event.seconds * 1_000,
          status: event.status === "last" && event.actions % 2 === 0 ? this.leader.kept : status,
        };
        this.leader = undefined;
        return;
      }
      case "takeOver": {
        if (this.leader === undefined) return;
        const status = this.kept(event.status);
        if (event.blind) this.leader.freeze();
        this.deposed.push({ operator: this.leader, untilMs: world.nowMs + event.seconds * 1_000 });
        this.leader = this.startOperator(status);
      }
    }
  }

  private onPod(pick: number, change: (pod: ReturnType<SimulatedWorld["living"]>[number]) => void): void {
    const pods = this.world.living();
    const pod = pods[pick % Math.max(1, pods.length)];
    if (pod !== undefined) change(pod);
  }

  /** Everything that was wrong stops being wrong, the spec is the first one but for its revision, one operator and `clients` are left. */
  calm(clients: number): void {
    this.deposed = [];
    this.leader ??= this.startOperator(this.next?.status);
    this.next = undefined;
    this.leader.failureShare = 0;
    for (const pod of this.world.pods.values()) {
      pod.silentUntilMs = 0;
      pod.leaving = undefined;
    }
    const revision = this.world.spec.pools[0]?.revision ?? "";
    this.world.edit(edited(this.firstSpec, { kind: "revision", revision }));
    this.world.changeLoad(clients - this.world.clients);
  }

  /** `kubectl delete`. */
  deleteFleet(): void {
    this.world.deleting = true;
  }

  /** Plays until nothing has been done for `quietSeconds`; whether that came within `secondsMax`. */
  settle(secondsMax: number, quietSeconds: number): boolean {
    let quiet = 0;
    for (let second = 0; second < secondsMax && quiet < quietSeconds; second += 1) {
      if (second % 5 === 0) this.world.churn(0.2);
      const before = this.actionsPlanned;
      this.play(1);
      quiet = this.actionsPlanned === before ? quiet + 1 : 0;
    }
    return quiet >= quietSeconds;
  }
}

/** What the PushGateway's status says of such a one. */
export function toldBy({ pools, memory, connections, forcedConnections }: FleetStatus): InheritedStatus {
  return {
    pools: pools.map(({ name, target }) => ({ name, target, pausedRevision: memory.pausedRevisions[name] })),
    connections,
    forcedConnections,
  };
}

function edited(spec: FleetSpec, edit: SpecEdit): FleetSpec {
  const pools = (change: Partial<FleetSpec["pools"][number]>): FleetSpec => ({
    ...spec,
    pools: spec.pools.map((pool) => ({ ...pool, ...change })),
  });
  switch (edit.kind) {
    case "revision":
      return pools({ revision: edit.revision });
    case "replicas":
      return pools({ minReplicas: edit.min, maxReplicas: edit.max });
    case "soft":
      return pools({ softConnections: edit.connections });
    case "budget":
      return { ...spec, drain: { ...spec.drain, reconnectsPerSecond: edit.perSecond } };
    case "pause":
      return { ...spec, rollout: { ...spec.rollout, paused: edit.paused } };
  }
}

/** mulberry32: uniform in [0, 1). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export { sliceMs };
