import { assertNever, limits } from "@pushfleet/protocol";
import type { Clock, Logger, Readiness, v1 } from "@pushfleet/service";
import {
  type AcceptedGrant,
  type Action,
  acceptGrant,
  emptyReconnectWindow,
  type FleetSpec,
  type FleetStatus,
  lookAtReconnects,
  type Observed,
  type ObservedPod,
  type PodGrant,
  type ReconnectTotals,
  reconnectsIn,
  rolledOut,
} from "../core/index.js";
import { toGrant, toReport } from "../gateway-messages.js";
import type { PassThrough, Target } from "./pass-through.js";

/** A gateway in this process, as the operator uses it. */
export interface LocalGateway {
  /** "host:port" of its client port. */
  readonly clientAddress: string;
  status(): v1.IGatewayStatus;
  readiness(): Readiness;
  drain(grant: v1.IGrant, reason: string): v1.IDrainReply;
  abortDrain(epoch: number): v1.IDrainReply;
  metrics(): Promise<string>;
  /** Ends it; connections that are left are closed with 1001. */
  stop(): Promise<void>;
}

interface LocalPod {
  readonly name: string;
  readonly uid: string;
  readonly pool: string;
  readonly slot: number;
  readonly revision: string;
  readonly createdAtMs: number;
  version: number;
  phase: "pending" | "running" | "gone";
  ready: boolean;
  gateway: LocalGateway | undefined;
  grant: PodGrant;
  accepted: AcceptedGrant | undefined;
  terminating: boolean;
  leaving: string | undefined;
}

export interface LocalWorldOptions {
  readonly startGateway: (pod: { readonly name: string; readonly pool: string }) => Promise<LocalGateway>;
  readonly passThrough: Pick<PassThrough, "setTargets">;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** There is one operator here and its lease never changes hands. */
const epoch = 1;
/** First time-to-ready of a gateway in this process; later ones are measured. */
const timeToReadyMs = 2_000;

/** The operator's world on one machine: "pods" are gateways in this process, each a node of its own, behind a TCP pass-through. */
export class LocalWorld {
  readonly #options: LocalWorldOptions;
  readonly #pods = new Map<string, LocalPod>();
  #created = 0;
  #reconnects = emptyReconnectWindow;

  constructor(options: LocalWorldOptions) {
    this.#options = options;
  }

