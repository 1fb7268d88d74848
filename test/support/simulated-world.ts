import type { Action, FleetSpec, ObservedPod, PodGrant } from "../../operator/src/core/index.js";
import { SimulatedGateway } from "./simulated-gateway.js";

/** A cluster for one fleet on a virtual clock: pods that start, get ready and die, a balancer with least connections, clients that come, move
 *  and come back. It checks invariants I3 and I4 itself, as they could be broken: `violations` must stay empty. */
export class SimulatedWorld {
  nowMs = 1_000_000;
  readonly violations: string[] = [];
  readonly pods = new Map<string, SimulatedPod>();
  spec: FleetSpec;
  deleting = false;
  /** Clients that want a connection and have none. */
  private homeless: { atMs: number; count: number }[] = [];
  readonly movesPerSlice: number[] = [];
  private readonly budgets: { atMs: number; perSecond: number }[] = [];
  private nextUid = 0;
  private readonly random: () => number;

  /** Gateways waste no time, reports are new, and so everything that may overlap does. */
  private readonly eager: boolean;

  constructor(spec: FleetSpec, random: () => number, eager: boolean) {
    this.eager = eager;
    this.spec = spec;
    this.random = random;
    this.budgets.push({ atMs: this.nowMs, perSecond: spec.drain.reconnectsPerSecond });
  }

  /** `kubectl apply`. */
  edit(spec: FleetSpec): void {
    this.spec = spec;
    this.budgets.push({ atMs: this.nowMs, perSecond: spec.drain.reconnectsPerSecond });
  }

  get connections(): number {
    return [...this.pods.values()].reduce((sum, pod) => sum + (pod.gateway?.connections ?? 0), 0);
  }

  get clients(): number {
    return this.connections + this.homeless.reduce((sum, group) => sum + group.count, 0);
  }

  /** New clients arrive (count > 0) or some leave. */
  changeLoad(count: number): void {
    if (count > 0) this.homeless.push({ atMs: this.nowMs, count });
    let leaving = -count;
    for (const group of this.homeless) {
      const left = Math.min(Math.max(0, leaving), group.count);
      group.count -= left;
      leaving -= left;
    }
    for (const pod of this.living()) if (leaving > 0) leaving -= pod.gateway?.leave(leaving) ?? 0;
  }

  /** Some clients lose their connection and come back at once, without a resume: what rebalances a fleet over time. */
  churn(share: number): void {
    for (const pod of this.living()) {
      const left = pod.gateway?.leave(Math.floor(pod.gateway.connections * share)) ?? 0;
      this.loseClients(left - this.place(left, false));
    }
  }

  step(): void {
    this.nowMs += sliceMs;
    for (const pod of this.pods.values()) this.stepPod(pod);
    const moves = this.stepGateways();
    const due = this.homeless.filter((group) => group.atMs <= this.nowMs);
    this.homeless = this.homeless.filter((group) => group.atMs > this.nowMs);
    for (const group of due) {
      const refused = group.count - this.place(group.count, this.random() < 0.5);
      if (refused > 0) this.homeless.push({ atMs: this.nowMs + 1_000, count: refused });
    }
    this.checkBudget(moves);
  }

  private stepPod(pod: SimulatedPod): void {
    if (pod.vanishesAtMs !== undefined && this.nowMs >= pod.vanishesAtMs) this.pods.delete(pod.uid);
    const emptied = pod.terminating && (pod.gateway === undefined || pod.gateway.connections === 0);
    if (emptied && pod.vanishesAtMs === undefined) pod.vanishesAtMs = this.nowMs + 300;
    if (pod.phase === "pending" && this.nowMs >= pod.startsAtMs) {
      pod.phase = "running";
      pod.gateway = new SimulatedGateway(hardConnections, this.eager);
      pod.touch();
    }
    const ready = pod.phase === "running" && this.nowMs >= pod.startsAtMs + 500 && pod.gateway?.isReady === true;
    if (ready !== pod.ready) {
      pod.ready = ready;
      pod.touch();
    }
    if (pod.phase === "running" && this.nowMs >= pod.startsAtMs + 300 && pod.gateway?.isReady === true) pod.hasAccepted = true;
  }

