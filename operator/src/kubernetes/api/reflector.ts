import { assertNever, limits } from "@pushfleet/protocol";
import type { Clock, Logger } from "@pushfleet/service";
import { Registry } from "prom-client";
import { answerTooLong, type Unwell } from "./api-result.js";
import { BackOff, pause } from "./back-off.js";
import type { ChangeListener, ObjectCache } from "./cache.js";
import { type ReflectorMetrics, reflectorMetrics } from "./reflector-metrics.js";
import type { ApiResult, KubernetesApi, KubernetesObject, Resource, WatchEvent } from "./types.js";

export interface ReflectorOptions<T extends KubernetesObject> {
  readonly api: Pick<KubernetesApi, "list" | "watch">;
  readonly resource: Resource<T>;
  /** Absent: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  /** Filled by this reflector alone. */
  readonly cache: ObjectCache<T>;
  /** Told every change of the cache once; must not throw. */
  readonly onChange?: ChangeListener<T>;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics?: Registry;
}

/** What comes next, and after which pause. */
interface Step {
  readonly next: "list" | "watch";
  readonly pauseMs: number;
}

/** Keeps a cache as the API server has a resource: a paged list, then watches, each from where the last one ended. Whatever a server or a
 *  network does, it goes on: from the last version seen where that may be, from a new list where not, ever more slowly while nothing comes
 *  of it. */
export class Reflector<T extends KubernetesObject> {
  /** Resolves when the cache has been filled once. */
  readonly synced: Promise<void>;
  readonly #options: ReflectorOptions<T>;
  readonly #metrics: ReflectorMetrics;
  readonly #backOff: BackOff;
  readonly #stop = new AbortController();
  #fillOnce: () => void = () => undefined;
  #running: Promise<void> | undefined;
  #page: number = limits.kubernetesListPage;
  /** Watches in a row that failed without a new event, and those of them whose lines were broken. */
  #failures = 0;
  #malformed = 0;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#metrics = reflectorMetrics(options.metrics ?? new Registry(), options.resource.plural);
    this.#backOff = new BackOff(limits.kubernetesRetryMinMs, limits.kubernetesRetryMaxMs, options.random);
    if (options.onChange !== undefined) options.cache.listen(options.onChange);
    this.synced = new Promise((resolve) => {
      this.#fillOnce = resolve;
    });
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends the watch; nothing is told after it. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    let next: Step["next"] = "list";
    while (!this.#stop.signal.aborted) {
      const step: Step = next === "list" ? await this.#list() : await this.#watch();
      next = step.next;
      if (step.pauseMs > 0) await pause(this.#options.clock, step.pauseMs, this.#stop.signal);
    }
  }

