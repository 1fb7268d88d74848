import { isUtf8 } from "node:buffer";
import { limits } from "@pushfleet/protocol";
import type { Registry } from "@pushfleet/registry";
import {
  bindGrpcServer,
  type Clock,
  createGrpcServer,
  createLogger,
  type Logger,
  type RouterLink,
  startAdminServer,
  v1,
} from "@pushfleet/service";
import type { Registry as MetricsRegistry } from "prom-client";
import type { RouterConfig } from "./configuration.js";
import { Dedupe } from "./core/dedupe.js";
import { createStamp } from "./core/stamp.js";
import type { Store } from "./core/store.js";
import { Appender } from "./shell/appender.js";
import { Deliverer } from "./shell/deliverer.js";
import { startHttpSource } from "./shell/http-source.js";
import { type KafkaSource, startKafkaSource } from "./shell/kafka-source.js";
import { createMemoryStore } from "./shell/memory-store.js";
import { Pipeline } from "./shell/pipeline.js";
import { errorJson, publish } from "./shell/publish.js";
import { createRecentEvents } from "./shell/recent-events.js";
import { createRouterMetrics } from "./shell/router-metrics.js";
import { addRouterService, createRouterLink, type EmitEvents, type ReadFanOut, type Taken } from "./shell/router-service.js";

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
  /** Stops taking, finishes what is under way (bounded), commits. */
  stop(): Promise<void>;
}

export interface RouterTotals {
  readonly accepted: number;
  readonly deliveries: number;
  readonly written: number;
  readonly offline: number;
  readonly stale: number;
  readonly overflow: number;
  readonly deadLettered: number;
}

export interface RouterParts {
  readonly registry: Registry;
  readonly store: Store;
  readonly clock: Clock;
  readonly logger?: Logger | undefined;
}

export function createStore(config: RouterConfig["store"], options: { readonly clock: Clock }): Store {
  switch (config.kind) {
    case "memory":
      return createMemoryStore(options);
  }
}

/** Starts everything, Kafka last; rejects with what would be right when a part cannot start, and leaves nothing running then. */
export async function createRouter(config: RouterConfig, parts: RouterParts): Promise<Router> {
  const { registry, store, clock, logger = createLogger("router") } = parts;
  const stops: (() => Promise<void> | void)[] = [];
  const stopAll = async (): Promise<void> => {
    for (const stop of stops.splice(0).reverse()) await stop();
  };
  try {
    await store.start();
    stops.push(() => store.stop());
    if (config.kafka !== undefined) logger.warn("store.kind memory: notifications are lost with this router, run one only");
    const stamp = createStamp(() => clock.nowMs());
    const metrics = createRouterMetrics(() => pipeline.inFlight);
    const deliverer = new Deliverer({ registry, clock, tls: config.grpc.tls, onHop: metrics.onHop });
    stops.push(() => deliverer.stop());
    const appender = new Appender({ store, stamp, dedupe: new Dedupe(limits.dedupeEntriesMax), clock });
    const pipeline = new Pipeline({ appender, deliverer, clock, logger, random: Math.random, onOutcomes: metrics.onOutcomes });
    stops.push(() => pipeline.stop());

    const recent = createRecentEvents();
    let kafka: KafkaSource | undefined;
    const emitEvents: EmitEvents = (records) => (kafka === undefined ? recent.emitEvents(records) : emitTo(kafka, records));
    const link = createRouterLink({ store, stamp, emitEvents, fanOut: (read) => fanOut(deliverer, read, clock), logger });
    const publishText = (text: string) => publish(text, { pipeline, clock });

    const grpc = createGrpcServer();
    addRouterService(grpc, link, async (body) =>
      isUtf8(body)
        ? publishText(body.toString("utf8"))
        : { status: 400, body: errorJson({ code: "bad_request", message: "the body is not UTF-8" }) },
    );
    const grpcPort = await bindGrpcServer(grpc, config.grpc.host, config.grpc.port, config.grpc.tls);
    stops.push(() => grpc.forceShutdown());
    const admin = await startAdminServer({
      ...config.admin,
      metrics: metrics.registry,
      readiness: () =>
        config.kafka === undefined || kafka?.isConnected() === true
          ? { kind: "ready" }
          : { kind: "not_ready", reason: "not a member of the Kafka group" },
    });
    stops.push(() => admin.stop());
    const { host, port, apiTokensFile } = config.http;
    const http = await startHttpSource({ host, port, apiTokensFile, publish: publishText });
    stops.push(() => http.stop());
    if (config.kafka !== undefined) {
      kafka = await startKafkaSource({ ...config.kafka, pipeline, clock, logger, onDeadLetter: metrics.onDeadLetter });
      stops.push(() => kafka?.stop());
    }
    return {
      addresses: { http: http.address, admin: admin.address, grpc: `${config.grpc.host}:${grpcPort}` },
      link,
      metrics: metrics.registry,
      totals: () => ({ ...metrics.totals }),
      recentClientEvents: () => recent.recent().map((text): unknown => JSON.parse(text)),
      stop: stopAll,
    };
  } catch (cause) {
    await stopAll();
    throw cause;
  }
}

async function emitTo(kafka: KafkaSource, records: Parameters<EmitEvents>[0]): Promise<Taken> {
  try {
    await kafka.emit(records);
    return { kind: "taken" };
  } catch (cause) {
    return { kind: "unavailable", cause: cause as Error };
  }
}

const fanOutAttempts = 3;
const fanOutPauseMs = 100;

/** A read mark is stored already: a device that is not reached finds it in its next sync. */
async function fanOut(deliverer: Deliverer, read: ReadFanOut, clock: Clock): Promise<Taken> {
  const frame = {
    ...read,
    kind: v1.FrameKind.FRAME_MARK_READ,
    notificationId: "",
    createdAtMs: clock.nowMs(),
    expiresAtMs: 0,
    lane: v1.Lane.LANE_NORMAL,
    collapseKey: "",
  };
  for (let attempt = 0; attempt < fanOutAttempts; attempt++) {
    if ((await deliverer.deliver(frame)).kind === "done") return { kind: "taken" };
    await new Promise<void>((resolve) => clock.after(fanOutPauseMs, resolve));
  }
  return { kind: "unavailable", cause: new Error("the other devices could not be reached") };
}
