import { randomBytes } from "node:crypto";
import { limits } from "@pushfleet/protocol";
import type { Clock, Logger } from "@pushfleet/service";
import { type Counter, Registry } from "prom-client";
import { unlessAborted } from "./deadline.js";
import { EventCorrelator, type Series } from "./event-series.js";
import { microTime } from "./lease-record.js";
import { sharedCounter } from "./metrics.js";
import { resources } from "./resources.js";
import type { ApiResult, KubernetesApi, KubernetesObject, ObjectMeta } from "./types.js";

/** What happened to whom, for people: `kubectl describe` shows it. */
export interface EventToRecord {
  /** The object it is about. */
  readonly regarding: Pick<KubernetesObject, "apiVersion" | "kind"> & {
    readonly metadata: Pick<ObjectMeta, "name" | "namespace" | "uid" | "resourceVersion">;
  };
  readonly type: "Normal" | "Warning";
  /** Why, in one word for machines: "DrainBlocked". */
  readonly reason: string;
  /** What was done or not done about it: "Drain". */
  readonly action: string;
  /** For people. Cut at `limits.eventNoteBytesMax`. */
  readonly note: string;
}

export interface EventRecorderOptions {
  readonly api: Pick<KubernetesApi, "create" | "patch">;
  /** "pushfleet-operator". */
  readonly reportingController: string;
  /** This process: the pod's name. */
  readonly reportingInstance: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics?: Registry;
}

type Outcome = "written" | "failed" | "dropped";

/** Writes events (events.k8s.io/v1) in the background, one at a time in each namespace. The same event within six minutes is one with a higher count; about one
 *  object little is written; an event that cannot be written is dropped. Nobody waits for it. */
export class EventRecorder {
  readonly #options: EventRecorderOptions;
  readonly #correlator = new EventCorrelator<EventToRecord>();
  readonly #waiting = new Map<string, Set<Series<EventToRecord>>>();
  readonly #events: Counter<"outcome">;
  readonly #cut = new AbortController();
  /** By namespace: an admission webhook may leave the writes of one unanswered. */
  readonly #writing = new Map<string, Promise<void>>();
  #waitingCount = 0;
  #stopped = false;
  /** The last write failed, and that was logged. */
  #failing = false;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#events = sharedCounter(options.metrics ?? new Registry(), {
      name: "pushfleet_operator_events_total",
      help: "Events written, failed to be written, and dropped because there were too many",
      labelNames: ["outcome"],
    });
    for (const outcome of ["written", "failed", "dropped"] satisfies Outcome[]) this.#events.inc({ outcome }, 0);
  }

  record(event: EventToRecord): void {
    if (this.#stopped) return;
    const { apiVersion, kind, metadata } = event.regarding;
    // Warnings have a bound of their own: what a person must do is not to be left out because much was done.
    const about = JSON.stringify([apiVersion, kind, metadata.namespace, metadata.name, metadata.uid, event.type]);
    const key = JSON.stringify([about, event.reason, event.action, event.note]);
    const series = this.#correlator.record(key, about, event, this.#options.clock.monotonicMs());
    const namespace = namespaceOf(event);
    const waiting = this.#waiting.get(namespace) ?? new Set();
    if (series !== undefined && waiting.has(series)) return;
    if (series === undefined || this.#waitingCount >= limits.eventQueueMax) {
      this.#events.inc({ outcome: "dropped" });
      return;
    }
    this.#waiting.set(namespace, waiting.add(series));
    this.#waitingCount += 1;
    if (!this.#writing.has(namespace)) this.#writing.set(namespace, this.#writeAll(namespace, waiting));
  }

  /** Writes what waits, for at most `limits.eventStopMs`. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const cancel = this.#options.clock.after(limits.eventStopMs, () => this.#cut.abort(new Error("stopped")));
    await unlessAborted(Promise.all(this.#writing.values()), this.#cut.signal).catch(() => undefined); // what is left is dropped
    cancel();
    this.#cut.abort(new Error("stopped"));
  }

  async #writeAll(namespace: string, waiting: Set<Series<EventToRecord>>): Promise<void> {
    await Promise.resolve(); // not within `record`
    for (const series of waiting) {
      waiting.delete(series);
      this.#waitingCount -= 1;
      if (this.#cut.signal.aborted) break;
      this.#wrote(await this.#write(series));
    }
    // In the same turn as the last look at what waits.
    this.#writing.delete(namespace);
    this.#waiting.delete(namespace);
  }

  async #write(series: Series<EventToRecord>): Promise<ApiResult<unknown>> {
    const { api } = this.#options;
    const { signal } = this.#cut;
    if (series.name !== undefined) {
      const key = { namespace: namespaceOf(series.event), name: series.name };
      const patched = await api.patch(resources.events, key, { series: this.#countOf(series) }, { signal });
      if (patched.kind !== "notFound") return patched;
    }
    const object = this.#eventObject(series);
    const created = await api.create(resources.events, object, { signal });
    if (created.kind === "ok") series.name = object.metadata.name;
    return created;
  }

  #wrote(result: ApiResult<unknown>): void {
    const written = result.kind === "ok";
    this.#events.inc({ outcome: written ? "written" : "failed" });
    if (!written && !this.#failing)
      this.#options.logger.warn({ result }, "an event could not be written and is dropped, as are others until one can");
    this.#failing = !written;
  }

  #eventObject(series: Series<EventToRecord>) {
    const { reportingController, reportingInstance, clock } = this.#options;
    const { regarding, type, reason, action, note } = series.event;
    const { name, namespace, uid, resourceVersion } = regarding.metadata;
    const nowMs = clock.nowMs();
    return {
      apiVersion: "events.k8s.io/v1",
      kind: "Event",
      metadata: { namespace: namespaceOf(series.event), name: eventName(name, nowMs) },
      eventTime: microTime(nowMs),
      reportingController,
      reportingInstance: reportingInstance.slice(0, limits.eventReporterCharactersMax),
      type,
      reason,
      action,
      note: withLeftOut(note, series.leftOut),
      regarding: {
        apiVersion: regarding.apiVersion,
        kind: regarding.kind,
        name,
        ...(namespace === undefined ? {} : { namespace }),
        ...(uid === undefined ? {} : { uid }),
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      },
      ...(series.count > 1 ? { series: this.#countOf(series) } : {}),
    };
  }

  #countOf({ count, lastAtMs }: Series<EventToRecord>) {
    const { clock } = this.#options;
    return { count, lastObservedTime: microTime(clock.nowMs() - (clock.monotonicMs() - lastAtMs)) };
  }
}

/** Events of what has no namespace stand in `default`. */
function namespaceOf({ regarding: { metadata } }: EventToRecord): string {
  return metadata.namespace ?? "default";
}

/** A DNS name of at most 253 characters that nobody else makes. */
function eventName(name: string, nowMs: number): string {
  return `${name.slice(0, 200).replace(/[^a-z0-9]+$/, "")}.${nowMs.toString(16)}${randomBytes(4).toString("hex")}`;
}

function withLeftOut(note: string, leftOut: number): string {
  const told = leftOut === 0 ? "" : ` (${leftOut} more before it were too many to be written)`;
  return `${cutToBytes(note, limits.eventNoteBytesMax - told.length)}${told}`;
}

/** At most so many bytes of UTF-8, whole characters. */
function cutToBytes(text: string, bytesMax: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= bytesMax) return text;
  const cut = bytes
    .subarray(0, bytesMax - 3)
    .toString("utf8")
    .replace(/\uFFFD+$/, "");
  return `${cut}...`;
}