  async #list(): Promise<Step> {
    const { api, resource, cache, namespace, labelSelector } = this.#options;
    const selection = { ...(namespace === undefined ? {} : { namespace }), ...(labelSelector === undefined ? {} : { labelSelector }) };
    const reading = { ...selection, limit: this.#page, timeoutMs: limits.kubernetesListMs, signal: this.#stop.signal };
    this.#metrics.lists.inc();
    const items: T[] = [];
    let token: string | undefined;
    // The first page's: the watch then shows what came to earlier pages while later ones were read, where those are not of one moment.
    let version: string | undefined;
    for (let page = 0; page < limits.kubernetesListPagesMax; page += 1) {
      const result = await api.list(resource, token === undefined ? reading : { ...reading, continueToken: token });
      if (this.#stop.signal.aborted) return { next: "list", pauseMs: 0 };
      if (result.kind !== "ok") return this.#listFailed(result, page);
      const { metadata, items: more } = result.object;
      for (const item of more) items.push(item);
      token = metadata.continue;
      version ??= metadata.resourceVersion;
      if (token !== undefined) continue;
      cache.replace(items, version);
      this.#fillOnce();
      return { next: "watch", pauseMs: 0 };
    }
    return this.#listFailed({ kind: "unavailable", message: `a list of more than ${limits.kubernetesListPagesMax} pages` }, 0);
  }

  #listFailed(result: Unwell, page: number): Step {
    // Its tokens live shorter than its pages take: fewer of them may do.
    const isTokenOver = result.kind === "expired" && page > 0;
    if (isTokenOver) this.#page = Math.min(this.#page * 4, limits.kubernetesListPage * limits.kubernetesListPagesMax);
    if (result.kind === "refused" && result.reason === answerTooLong && this.#page > 1) {
      this.#page = Math.ceil(this.#page / 4);
      return { next: "list", pauseMs: 0 };
    }
    return { next: "list", pauseMs: this.#failed("list", result) };
  }

  async #watch(): Promise<Step> {
    const { api, resource, cache, namespace, labelSelector, clock, random } = this.#options;
    const { kubernetesWatchSecondsMin: least, kubernetesWatchSecondsMax: most } = limits;
    const from = cache.resourceVersion;
    const startedAtMs = clock.monotonicMs();
    let heard = false;
    this.#metrics.watches.inc();
    const result = await api.watch(
      resource,
      {
        ...(namespace === undefined ? {} : { namespace }),
        ...(labelSelector === undefined ? {} : { labelSelector }),
        resourceVersion: from,
        timeoutSeconds: Math.round(least + random() * (most - least)),
        signal: this.#stop.signal,
      },
      (event) => {
        heard = true;
        this.#take(event);
      },
    );
    if (this.#stop.signal.aborted) return { next: "list", pauseMs: 0 };
    const livedMs = clock.monotonicMs() - startedAtMs;
    const progressed = cache.resourceVersion !== from;
    // A version that is too old soon after a list is no recovery, whatever was shown before: each time a whole list follows.
    const isShort = livedMs < limits.kubernetesWatchShortMs;
    if (progressed ? !(result.kind === "expired" && isShort) : result.kind === "ok" && !isShort) this.#recovered();
    // A server whose history is behind our version (an etcd restored from a backup) lets us wait for it in silence: only a list tells.
    const deaf = !heard && livedMs >= limits.kubernetesWatchSilenceMs;
    return deaf ? { next: "list", pauseMs: 0 } : this.#afterWatch(result, livedMs);
  }

  #take(event: WatchEvent<T>): void {
    if (this.#stop.signal.aborted) return;
    const { cache } = this.#options;
    this.#metrics.events.inc();
    switch (event.type) {
      case "ADDED":
      case "MODIFIED":
      case "DELETED":
        return cache.observe(event.type, event.object);
      case "BOOKMARK":
        return cache.advance(event.object.metadata.resourceVersion ?? cache.resourceVersion);
      case "ERROR":
        return; // how the watch ends says the same
      default:
        return assertNever(event);
    }
  }

  #afterWatch(result: ApiResult<"ended">, livedMs: number): Step {
    switch (result.kind) {
      case "ok":
        return { next: "watch", pauseMs: livedMs < limits.kubernetesWatchShortMs ? this.#backOff.next() : 0 };
      case "expired": {
        const first = this.#backOff.count === 0;
        const pauseMs = this.#failed("watch", result);
        return { next: "list", pauseMs: first ? 0 : pauseMs };
      }
      case "notFound":
      case "exists":
      case "conflict":
      case "refused":
        return { next: "list", pauseMs: this.#failed("watch", result) };
      case "unavailable": {
        this.#failures += 1;
        if (result.malformed === true) this.#malformed += 1;
        const lost = this.#failures >= limits.kubernetesWatchFailuresMax || this.#malformed >= limits.kubernetesMalformedMax;
        if (lost) this.#failures = this.#malformed = 0;
        return { next: lost ? "list" : "watch", pauseMs: this.#failed("watch", result) };
      }
      default:
        return assertNever(result);
    }
  }

  /** Counts and tells a failure; gives the pause before the next attempt. */
  #failed(operation: "list" | "watch", result: Unwell): number {
    const { resource, logger, random } = this.#options;
    this.#metrics.failed(operation, result.kind);
    const level = this.#backOff.count === 0 && result.kind !== "expired" ? "warn" : "debug"; // once, not as long as it lasts
    logger[level]({ resource: resource.plural, operation, result }, "the API server did not answer as it should; trying again");
    const askedMs = result.kind === "unavailable" ? (result.retryAfterMs ?? 0) : 0;
    return Math.max(this.#backOff.next(), askedMs * (1 + limits.kubernetesRetryJitterShare * random()));
  }

  #recovered(): void {
    if (this.#failures > 0) this.#options.logger.info({ resource: this.#options.resource.plural }, "watching again");
    this.#backOff.reset();
    this.#failures = this.#malformed = 0;
  }
}
