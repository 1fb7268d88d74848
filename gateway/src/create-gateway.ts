import { limits } from "@pushfleet/protocol";
import type { Registry } from "@pushfleet/registry";
import {
  type AdminServer,
  bindGrpcServer,
  type Clock,
  createGrpcServer,
  createLogger,
  type Logger,
  type Readiness,
  type RouterLink,
  startAdminServer,
  v1,
} from "@pushfleet/service";
import type { Registry as MetricsRegistry } from "prom-client";
import type { GatewayConfig } from "./configuration.js";
import { capacity } from "./core/capacity.js";
import { HandshakeBucket } from "./core/token-bucket.js";
import { createAuthenticator } from "./shell/authenticator.js";
import { Drainer } from "./shell/drainer.js";
import { addGatewayService } from "./shell/gateway-service.js";
import { startListener } from "./shell/listener.js";
import { readMachine } from "./shell/machine.js";
import { Metrics } from "./shell/metrics.js";
import { Worker } from "./shell/worker.js";

/** One gateway worker in this process. */
export interface Gateway {
  /** "host:port" each; the ports that were given when 0 was asked for. */
  readonly addresses: { readonly client: string; readonly admin: string | undefined; readonly grpc: string };
  readonly metrics: MetricsRegistry;
  status(): v1.IGatewayStatus;
  readiness(): Readiness;
  drain(grant: v1.IGrant, reason: string): v1.IDrainReply;
  abortDrain(epoch: number): v1.IDrainReply;
  /** `drain`: hands its connections over first, as at SIGTERM; `close`: 1001 to everybody at once. */
  stop(how: { readonly kind: "drain" } | { readonly kind: "close" }): Promise<void>;
}

export interface GatewayParts {
  readonly registry: Registry;
  readonly router: RouterLink;
  readonly clock: Clock;
  readonly logger?: Logger | undefined;
}

/** How long closed sockets may take to say goodbye. */
const closeMs = 1_000;

/** Listens, registers and serves. Rejects, with nothing left running, when a port is taken or the registry does not answer. */
export async function createGateway(config: GatewayConfig, parts: GatewayParts): Promise<Gateway> {
  const { registry, router, clock, logger = createLogger("gateway") } = parts;
  const machine = readMachine();
  const room = capacity({
    maxConnections: config.limits.maxConnections,
    nofile: machine.nofile,
    memoryLimitBytes: machine.memoryLimitBytes,
    tls: config.listen.tls !== undefined,
  });
  const stops: (() => Promise<void> | void)[] = [];
  const stopAll = async (): Promise<void> => {
    for (const stop of stops.splice(0).reverse()) await stop();
  };
  let isStopping = false;
  try {
    const authenticator = createAuthenticator(config.auth, { clock });
    stops.push(() => authenticator.stop());
    let grpcAddress = "";
    const metrics = new Metrics({
      connections: () => worker.openCount,
      memoryLimitBytes: machine.memoryLimitBytes,
      nofile: machine.nofile,
    });
    const worker: Worker = new Worker({
      id: config.id,
      zone: config.zone ?? "",
      heartbeat: config.heartbeat,
      registry,
      router,
      clock,
      logger,
      authenticator,
      metrics,
      tls: config.grpc.tls,
      grpcAddress: () => grpcAddress,
    });
    const drainer = new Drainer({ worker, clock, metrics });
    stops.push(() => drainer.stop());

    const readiness = (): Readiness => {
      if (isStopping) return { kind: "not_ready", reason: "stopping" };
      if (drainer.isCordoned) return { kind: "not_ready", reason: drainer.phase };
      return worker.registrar.isHealthy ? { kind: "ready" } : { kind: "not_ready", reason: "the registry lease is not refreshed" };
    };
    const status = (): v1.IGatewayStatus => ({
      gateway: config.id,
      incarnation: worker.registrar.incarnation,
      state: isStopping ? v1.ServingState.STATE_STOPPING : states[drainer.phase],
      ready: readiness().kind === "ready",
      connections: worker.openCount,
      effectiveMaxConnections: room.effectiveMaxConnections,
      bindingLimit: room.binding,
      handshakes: metrics.handshakes.accepted,
      resumed: metrics.resumed,
      reconnectsSent: metrics.reconnectsSent,
      drainCloses: metrics.drainCloses,
      deliveries: metrics.deliveries,
      epoch: drainer.epoch,
      remaining: drainer.remaining,
      atMs: clock.nowMs(),
    });

    const grpc = createGrpcServer();
    const control = {
      drain: (grant: v1.IGrant, reason: string) => drainer.grant(grant, reason),
      abortDrain: (epoch: number) => drainer.abort(epoch),
    };
    addGatewayService(grpc, { worker, metrics, clock, status, ...control });
    const grpcPort = await bindGrpcServer(grpc, config.grpc.host, config.grpc.port, config.grpc.tls);
    stops.push(() => grpc.forceShutdown());
    grpcAddress = `${config.grpc.advertiseHost ?? config.grpc.host}:${grpcPort}`;
    await worker.start();
    stops.push(() => worker.stop());

    let admin: AdminServer | undefined;
    if (config.admin !== undefined) {
      admin = await startAdminServer({ ...config.admin, metrics: metrics.registry, readiness });
      stops.push(() => admin?.stop());
    }
    const perSecond = config.limits.handshakesPerSecond;
    const listener = await startListener({
      listen: config.listen,
      worker,
      bucket: new HandshakeBucket({ perSecond, burst: perSecond }, worker.nowMs()),
      resumeKeys: authenticator.resumeKeys,
      metrics,
      wallMs: () => clock.nowMs(),
      refusal: () => refusal(drainer.isCordoned || isStopping, worker.connections.size >= room.effectiveMaxConnections),
      readiness,
      onAttempt: () => drainer.attempted(),
    });
    stops.push(() => listener.stop());

    return {
      addresses: { client: listener.address, admin: admin?.address, grpc: grpcAddress },
      metrics: metrics.registry,
      status,
      readiness,
      ...control,
      stop: async (how) => {
        if (how.kind === "drain") {
          const { reconnectsPerSecond, deadlineMs, stragglerGraceMs } = config.drain;
          await drainer.drainOwn({ perSecond: reconnectsPerSecond, withinMs: deadlineMs, stragglerGraceMs });
        }
        isStopping = true;
        drainer.closeAll();
        for (let waitedMs = 0; worker.connections.size > 0 && waitedMs < closeMs; waitedMs += 20) {
          await new Promise<void>((resolve) => clock.after(20, resolve));
        }
        await stopAll();
      },
    };
  } catch (cause) {
    await stopAll();
    throw cause;
  }
}

const states = {
  serving: v1.ServingState.STATE_SERVING,
  cordoned: v1.ServingState.STATE_CORDONED,
  draining: v1.ServingState.STATE_DRAINING,
  drained: v1.ServingState.STATE_DRAINED,
} as const;

/** Jittered: those refused together do not come back together. */
function refusal(isCordoned: boolean, isFull: boolean): { readonly retryAfterMs: number } | undefined {
  if (!isCordoned && !isFull) return undefined;
  return { retryAfterMs: (isFull ? limits.fullRetryMs : limits.cordonedRetryMs) * (0.5 + Math.random()) };
}