  private stepGateways(): number {
    let moves = 0;
    for (const pod of this.pods.values()) {
      if (pod.gateway === undefined || pod.phase === "gone") continue;
      const step = pod.gateway.step(this.nowMs, 0.1);
      moves += step.moves;
      pod.gateway.keep(step.moved - this.place(step.moved, true), this.nowMs);
      this.loseClients(step.cut);
    }
    return moves;
  }

  private checkBudget(moves: number): void {
    this.movesPerSlice.push(moves);
    // Both ends of the 1,000 ms belong to the window: eleven slices.
    const inWindow = this.movesPerSlice.slice(-11).reduce((sum, count) => sum + count, 0);
    const budget = this.budgetInForce();
    if (inWindow > budget) this.violations.push(`I3 at ${this.nowMs}: ${inWindow} moves in a second, budget ${budget}`);
  }

  /** A lowered budget cannot reach a gateway that nobody reaches: it pauses after 30 s without renewal. */
  private budgetInForce(): number {
    const since = this.nowMs - 40_000;
    const recent = this.budgets.filter(
      (_budget, index) => index === this.budgets.length - 1 || (this.budgets[index + 1]?.atMs ?? 0) > since,
    );
    return recent.reduce((most, budget) => Math.max(most, budget.perSecond), 0);
  }

  /** Connects up to `count` clients, each to the pod with the least connections; how many found a place. */
  private place(count: number, resumed: boolean): number {
    const open = this.living().filter((pod) => (pod.ready || this.nowMs < pod.balancedUntilMs) && pod.gateway?.takesConnections === true);
    let left = count;
    while (left > 0 && open.length > 0) {
      open.sort((a, b) => (a.gateway?.connections ?? 0) - (b.gateway?.connections ?? 0));
      const [least, next] = open;
      if (least?.gateway === undefined) break;
      const gap = next?.gateway === undefined ? left : next.gateway.connections - least.gateway.connections + 1;
      const fits = Math.min(left, gap, least.gateway.capacity - least.gateway.connections);
      if (fits <= 0) open.shift();
      else least.gateway.connect(fits, resumed, this.nowMs);
      left -= Math.max(0, fits);
    }
    return count - left;
  }

  private loseClients(count: number): void {
    if (count > 0) this.homeless.push({ atMs: this.nowMs + 100 + Math.floor(this.random() * 2_000), count });
  }

  living(): readonly SimulatedPod[] {
    return [...this.pods.values()].filter((pod) => pod.phase === "running" && !pod.terminating);
  }

  /** SIGKILL of everything in it. `trace`: the pod object stays until somebody deletes it. */
  crash(pod: SimulatedPod, trace: boolean): void {
    this.loseClients(pod.gateway?.drop() ?? 0);
    if (trace) {
      pod.phase = "gone";
      pod.ready = false;
      pod.touch();
    } else this.pods.delete(pod.uid);
  }

  /** The process dies and is started again in its pod: it has forgotten drains and epochs. The kubelet tells late that it runs, and balancers
   *  were not told yet that it did not. */
  restart(pod: SimulatedPod): void {
    if (pod.gateway === undefined) return;
    pod.untoldUntilMs = this.nowMs + 2_500;
    pod.balancedUntilMs = pod.ready ? this.nowMs + 1_000 : 0;
    this.loseClients(pod.gateway.drop());
    pod.gateway = new SimulatedGateway(hardConnections, this.eager);
    pod.startsAtMs = this.nowMs + 1_000;
    pod.touch();
  }

  /** A person, or the cluster, deletes it: it drains by itself, outside the budget. */
  evict(pod: SimulatedPod): void {
    pod.terminating = true;
    pod.gateway?.stop(this.nowMs, this.nowMs + 20_000);
    if (pod.phase === "gone" || pod.gateway === undefined) pod.vanishesAtMs = this.nowMs + 200;
    pod.touch();
  }

  observe(): readonly ObservedPod[] {
    return [...this.pods.values()].map((pod) => pod.observe(this.nowMs, this.eager ? 0 : 2_000));
  }

