import { addGatewayService } from "../../gateway/src/shell/gateway-service.js";
import { parseGrant } from "../../operator/src/core/index.js";
import { bindGrpcServer, createGrpcServer, systemClock, type TlsPem, type v1 } from "../../service/src/index.js";
import type { KubernetesServer } from "../peers/kubernetes.js";
import { waitFor } from "../peers/wait-for.js";
import { isConditionTrue, isDeleting, type Pod } from "./kubelet/objects.js";
import { SimulatedGateway } from "./simulated-gateway.js";
import type { StatusStreams } from "./test-kubelet.js";

const GRPC_PORT = 9101;
const CAPACITY = 1_000;
const STEP_MS = 100;

/** Answers for gateway pods of a status-only kubelet, all in this process: gRPC with the pod's own certificate, behind it a count of clients that
 *  does as it is granted, at once. They follow one rule of their own that real ones have from their balancer: a client that moves goes to the
 *  gateway that is ready and has the fewest. */
export class StandInGateways implements StatusStreams {
  /** What must never be, in words. */
  readonly faults: string[] = [];
  readonly #kubernetes: KubernetesServer;
  readonly #isOurs: (pod: Pod) => boolean;
  readonly #gateways = new Map<string, StandIn>();
  /** By fleet ("namespace/name"): when clients were asked to move or closed, the last second's. */
  readonly #moves = new Map<string, { readonly atMs: number; readonly count: number }[]>();
  readonly #budgets = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;

  constructor(kubernetes: KubernetesServer, isOurs: (pod: Pod) => boolean) {
    this.#kubernetes = kubernetes;
    this.#isOurs = isOurs;
    this.#timer = setInterval(() => this.#step(), STEP_MS);
  }

  /** The moves a second that no window of a fleet may exceed. */
  setBudget(fleet: string, perSecond: number): void {
    this.#budgets.set(fleet, perSecond);
  }

  started(pod: Pod, podIp: string): void {
    if (!this.#isOurs(pod)) return;
    const gateway = new StandIn(pod);
    this.#gateways.set(pod.metadata.uid ?? "", gateway);
    void gateway.open(this.#kubernetes, podIp).catch((cause: unknown) => this.faults.push(`${pod.metadata.name}: ${String(cause)}`));
  }

  changed(pod: Pod): void {
    const gateway = this.#gateways.get(pod.metadata.uid ?? "");
    if (gateway === undefined) return;
    gateway.pod = pod;
    if (isDeleting(pod)) this.#end(gateway);
  }

  ended(pod: Pod): void {
    const gateway = this.#gateways.get(pod.metadata.uid ?? "");
    if (gateway === undefined) return;
    this.#end(gateway);
    this.#gateways.delete(pod.metadata.uid ?? "");
  }

  /** New clients of a fleet, one after the other to the gateway with the fewest. */
  connect(fleet: string, count: number): void {
    for (let left = count; left > 0; left -= 1) {
      const gateway = this.#leastConnected(fleet);
      if (gateway === undefined) throw new Error(`no gateway of ${fleet} takes connections`);
      gateway.simulated.connect(1, false, Date.now());
    }
  }

  clients(fleet: string): number {
    return this.#of(fleet).reduce((sum, gateway) => sum + gateway.simulated.connections, 0);
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const gateway of this.#gateways.values()) gateway.close();
    this.#gateways.clear();
  }

  #of(fleet: string): readonly StandIn[] {
    return [...this.#gateways.values()].filter((gateway) => gateway.fleet === fleet && !gateway.isOver);
  }

  #leastConnected(fleet: string): StandIn | undefined {
    const taking = this.#of(fleet).filter((gateway) => gateway.isReady && gateway.simulated.takesConnections);
    return taking.reduce<StandIn | undefined>(
      (best, one) => (best === undefined || one.simulated.connections < best.simulated.connections ? one : best),
      undefined,
    );
  }

  /** I4, at the moment of a deletion. */
  #end(gateway: StandIn): void {
    if (gateway.isOver) return;
    const { connections } = gateway.simulated;
    const { name, annotations } = gateway.pod.metadata;
    const grant = parseGrant(annotations?.["pushfleet.dev/grant"]);
    const mayEnd = grant?.purpose === "drain" && Date.now() >= grant.deadlineMs + grant.stragglerGraceMs;
    if (connections > 0 && !mayEnd) this.faults.push(`${gateway.fleet}: ${name} was deleted with ${connections} connections`);
    gateway.close();
  }

