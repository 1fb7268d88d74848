import { setTimeout as delay } from "node:timers/promises";
import type { Server } from "@grpc/grpc-js";
import { limits } from "@pushfleet/protocol";
import type { Registry } from "@pushfleet/registry";
import {
  addHealthService,
  bindGrpcServer,
  type Clock,
  createGrpcServer,
  createLogger,
  type FleetCertificate,
  gatewayServiceName,
  hostPort,
  type Logger,
  openCertificate,
  type Readiness,
  type RouterLink,
  startAdminServer,
  v1,
} from "@pushfleet/service";
import type { Registry as MetricsRegistry } from "prom-client";
import type { GatewayConfig } from "./configuration.js";
import { type Capacity, capacity } from "./core/capacity.js";
import { HandshakeBucket } from "./core/token-bucket.js";
import { type Authenticator, createAuthenticator } from "./shell/authenticator.js";
import { ConnectionTable } from "./shell/connection-table.js";
import { addGatewayService } from "./shell/gateway-service.js";
import { type Handshake, admit as judge } from "./shell/handshake.js";
import { listen } from "./shell/listener.js";
import { type MachineFacts, readMachine } from "./shell/machine.js";
import { Metrics } from "./shell/metrics.js";
import type { Listener } from "./shell/ports.js";
import { Worker } from "./shell/worker.js";
import type { WholeGateway } from "./whole-gateway.js";

/** One gateway worker in this process. */
export interface Gateway {
  /** "host:port" each; the ports that were given when 0 was asked for. `client` is `listen.port`. */
  readonly addresses: { readonly client: string; readonly admin: string | undefined; readonly grpc: string };
  readonly metrics: MetricsRegistry;
  status(): v1.IGatewayStatus;
  readiness(): Readiness;
  /** Cordons, and starts or renews a paced drain. */
  drain(grant: v1.IGrant, reason: string): v1.IDrainReply;
  abortDrain(epoch: number): v1.IDrainReply;
  /** `drain`: asks its clients to move first, within `drain.deadlineMs`; `close`: 1001 to everybody, over within `limits.closeAllMs`. */
  stop(how: { readonly kind: "drain" } | { readonly kind: "close" }): Promise<void>;
}

export interface GatewayParts {
  /** Started; it outlives the gateway. */
  readonly registry: Registry;
  readonly router: RouterLink;
  readonly clock: Clock;
  readonly logger?: Logger | undefined;
  /** Of how many workers that share the client ports this is one. Memory is then shared too, and a port in use is no fault. */
  readonly workers?: number | undefined;
  /** The gateway that it is a worker of: what operators ask over gRPC concerns that. */
  readonly whole?: WholeGateway | undefined;
}

/** What a gateway has beside what it is given. */
interface OwnParts extends GatewayParts {
  readonly logger: Logger;
  readonly certificate: FleetCertificate | undefined;
}

const statesByPhase = {
  serving: v1.ServingState.STATE_SERVING,
  cordoned: v1.ServingState.STATE_CORDONED,
  draining: v1.ServingState.STATE_DRAINING,
  drained: v1.ServingState.STATE_DRAINED,
} as const;

/** Listens, takes a lease and serves. A registry that is away does not keep it from starting: it is not ready until it has a lease. Rejects,
 *  with nothing left running, when a port is taken or a file of the configuration cannot be read. */
export async function createGateway(config: GatewayConfig, parts: GatewayParts): Promise<Gateway> {
  const { clock, logger = createLogger("gateway") } = parts;
  const { tls } = config.grpc;
  const certificate = tls && openCertificate(tls, { of: { role: "gateway", id: config.id }, clock, logger });
  let gateway: RunningGateway | undefined;
  try {
    gateway = new RunningGateway(config, { ...parts, logger, certificate });
    await gateway.start();
    return gateway;
  } catch (cause) {
    await gateway?.release();
    certificate?.stop();
    throw cause;
  }
}

class RunningGateway implements Gateway {
  readonly #config: GatewayConfig;
  readonly #parts: OwnParts;
  readonly #logger: Logger;
  readonly #machine: MachineFacts = readMachine();
  readonly #capacity: Capacity;
  readonly #authenticator: Authenticator;
  readonly #table = new ConnectionTable();
  readonly #metrics: Metrics;
  readonly #worker: Worker;
  readonly #bucket: HandshakeBucket;
  readonly #allowedOrigins: ReadonlySet<string> | undefined;
  readonly #grpc: Server = createGrpcServer();
  readonly #startMs: number;
  readonly #releases: (() => Promise<void> | void)[] = [];
  #grpcAddress = "";
  #adminAddress: string | undefined;
  #listener: Listener | undefined;
  #isStopping = false;