  /** Does one action of an operator; whether it was done. */
  apply(action: Action): boolean {
    if (action.kind === "wait") return true;
    if (action.kind === "createPod") return this.create(action);
    const pod = this.pods.get(action.uid);
    if (pod === undefined) return false;
    switch (action.kind) {
      case "writeGrant":
        if (String(pod.version) !== action.version) return false;
        pod.grant = action.grant;
        pod.touch();
        return true;
      case "deletePod":
        if (String(pod.version) !== action.version) return false;
        this.checkDelete(pod, action);
        this.evict(pod);
        return true;
      case "cordon":
      case "startDrain":
      case "renewDrain":
        return pod.phase === "running" && pod.gateway?.grant(action.grant, this.nowMs) === true;
      case "uncordon":
      case "abortDrain":
        return pod.phase === "running" && pod.gateway?.abort(action.grant.epoch) === true;
    }
  }

  private create(action: Extract<Action, { kind: "createPod" }>): boolean {
    if ([...this.pods.values()].some((pod) => pod.name === action.pod)) return false;
    const uid = `uid-${this.nextUid++}`;
    const startsAtMs = this.nowMs + 500 + Math.floor(this.random() * 3_000);
    this.pods.set(
      uid,
      new SimulatedPod({
        uid,
        name: action.pod,
        pool: action.pool,
        slot: action.slot,
        revision: action.revision,
        grant: action.grant,
        createdAtMs: this.nowMs,
        startsAtMs,
      }),
    );
    return true;
  }

  private checkDelete(pod: SimulatedPod, action: Extract<Action, { kind: "deletePod" }>): void {
    const connections = pod.gateway?.connections ?? 0;
    if (pod.phase === "gone" || connections === 0) return;
    const { grant } = pod;
    if (grant?.purpose === "drain" && this.nowMs >= grant.deadlineMs + grant.stragglerGraceMs) return;
    this.violations.push(`I4 at ${this.nowMs}: ${pod.name} deleted (${action.reason}) with ${connections} connections before its deadline`);
  }
}

export const sliceMs = 100;
export const hardConnections = 160;

interface PodFacts {
  readonly uid: string;
  readonly name: string;
  readonly pool: string;
  readonly slot: number;
  readonly revision: string;
  readonly grant: PodGrant;
  readonly createdAtMs: number;
  readonly startsAtMs: number;
}

export class SimulatedPod {
  readonly uid: string;
  readonly name: string;
  readonly facts: PodFacts;
  grant: PodGrant | undefined;
  version = 1;
  phase: ObservedPod["phase"] = "pending";
  ready = false;
  /** The readiness gate keeps it; it opens before the kubelet says that the pod is ready. */
  hasAccepted = false;
  terminating = false;
  leaving: string | undefined;
  startsAtMs: number;
  vanishesAtMs: number | undefined;
  /** Its status stream is broken until then; calls still arrive. */
  silentUntilMs = 0;
  /** Its object says until then that no process runs. */
  untoldUntilMs = 0;
  /** Balancers send it clients until then though it is not ready. */
  balancedUntilMs = 0;
  gateway: SimulatedGateway | undefined;
  private reported: { readonly atMs: number; readonly value: ObservedPod["report"] } | undefined;

  constructor(facts: PodFacts) {
    this.uid = facts.uid;
    this.name = facts.name;
    this.facts = facts;
    this.grant = facts.grant;
    this.startsAtMs = facts.startsAtMs;
  }

  touch(): void {
    this.version += 1;
  }

  /** Reports are up to `reportMs` old, as a stream's are. */
  observe(nowMs: number, reportMs: number): ObservedPod {
    const { uid, name, pool, slot, revision, createdAtMs } = this.facts;
    const running = this.phase === "running" && nowMs >= this.startsAtMs + 200;
    if (this.reported === undefined || nowMs - this.reported.atMs >= reportMs)
      this.reported = { atMs: nowMs, value: this.gateway?.report() };
    const report = running && nowMs >= this.silentUntilMs ? this.reported.value : undefined;
    // What reports runs, whatever the kubelet says.
    const phase = this.phase === "running" && report === undefined && nowMs < this.untoldUntilMs ? "pending" : this.phase;
    return {
      ...{ uid, name, pool, slot, revision, createdAtMs, version: String(this.version), phase, ready: this.ready },
      ...{ hasAccepted: this.hasAccepted, terminating: this.terminating, leaving: this.leaving, grant: this.grant, report },
    };
  }
}
