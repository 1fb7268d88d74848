import { closeCodes, type UserId } from "@pushfleet/protocol";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { FailedResumes } from "../core/failed-resumes.js";
import type { Admitted } from "./handshake.js";
import { memoryBytes, openFiles } from "./machine.js";
import { TimeHistogram } from "./time-histogram.js";

/** What became of each attempt to connect; one for each. */
export const handshakeResults = [
  "accepted",
  /** 503: the bucket was empty. */
  "busy",
  /** 1013: full, cordoned, or nobody could say whether the token is good. */
  "refused",
  "forbidden_origin",
  "bad_frame",
  "unauthenticated",
  "revoked",
  "replaced",
  "auth_timeout",
  /** Closed by the client before hello, or for something else. */
  "abandoned",
] as const;
export type HandshakeResult = (typeof handshakeResults)[number];

/** Codes that are counted by themselves; a client may send any other. */
const countedCodes: readonly number[] = [1000, 1005, 1006, ...Object.values(closeCodes).map(({ code }) => code)];

/** Why uWebSockets.js cut a connection (the client sees 1006), by what it says. */
const cutReasons: readonly (readonly [RegExp, string])[] = [
  [/too big/i, "frame_too_big"],
  [/utf-?8|text/i, "invalid_utf8"],
  [/timed? ?out/i, "timeout"],
  [/.+/, "other"],
];

const deliveryBounds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60];
const reconnectBounds = [0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300];

export interface MetricsSources {
  readonly connections: () => number;
  readonly memoryLimitBytes: number;
  readonly nofile: number | undefined;
}

/** Everything a worker counts. Hot counts are plain numbers, put into the metrics when somebody looks. */
export class Metrics {
  readonly registry = new Registry();
  readonly handshakes: Record<HandshakeResult, number> = Object.fromEntries(handshakeResults.map((result) => [result, 0])) as Record<
    HandshakeResult,
    number
  >;
  readonly closes = new Map<string, number>([...countedCodes.map((code): [string, number] => [String(code), 0]), ["other", 0]]);
  readonly cuts = new Map<string, number>(cutReasons.map(([, name]) => [name, 0]));
  readonly delivery: TimeHistogram;
  readonly receipt: TimeHistogram;
  readonly reconnect: Histogram;
  heartbeats = 0;
  heartbeatFailures = 0;
  attempts = 0;
  resumed = 0;
  resumeAttempts = 0;
  resumeFailures = 0;
  reconnectsSent = 0;
  drainCloses = 0;
  deliveries = 0;
  readonly #failedResumes = new FailedResumes();

  constructor(sources: MetricsSources) {
    const registers = [this.registry];
    const of = { registers: this.registry };
    this.delivery = new TimeHistogram({
      ...of,
      name: "pushfleet_delivery_seconds",
      help: "From created_at, or the Kafka timestamp, until the socket accepted the notification",
      bounds: deliveryBounds,
    });
    this.receipt = new TimeHistogram({
      ...of,
      name: "pushfleet_receipt_seconds",
      help: "From created_at until the client's ack, of a sample of the notifications acked within a minute",
      bounds: deliveryBounds,
    });
    this.reconnect = new Histogram({
      registers,
      name: "pushfleet_gateway_reconnect_seconds",
      help: "How long clients were without a connection, as they say (down_ms)",
      buckets: reconnectBounds,
    });
    this.#gauge("connections", "Open connections, from hello on", sources.connections);
    this.#gauge("memory_bytes", "Memory of the cgroup, kernel buffers included", memoryBytes, "max");
    this.#gauge("memory_limit_bytes", "Memory limit of the cgroup, or the machine's memory", () => sources.memoryLimitBytes, "max");
    this.#gauge("open_fds", "Open file descriptors", openFiles);
    this.#gauge("max_fds", "Limit of open file descriptors", () => sources.nofile ?? 0);
    this.#counter("heartbeats_total", "Pings sent", () => this.heartbeats);
    this.#counter("heartbeat_failures_total", "Connections closed for want of a pong", () => this.heartbeatFailures);
    this.#counter(
      "resume_attempts_total",
      "Handshakes that presented a valid resume and have their result, but while cordoned",
      () => this.resumeAttempts,
    );
    this.#counter("resume_failures_total", "Of those, the ones that got no hello, one a minute of each user", () => this.resumeFailures);
    this.#labelled("handshakes_total", "Attempts to connect, by result", "result", () => Object.entries(this.handshakes));
    this.#labelled("closes_total", "Closed connections, by close code", "code", () => this.closes);
    this.#labelled("cuts_total", "Connections cut with nothing on the wire (1006), by reason", "reason", () => this.cuts);
  }

  /** An upgrade was decided on, at `nowMs` (monotonic): the result of one that arrives comes later. */
  admitted(admitted: Admitted, nowMs: number): void {
    if (admitted.kind === "arrive") return;
    this.handshake(admitted.result);
    if (admitted.failsResumeOf !== undefined) this.resumeFailed(admitted.failsResumeOf, nowMs);
  }

  /** A handshake that presented a valid resume got its hello, or was replaced by a newer one of its device. */
  resumeSucceeded(): void {
    this.resumeAttempts += 1;
  }

  /** One that presented the resume of `user` got none. */
  resumeFailed(user: UserId, nowMs: number): void {
    if (!this.#failedResumes.isFirst(user, nowMs)) return;
    this.resumeAttempts += 1;
    this.resumeFailures += 1;
  }

  handshake(result: HandshakeResult): void {
    this.handshakes[result] += 1;
  }

  /** `reason` is uWebSockets.js' own when the code is 1006. */
  close(code: number, reason: string): void {
    const name = countedCodes.includes(code) ? String(code) : "other";
    this.closes.set(name, (this.closes.get(name) ?? 0) + 1);
    const cut = code === 1006 ? cutReasons.find(([pattern]) => pattern.test(reason)) : undefined;
    if (cut !== undefined) this.cuts.set(cut[1], (this.cuts.get(cut[1]) ?? 0) + 1);
  }

  /** `aggregator`: what becomes of it over the workers of a gateway. */
  #gauge(name: string, help: string, read: () => number, aggregator: "sum" | "max" = "sum"): void {
    new Gauge({
      registers: [this.registry],
      name: `pushfleet_gateway_${name}`,
      help,
      aggregator,
      collect() {
        this.set(read());
      },
    });
  }

  #counter(name: string, help: string, read: () => number): void {
    new Counter({
      registers: [this.registry],
      name: `pushfleet_gateway_${name}`,
      help,
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  }

  #labelled(name: string, help: string, label: string, read: () => Iterable<readonly [string, number]>): void {
    new Counter({
      registers: [this.registry],
      name: `pushfleet_gateway_${name}`,
      help,
      labelNames: [label],
      collect() {
        this.reset();
        for (const [value, count] of read()) this.inc({ [label]: value }, count);
      },
    });
  }
}