  constructor(config: GatewayConfig, parts: OwnParts) {
    const { clock, registry, router, logger, certificate, workers = 1 } = parts;
    this.#config = config;
    this.#parts = parts;
    this.#logger = logger;
    this.#startMs = clock.monotonicMs();
    const { maxConnections, handshakesPerSecond } = config.limits;
    const { nofile, memoryLimitBytes } = this.#machine;
    const tls = config.listen.tls !== undefined;
    this.#capacity = capacity({ maxConnections, nofile, memoryLimitBytes: memoryLimitBytes / workers, tls });
    this.#authenticator = createAuthenticator(config.auth, { clock, logger });
    this.#releases.push(
      () => this.#authenticator.stop(),
      () => certificate?.stop(),
    );
    this.#metrics = new Metrics({ connections: () => this.#table.open, memoryLimitBytes, nofile });
    this.#bucket = new HandshakeBucket({ perSecond: handshakesPerSecond, burst: Math.max(1, handshakesPerSecond) }, this.#nowMs());
    const origins = config.listen.allowedOrigins;
    this.#allowedOrigins = origins.includes("*") ? undefined : new Set(origins);
    this.#worker = new Worker({
      gateway: config.id,
      zone: config.zone ?? "",
      grpcAddress: () => this.#grpcAddress,
      grpcTls: certificate,
      heartbeat: config.heartbeat,
      authenticator: this.#authenticator,
      registry,
      router,
      clock,
      logger,
      metrics: this.#metrics,
      table: this.#table,
      nowMs: () => this.#nowMs(),
    });
  }

  get addresses() {
    const { host } = this.#config.listen;
    return { client: hostPort(host, this.#listener?.ports[0] ?? 0), admin: this.#adminAddress, grpc: this.#grpcAddress };
  }

  get metrics(): MetricsRegistry {
    return this.#metrics.registry;
  }

  async start(): Promise<void> {
    const { grpc, admin } = this.#config;
    const { clock, certificate } = this.#parts;
    addGatewayService(this.#grpc, this.#serviceHandlers(), clock);
    addHealthService(this.#grpc, { services: [gatewayServiceName], readiness: () => this.readiness(), clock });
    this.#releases.push(() => this.#grpc.forceShutdown());
    const port = await bindGrpcServer(this.#grpc, grpc.host, grpc.port, certificate, { logger: this.#logger });
    this.#grpcAddress = hostPort(grpc.advertiseHost ?? grpc.host, port);
    this.#listener = await this.#listen();
    this.#releases.push(() => this.#listener?.destroy());
    this.#releases.push(() => this.#worker.stop());
    if (admin !== undefined) {
      const server = await startAdminServer({ ...admin, metrics: this.metrics, readiness: () => this.readiness() });
      this.#adminAddress = server.address;
      this.#releases.push(() => server.stop());
    }
    await this.#worker.start();
  }

  /** Lets go of what was opened, the last first. */
  async release(): Promise<void> {
    for (const release of this.#releases.splice(0).reverse()) await release();
  }

  status(): v1.IGatewayStatus {
    const { lease, drainer } = this.#worker.parts;
    const { effectiveMaxConnections, binding } = this.#capacity;
    const { handshakes, resumed, resumeAttempts, resumeFailures, reconnectsSent, drainCloses, deliveries } = this.#metrics;
    return {
      gateway: this.#config.id,
      incarnation: lease.incarnation,
      state: this.#state(),
      ready: this.readiness().kind === "ready",
      connections: this.#table.open,
      effectiveMaxConnections,
      bindingLimit: binding,
      handshakes: handshakes.accepted,
      resumed,
      resumeAttempts,
      resumeFailures,
      reconnectsSent,
      drainCloses,
      deliveries,
      epoch: drainer.epoch,
      remaining: drainer.remaining,
      atMs: this.#parts.clock.nowMs(),
    };
  }

  readiness(): Readiness {
    const { lease, drainer } = this.#worker.parts;
    if (this.#isStopping) return { kind: "not_ready", reason: "stopping" };
    if (drainer.isCordoned) return { kind: "not_ready", reason: drainer.phase };
    if (lease.ageMs === Number.POSITIVE_INFINITY) return { kind: "not_ready", reason: "no lease in the registry yet" };
    if (lease.ageMs >= limits.leaseNotReadyMs) return { kind: "not_ready", reason: "the lease in the registry is not refreshed" };
    return { kind: "ready" };
  }

  drain(grant: v1.IGrant, reason: string): v1.IDrainReply {
    return this.#worker.parts.drainer.grant(grant, reason);
  }

  abortDrain(epoch: number): v1.IDrainReply {
    return this.#worker.parts.drainer.abort(epoch);
  }

  async stop(how: { readonly kind: "drain" } | { readonly kind: "close" }): Promise<void> {
    if (how.kind === "drain") {
      const { reconnectsPerSecond, deadlineMs, stragglerGraceMs } = this.#config.drain;
      const own = { perSecond: reconnectsPerSecond, withinMs: deadlineMs, stragglerGraceMs };
      await this.#worker.parts.drainer.drainOwn(own);
    }
    this.#isStopping = true;
    this.#listener?.close();
    this.#worker.parts.drainer.closeAll();
    await delay(limits.closeLingerMs); // for the network, whatever the clock of the gateway: clients answer a close
    await this.release();
  }

  #state(): v1.ServingState {
    const { lease, drainer } = this.#worker.parts;
    if (this.#isStopping) return v1.ServingState.STATE_STOPPING;
    if (drainer.phase === "serving" && lease.ageMs === Number.POSITIVE_INFINITY) return v1.ServingState.STATE_STARTING;
    return statesByPhase[drainer.phase];
  }

  #nowMs(): number {
    return Math.floor(this.#parts.clock.monotonicMs() - this.#startMs);
  }

  #serviceHandlers() {
    const { whole } = this.#parts;
    return {
      deliver: (batch: Buffer, done: (outcomes: v1.IOutcomeBatch) => void) => this.#worker.parts.deliveries.deliver(batch, done),
      drain: async (grant: v1.IGrant, reason: string) => (whole ?? this).drain(grant, reason),
      abortDrain: async (epoch: number) => (whole ?? this).abortDrain(epoch),
      disconnect: (id: string, user: string, device: string, fence: number) => this.#worker.disconnect(id, user, device, fence),
      status: () => whole?.status() ?? this.status(),
    };
  }

  #listen(): Promise<Listener> {
    const { host, port, extraPorts, tls, trustedProxies } = this.#config.listen;
    const worker = this.#worker;
    return listen(
      {
        host,
        ports: [port, ...extraPorts],
        tls,
        trustedProxies,
        isShared: (this.#parts.workers ?? 1) > 1,
        logger: this.#logger,
        clock: this.#parts.clock,
      },
      {
        admit: (handshake) => this.#admit(handshake),
        open: (socket, admitted) => worker.onOpen(socket, admitted),
        message: (connection, message, isBinary) => worker.onMessage(connection, message, isBinary),
        pong: (connection) => worker.onPong(connection),
        drain: (connection) => worker.parts.writer.onDrain(connection),
        close: (connection, code, reason) => {
          this.#metrics.close(code, reason);
          if (connection !== undefined) worker.onClose(connection, code);
        },
        readiness: () => this.readiness(),
      },
    );
  }

  #admit(handshake: Handshake) {
    const nowMs = this.#nowMs();
    this.#worker.parts.drainer.onHandshake(nowMs);
    const gate = {
      bucket: this.#bucket,
      resumeKeys: this.#authenticator.resumeKeys,
      allowedOrigins: this.#allowedOrigins,
      isCordoned: this.#isStopping || this.#worker.parts.drainer.isCordoned,
      isFleetDeleted: this.#worker.parts.drainer.isFleetDeleted,
      isFull: this.#isFull(),
    };
    const admitted = judge(handshake, gate, { monotonicMs: nowMs, wallMs: this.#parts.clock.nowMs(), random: Math.random() });
    this.#metrics.admitted(admitted, nowMs);
    return admitted;
  }

  /** Also when too many wait for a registry that is away: they would all be owed a gap. */
  #isFull(): boolean {
    const unregistered = this.#table.size - this.#worker.parts.registrations.confirmed;
    return this.#table.size >= this.#capacity.effectiveMaxConnections || unregistered >= limits.registrationQueueMax;
  }
}