  observe(spec: FleetSpec, status: FleetStatus | undefined): Observed {
    const all = [...this.#pods.values()];
    const totals = rolledOut(all, spec.pools).flatMap(reconnectTotals);
    this.#reconnects = lookAtReconnects(this.#reconnects, totals, this.#options.clock.nowMs(), limits.reconnectWindowMs);
    const reconnectFailures = reconnectsIn(this.#reconnects);
    return { spec, deleting: false, epoch, pods: all.map(observePod), status, settings: { timeToReadyMs }, reconnectFailures };
  }

  /** Does the actions in their order; one that fails cancels the later ones for its pod. */
  async apply(actions: readonly Action[]): Promise<void> {
    const failed = new Set<string>();
    const versions = new Map<string, number>();
    for (const action of actions) {
      if (action.kind === "wait") continue;
      if (action.kind === "createPod") this.#create(action);
      else if (!failed.has(action.uid) && !(await this.#applyToPod(action, versions))) failed.add(action.uid);
    }
    this.#balance();
  }

  /** As `kubectl drain` of the pod's node: it is to leave though nobody deleted it. False: there is no such gateway. */
  leave(name: string): boolean {
    const pod = this.#pods.get(name);
    if (pod === undefined) return false;
    pod.leaving = `node of ${name} is unschedulable`;
    pod.version++;
    return true;
  }

  gateways(): ReadonlyMap<string, LocalGateway> {
    const running = [...this.#pods.values()].flatMap((pod): [string, LocalGateway][] =>
      pod.gateway === undefined ? [] : [[pod.name, pod.gateway]],
    );
    return new Map(running);
  }

  /** Ends every gateway at once, without a drain. */
  async stop(): Promise<void> {
    this.#options.passThrough.setTargets([]);
    await Promise.all([...this.#pods.values()].map((pod) => pod.gateway?.stop()));
  }

  async #applyToPod(action: Exclude<Action, { kind: "wait" | "createPod" }>, versions: Map<string, number>): Promise<boolean> {
    const pod = this.#pods.get(action.pod);
    const expected = versions.get(action.uid) ?? Number(action.version);
    if (pod === undefined || pod.uid !== action.uid || pod.version !== expected) return false;
    switch (action.kind) {
      case "writeGrant":
        pod.grant = action.grant;
        pod.version++;
        versions.set(action.uid, pod.version);
        return true;
      case "deletePod":
        this.#delete(pod, action.why);
        return true;
      case "cordon":
      case "startDrain":
      case "renewDrain":
        return this.#tell(pod, action.grant, (gateway) => gateway.drain(toGrant(action.grant), action.grant.reason));
      case "uncordon":
      case "abortDrain":
        return this.#tell(pod, action.grant, (gateway) => gateway.abortDrain(action.grant.epoch));
      default:
        return assertNever(action);
    }
  }

  #tell(pod: LocalPod, grant: PodGrant, call: (gateway: LocalGateway) => v1.IDrainReply): boolean {
    if (pod.gateway === undefined) return false;
    const reply = call(pod.gateway);
    if (reply.accepted !== true) {
      this.#options.logger.warn({ pod: pod.name, message: reply.message }, "gateway refused a grant");
      return false;
    }
    pod.accepted = acceptGrant(pod.accepted, grant, this.#options.clock.nowMs());
    return true;
  }

  #create(action: Extract<Action, { kind: "createPod" }>): void {
    if (this.#pods.has(action.pod)) return;
    const pod: LocalPod = {
      name: action.pod,
      uid: `${action.pod}-${++this.#created}`,
      pool: action.pool,
      slot: action.slot,
      revision: action.revision,
      createdAtMs: this.#options.clock.nowMs(),
      version: 1,
      phase: "pending",
      ready: false,
      gateway: undefined,
      grant: action.grant,
      accepted: undefined,
      terminating: false,
      leaving: undefined,
    };
    this.#pods.set(pod.name, pod);
    this.#options.logger.info({ pod: pod.name, why: action.why }, "create gateway");
    this.#start(pod).catch((cause: unknown) => {
      this.#options.logger.error({ pod: pod.name, err: cause }, "gateway did not start");
      pod.phase = "gone";
      pod.version++;
    });
  }

  async #start(pod: LocalPod): Promise<void> {
    const gateway = await this.#options.startGateway({ name: pod.name, pool: pod.pool });
    if (pod.terminating) return await gateway.stop();
    pod.gateway = gateway;
    pod.phase = "running";
    pod.version++;
    this.#balance();
  }

  #delete(pod: LocalPod, why: string): void {
    if (pod.terminating) return;
    pod.terminating = true;
    pod.version++;
    this.#options.logger.info({ pod: pod.name, why }, "delete gateway");
    const stopped = pod.gateway?.stop() ?? Promise.resolve();
    stopped
      .catch((cause: unknown) => this.#options.logger.error({ pod: pod.name, err: cause }, "gateway did not stop"))
      .finally(() => {
        this.#pods.delete(pod.name);
        this.#balance();
      });
  }

  #balance(): void {
    const targets = [...this.#pods.values()].flatMap((pod): Target[] => {
      const { gateway } = pod;
      if (gateway === undefined || pod.terminating) return [];
      const { hostname, port } = new URL(`tcp://${gateway.clientAddress}`);
      return [{ name: pod.name, host: hostname, port: Number(port), accepting: () => gateway.readiness().kind === "ready" }];
    });
    this.#options.passThrough.setTargets(targets);
  }
}

function reconnectTotals({ uid, gateway }: LocalPod): readonly ReconnectTotals[] {
  const status = gateway?.status();
  return status === undefined ? [] : [{ uid, attempted: status.resumeAttempts ?? 0, failed: status.resumeFailures ?? 0 }];
}

function observePod(pod: LocalPod): ObservedPod {
  const ready = pod.gateway?.readiness().kind === "ready";
  if (ready !== pod.ready) pod.version++;
  pod.ready = ready;
  return {
    name: pod.name,
    uid: pod.uid,
    version: String(pod.version),
    pool: pod.pool,
    slot: pod.slot,
    revision: pod.revision,
    createdAtMs: pod.createdAtMs,
    phase: pod.phase,
    ready,
    terminating: pod.terminating,
    leaving: pod.leaving,
    grant: pod.grant,
    accepted: pod.accepted,
    report: pod.gateway === undefined ? undefined : toReport(pod.gateway.status()),
  };
}
