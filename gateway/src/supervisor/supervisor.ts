import { assertNever, type Incarnation, limits } from "@pushfleet/protocol";
import type { Registry } from "@pushfleet/registry";
import { type AdminServer, type Cancel, type Clock, type Logger, type Readiness, startAdminServer, type v1 } from "@pushfleet/service";
import { AggregatorRegistry } from "prom-client";
import type { GatewayConfig } from "../configuration.js";
import type { FromWorker, MetricsJson, WorkerReport } from "./messages.js";
import { WholeDrain } from "./whole-drain.js";
import { wholeReadiness, wholeStatus } from "./whole-status.js";
import { workerConfig } from "./worker-config.js";
import { type WorkerChannel, WorkerProcess } from "./worker-process.js";

export interface SupervisorOptions {
  readonly config: GatewayConfig;
  readonly workers: number;
  /** Of the supervisor itself, to end the leases of workers that died. */
  readonly registry: Pick<Registry, "releaseLease">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly startWorker: (index: number) => WorkerChannel;
  /** Memory of the container and its limit; `limitBytes` is `undefined` where there is none. */
  readonly memory: () => { readonly usedBytes: number; readonly limitBytes: number | undefined };
}

/** A gateway of several worker processes that share the client ports. It touches no client socket: it starts workers, and starts them again when
 *  they die, sums what they say, splits what they are told, and ends the fattest before the kernel ends them all. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #workers: (WorkerProcess | undefined)[] = [];
  readonly #drain: WholeDrain;
  readonly #deaths = new Map<number, { readonly count: number; readonly atMs: number }>();
  readonly #cancels: Cancel[] = [];
  #admin: AdminServer | undefined;
  #isStopping = false;
  #relievedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#drain = new WholeDrain(options.clock, () => this.#ready());
  }

  get addresses() {
    const workers = this.#running();
    return {
      client: workers[0]?.addresses.client,
      admin: this.#admin?.address,
      grpc: workers.map(({ addresses }) => addresses.grpc),
    };
  }

  /** Resolves when every worker is ready; rejects, with none left, when one could not start. */
  async start(): Promise<void> {
    const { config, workers, clock } = this.#options;
    try {
      // One after the other: the first to fail on a port or a file says so, and the others need not try.
      for (let index = 0; index < workers; index++) await this.#startFirst(index);
      if (config.admin !== undefined) {
        const metrics = { contentType: "text/plain; version=0.0.4; charset=utf-8" as const, metrics: () => this.metrics() };
        this.#admin = await startAdminServer({ ...config.admin, metrics, readiness: () => this.readiness() });
      }
    } catch (cause) {
      await this.stop("close");
      throw cause;
    }
    this.#cancels.push(
      clock.every(limits.statusCheckMs, () => this.#tellWhole()),
      clock.every(limits.memoryCheckMs, () => this.#relieveMemory()),
    );
  }

  status(): v1.IGatewayStatus {
    return wholeStatus(this.#options.config.id, this.#reports(), this.#options.clock.nowMs());
  }

  readiness(): Readiness {
    return this.#isStopping ? { kind: "not_ready", reason: "stopping" } : wholeReadiness(this.#reports());
  }

  /** Prometheus text, summed over the workers. */
  async metrics(): Promise<string> {
    const all = await Promise.all(this.#ready().map((worker) => worker.metrics()));
    return await AggregatorRegistry.aggregate(all.filter((one) => one !== undefined) as MetricsJson[]).metrics();
  }

  /** Resolves when every worker has ended, by force if it does not end by itself. */
  async stop(how: "drain" | "close"): Promise<void> {
    this.#isStopping = true;
    for (const cancel of this.#cancels.splice(0)) cancel();
    const { config, clock } = this.#options;
    for (const worker of this.#running()) worker.tell({ kind: "stop", how });
    const withinMs = (how === "drain" ? config.drain.deadlineMs : 0) + 2 * limits.closeAllMs;
    const cancelKill = clock.after(withinMs, () => {
      for (const worker of this.#running()) worker.kill();
    });
    await new Promise<void>((resolve) => {
      this.#onWorkerGone = () => {
        if (this.#running().length === 0) resolve();
      };
      this.#onWorkerGone();
    });
    cancelKill();
    this.#drain.stop();
    await this.#admin?.stop();
  }

  #onWorkerGone: () => void = () => {};

  #running(): readonly WorkerProcess[] {
    return this.#workers.filter((worker) => worker !== undefined);
  }

  #ready(): readonly WorkerProcess[] {
    return this.#running().filter(({ report }) => report !== undefined);
  }

  #reports(): readonly WorkerReport[] {
    return this.#running().flatMap(({ report }) => report ?? []);
  }

  #startFirst(index: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#start(index, resolve, reject);
    });
  }

  #start(index: number, onReady: () => void, onFailed: (cause: Error) => void): void {
    const { config, workers, startWorker, logger } = this.#options;
    const channel = startWorker(index);
    const worker = new WorkerProcess(index, channel);
    this.#workers[index] = worker;
    let failure = "it ended before it was ready";
    channel.onMessage((message) => {
      if (message.kind === "ready") onReady();
      if (message.kind === "failed") failure = message.message;
      if (message.kind === "ask") void this.#answer(worker, message);
    });
    channel.onGone(() => {
      const wasReady = worker.report !== undefined;
      this.#workers[index] = undefined;
      if (wasReady) this.#onDeath(worker);
      else {
        logger.error({ worker: index, reason: failure }, "a worker could not start");
        onFailed(new Error(`worker ${index} could not start: ${failure}`));
      }
      this.#onWorkerGone();
    });
    worker.tell({ kind: "start", worker: index, workers, config: workerConfig(config, index, workers) });
  }

  /** Its half a million entries die with its lease: at once, not in a minute. Then another takes its place. */
  #onDeath(worker: WorkerProcess): void {
    if (this.#isStopping) return;
    const { logger, registry } = this.#options;
    const incarnation = worker.report?.status.incarnation;
    logger.error({ worker: worker.index, incarnation }, "a worker died");
    if (typeof incarnation === "string") void registry.releaseLease(incarnation as Incarnation);
    this.#restart(worker.index);
  }

  /** At once, then ever later while it dies again within a minute. */
  #restart(index: number): void {
    const { clock, logger } = this.#options;
    const nowMs = clock.monotonicMs();
    const before = this.#deaths.get(index);
    const count = before !== undefined && nowMs - before.atMs < limits.workerRestartMsMax * 2 ? before.count + 1 : 1;
    this.#deaths.set(index, { count, atMs: nowMs });
    const delayMs = count === 1 ? 0 : Math.min(1000 * 2 ** (count - 2), limits.workerRestartMsMax);
    this.#cancels.push(
      clock.after(delayMs, () => {
        if (this.#isStopping) return;
        const onReady = (): void => {
          logger.info({ worker: index }, "a worker was started again");
          const worker = this.#workers[index];
          if (worker !== undefined) void this.#drain.join(worker);
        };
        this.#start(index, onReady, () => this.#restart(index));
      }),
    );
  }

  async #answer(worker: WorkerProcess, { id, what }: Extract<FromWorker, { readonly kind: "ask" }>): Promise<void> {
    switch (what.kind) {
      case "drain":
        worker.reply(id, await this.#drain.grant(what.grant, what.reason));
        return;
      case "abort":
        worker.reply(id, await this.#drain.abort(what.epoch));
        return;
      default:
        assertNever(what);
    }
  }

  #tellWhole(): void {
    const status = this.status();
    for (const worker of this.#ready()) worker.tell({ kind: "whole", status });
  }

  /** When the container nears its limit the kernel would kill whatever it likes, or everything: the worker with most memory goes instead. */
  #relieveMemory(): void {
    const { memory, clock, logger } = this.#options;
    const { usedBytes, limitBytes } = memory();
    const nowMs = clock.monotonicMs();
    if (limitBytes === undefined || usedBytes < limitBytes * limits.memoryShareMax) return;
    if (nowMs - this.#relievedAtMs < limits.memoryReliefMs) return;
    const fattest = [...this.#ready()].sort((a, b) => (b.report?.rssBytes ?? 0) - (a.report?.rssBytes ?? 0))[0];
    if (fattest === undefined) return;
    this.#relievedAtMs = nowMs;
    logger.error({ worker: fattest.index, usedBytes, limitBytes }, "memory is running out: a worker is restarted");
    fattest.tell({ kind: "stop", how: "close" });
    clock.after(2 * limits.closeAllMs, () => {
      if (!fattest.isGone) fattest.kill();
    });
  }
}
