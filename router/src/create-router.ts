import { limits } from "@pushfleet/protocol";
import type { Registry } from "@pushfleet/registry";
import {
  type AdminServer,
  addHealthService,
  bindGrpcServer,
  type Clock,
  createGrpcServer,
  createLogger,
  hostPort,
  type Logger,
  openCertificate,
  type Readiness,
  type RouterLink,
  routerServiceName,
  startAdminServer,
} from "@pushfleet/service";
import type { Registry as MetricsRegistry } from "prom-client";
import type { RouterConfig } from "./configuration.js";
import { Dedupe } from "./core/dedupe.js";
import { createStamp } from "./core/stamp.js";
import type { Store } from "./core/store.js";
import { Deliverer } from "./shell/deliverer.js";
import { startHttpSource } from "./shell/http-source.js";
import { KafkaSource } from "./shell/kafka-source.js";
import { createMemoryStore } from "./shell/memory-store.js";
import { Pipeline } from "./shell/pipeline.js";
import { Publisher } from "./shell/publisher.js";
import { ReadMarkSender } from "./shell/read-mark-sender.js";
import { createRecentEvents } from "./shell/recent-events.js";
import { createRouterMetrics, type RouterTotals } from "./shell/router-metrics.js";
import { addRouterService, createRouterLink, type EmitEvents } from "./shell/router-service.js";
import { settleWithin } from "./shell/settle-within.js";

export type { RouterTotals } from "./shell/router-metrics.js";

/** A router in this process. */
export interface Router {
  /** "host:port" each; the ports that were given when 0 was asked for. */
  readonly addresses: { readonly http: string; readonly admin: string; readonly grpc: string };
  /** What gateways ask, without gRPC between. */
  readonly link: RouterLink;
  readonly metrics: MetricsRegistry;
  totals(): RouterTotals;
  /** The last client events, where there is no Kafka. */
  recentClientEvents(): readonly unknown[];
  readiness(): Readiness;
  /** Stops taking, finishes what is under way (bounded), commits. */
  stop(): Promise<void>;
}

export interface RouterParts {
  readonly registry: Registry;
  readonly store: Store;
  readonly clock: Clock;
  readonly logger?: Logger | undefined;
  /** In [0, 1), for the jitter of retries. */
  readonly random?: (() => number) | undefined;
}

export function createStore(config: RouterConfig["store"], options: { readonly clock: Clock }): Store {
  switch (config.kind) {
    case "memory":
      return createMemoryStore(options);
  }
}

/** Starts everything; rejects with what would be right when a part cannot start, and leaves nothing running then. A Kafka that is away is waited
 *  for in the background: the router is not ready, and takes what comes by HTTP. */
export async function createRouter(config: RouterConfig, parts: RouterParts): Promise<Router> {
  const stops: (() => Promise<void> | void)[] = [];
  try {
    return await start(config, parts, stops);
  } catch (cause) {
    await stopAll(stops);
    throw cause;
  }
}

/** In the reverse order of their start: what takes, before what it hands to. */
async function stopAll(stops: (() => Promise<void> | void)[]): Promise<void> {
  for (const stop of stops.splice(0).reverse()) await stop();
}

async function start(config: RouterConfig, parts: RouterParts, stops: (() => Promise<void> | void)[]): Promise<Router> {
  const { registry, store, clock, logger = createLogger("router"), random = Math.random } = parts;
  await store.start();
  stops.push(() => store.stop());
  if (config.kafka !== undefined) logger.warn("store.kind memory: notifications are lost with this router, run one only");

  const stamp = createStamp(() => clock.nowMs());
  const metrics = createRouterMetrics({
    inFlight: () => pipeline.inFlight,
    lag: () => kafka?.lag ?? 0,
    workers: () => deliverer.workers,
  });
  const certificate = config.grpc.tls && openCertificate(config.grpc.tls, { of: { role: "router" }, clock, logger });
  stops.push(() => certificate?.stop());
  const shared = { ...metrics, registry, store, stamp, clock, logger, random };
  const deliverer = new Deliverer({ ...shared, tls: certificate });
  stops.push(() => deliverer.stop());
  const dedupe = new Dedupe(limits.dedupeEntriesMax);
  const pipeline = new Pipeline({ ...shared, deliverer, dedupe });
  stops.push(() => pipeline.stop());
  const publisher = new Publisher({ ...shared, pipeline });
  const kafka = config.kafka && new KafkaSource({ ...config.kafka, ...shared, pipeline });

  const readMarks = new ReadMarkSender({ pipeline, clock });
  const recent = createRecentEvents();
  const link = createRouterLink({
    store,
    stamp,
    emitEvents: kafka === undefined ? recent.emitEvents : emitTo(kafka),
    fanOut: async (read) => readMarks.send(read),
    onRead: ({ user, notificationIds }) => dedupe.markRead(user, notificationIds),
    logger,
  });
  let isStopping = false;
  const readiness = (): Readiness => {
    if (isStopping) return { kind: "not_ready", reason: "stopping" };
    return kafka === undefined || kafka.isMember ? { kind: "ready" } : { kind: "not_ready", reason: "not a member of the Kafka group" };
  };
  const grpc = createGrpcServer();
  addHealthService(grpc, { services: [routerServiceName], readiness, clock });
  addRouterService(grpc, link, (body) => publisher.publish(body));
  const grpcPort = await bindGrpcServer(grpc, config.grpc.host, config.grpc.port, certificate, { logger });
  stops.push(async () => {
    await settleWithin(clock, limits.routerPartStopMs, new Promise<void>((resolve) => grpc.tryShutdown(() => resolve())));
    grpc.forceShutdown();
  });
  const admin: AdminServer = await startAdminServer({ ...config.admin, metrics: metrics.registry, readiness });
  stops.push(() => admin.stop());
  const http = await startHttpSource({
    ...config.http,
    apiTokensFile: config.http.apiTokensFile,
    clock,
    logger,
    publish: (body) => publisher.publish(body),
    giveUp: () => publisher.giveUp(),
  });
  kafka?.start();
  stops.push(async () => {
    await Promise.all([http.stop(), kafka?.stop()]);
  });
  return {
    addresses: { http: http.address, admin: admin.address, grpc: hostPort(config.grpc.host, grpcPort) },
    link,
    metrics: metrics.registry,
    totals: metrics.totals,
    recentClientEvents: () => recent.recent().map((text): unknown => JSON.parse(text)),
    readiness,
    stop: () => {
      isStopping = true;
      return stopAll(stops);
    },
  };
}

function emitTo(kafka: KafkaSource): EmitEvents {
  return async (records) =>
    (await kafka.emit(records)) ? { kind: "taken" } : { kind: "unavailable", cause: new Error("kafka did not take the client events") };
}