  #step(): void {
    const nowMs = Date.now();
    const moved = new Map<string, number>();
    for (const gateway of this.#gateways.values()) {
      if (gateway.isOver) continue;
      const step = gateway.simulated.step(nowMs, 0);
      moved.set(gateway.fleet, (moved.get(gateway.fleet) ?? 0) + step.moves);
      if (gateway.isClosing) continue; // its clients are told to come back much later
      if (step.cut > 0) this.faults.push(`${gateway.fleet}: ${gateway.pod.metadata.name} closed ${step.cut} clients that had not moved`);
      for (let left = step.moved; left > 0; left -= 1) {
        const refuge = this.#leastConnected(gateway.fleet);
        if (refuge === undefined) gateway.simulated.keep(1, nowMs);
        else refuge.simulated.connect(1, true, nowMs);
      }
    }
    for (const [fleet, count] of moved) if (count > 0) this.#countMoves(fleet, count, nowMs);
  }

  /** I3. */
  #countMoves(fleet: string, count: number, nowMs: number): void {
    const recent = [...(this.#moves.get(fleet) ?? []).filter(({ atMs }) => atMs > nowMs - 1_000), { atMs: nowMs, count }];
    this.#moves.set(fleet, recent);
    const inSecond = recent.reduce((sum, one) => sum + one.count, 0);
    const budget = this.#budgets.get(fleet);
    if (budget !== undefined && inSecond > budget) this.faults.push(`${fleet}: ${inSecond} moves within a second, ${budget} are allowed`);
  }
}

class StandIn {
  pod: Pod;
  readonly fleet: string;
  readonly simulated = new SimulatedGateway(CAPACITY, true);
  /** Its clients are closed for good: the fleet was deleted. */
  isClosing = false;
  isOver = false;
  readonly #server = createGrpcServer();

  constructor(pod: Pod) {
    this.pod = pod;
    this.fleet = `${pod.metadata.namespace}/${pod.metadata.labels?.["pushfleet.dev/fleet"]}`;
  }

  get isReady(): boolean {
    return isConditionTrue(this.pod, "Ready");
  }

  async open(kubernetes: KubernetesServer, podIp: string): Promise<void> {
    const tls = await readCertificate(kubernetes, this.pod);
    if (this.isOver) return;
    const answer = (accepted: boolean): v1.IDrainReply => ({ accepted, epoch: this.simulated.report().epoch, message: "" });
    addGatewayService(
      this.#server,
      {
        deliver: (_, done) => done({}),
        disconnect: () => false,
        drain: async (grant, reason) => {
          const { reconnectsPerSecond = 0, deadlineMs = 0, epoch = 0, stragglerGraceMs = 0 } = withoutNulls(grant);
          const accepted = this.simulated.grant({ ...emptyGrant, reconnectsPerSecond, deadlineMs, epoch, stragglerGraceMs }, Date.now());
          if (accepted) this.isClosing = reason === "fleetDeleted";
          return answer(accepted);
        },
        abortDrain: async (epoch) => answer(this.simulated.abort(epoch)),
        status: () => this.#status(),
      },
      systemClock,
    );
    await bindGrpcServer(this.#server, podIp, GRPC_PORT, tls);
    if (this.isOver) this.#server.forceShutdown();
  }

  close(): void {
    this.isOver = true;
    this.#server.forceShutdown();
  }

  #status(): v1.IGatewayStatus {
    const { state, ...report } = this.simulated.report();
    const states = { starting: 0, serving: 1, cordoned: 2, draining: 3, drained: 4, stopping: 5 } as const;
    return { gateway: this.pod.metadata.name, incarnation: "", state: states[state], ready: this.simulated.isReady, ...report };
  }
}

const emptyGrant = { purpose: "drain", heldPerSecond: 0, serial: 0, sinceMs: 0, extensions: 0, reason: "none" } as const;

function withoutNulls(grant: v1.IGrant): Partial<Record<keyof v1.IGrant, number>> {
  return Object.fromEntries(Object.entries(grant).filter(([, value]) => typeof value === "number"));
}

/** The Secret that the pod would mount; it was made before the pod. */
async function readCertificate(kubernetes: KubernetesServer, { metadata }: Pod): Promise<TlsPem> {
  const path = `/api/v1/namespaces/${metadata.namespace}/secrets/${metadata.name}-tls`;
  const { body } = await waitFor(
    async () => {
      const answer = await kubernetes.request("GET", path);
      return answer.status === 200 ? answer : undefined;
    },
    { what: `the certificate of ${metadata.name}` },
  );
  const { data } = body as { readonly data: Readonly<Record<string, string>> };
  const text = (name: string): string => Buffer.from(data[name] ?? "", "base64").toString();
  return { cert: text("tls.crt"), key: text("tls.key"), ca: text("ca.crt") };
}
