import { randomBytes } from "node:crypto";
import { assertNever, type Cursor, formatCursor, type Incarnation, incarnationFromBytes, limits } from "@pushfleet/protocol";
import type { Lease, Refreshed, Registry } from "@pushfleet/registry";
import type { Cancel, Clock, Logger } from "@pushfleet/service";

export interface WorkerLeaseOptions {
  readonly registry: Registry;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly gateway: string;
  readonly zone: string;
  /** "host:port" of the worker's gRPC server. */
  readonly address: () => string;
}

export interface LeaseListener {
  /** There is a lease, the first one or another after a lapse: registrations may go. */
  readonly onHeld: () => void;
  /** Routers could not reach this worker: everything behind `after` may be missing on every connection. */
  readonly onResync: (after: Cursor) => void;
}

/** This worker's lease (DESIGN §4): taken at start, refreshed every `leaseRefreshMs`, never revived. After a lapse the worker is another
 *  incarnation, and whatever it had registered no longer exists. */
export class WorkerLease {
  readonly #options: WorkerLeaseOptions;
  readonly #listener: LeaseListener;
  readonly #startedAtMs: number;
  /** When each incarnation's lease was last known to live, monotonic; by generation. */
  readonly #goodMs: number[] = [];
  #incarnation = newIncarnation();
  #generation = 0;
  #isHeld = false;
  #isRunning = false;
  #isStopped = false;
  #cancelNext: Cancel = () => {};

  constructor(options: WorkerLeaseOptions, listener: LeaseListener) {
    this.#options = options;
    this.#listener = listener;
    this.#startedAtMs = options.clock.nowMs();
  }

  get incarnation(): Incarnation {
    return this.#incarnation;
  }

  /** Counts the incarnations of this worker, from 0. */
  get generation(): number {
    return this.#generation;
  }

  /** False before the first lease and between a lapse and the next one. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** ms since the lease was last known to live; infinite before the first. */
  get ageMs(): number {
    return this.#options.clock.monotonicMs() - (this.#goodMs[this.#generation] ?? Number.NEGATIVE_INFINITY);
  }

  /** Where what was lost with `generation` may begin: the last good refresh of its lease. */
  lastGoodCursor(generation: number): Cursor {
    const { clock } = this.#options;
    const goodMs = this.#goodMs[generation] ?? clock.monotonicMs();
    return formatCursor(clock.nowMs() - (clock.monotonicMs() - goodMs), 0);
  }

  /** Tries once, and goes on trying in the background: a registry that is away does not keep a worker from starting. */
  start(): Promise<void> {
    return this.#run();
  }

  /** At once: after a reconnect of the registry the lease may be gone. */
  refreshNow(): void {
    void this.#run();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelNext();
    if (this.#isHeld) await this.#options.registry.releaseLease(this.#incarnation);
    this.#isHeld = false;
  }

  async #run(): Promise<void> {
    if (this.#isRunning || this.#isStopped) return;
    this.#isRunning = true;
    this.#cancelNext();
    const askedMs = this.#options.clock.monotonicMs();
    const isKept = this.#isHeld ? await this.#refresh(askedMs) : await this.#acquire(askedMs);
    this.#isRunning = false;
    if (this.#isStopped) return;
    this.#cancelNext = this.#options.clock.after(isKept ? limits.leaseRefreshMs : limits.registryRetryMs, () => void this.#run());
  }

  async #acquire(askedMs: number): Promise<boolean> {
    const { registry, gateway, address, zone, logger } = this.#options;
    const lease: Lease = { incarnation: this.#incarnation, gateway, address: address(), zone, startedAtMs: this.#startedAtMs };
    const acquired = await registry.acquireLease(lease);
    if (acquired.kind !== "refreshed") {
      this.#warn(acquired, "no lease yet: the registry does not answer");
      return false;
    }
    if (this.#isStopped) {
      await registry.releaseLease(this.#incarnation);
      return false;
    }
    this.#isHeld = true;
    this.#goodMs[this.#generation] = askedMs;
    logger.info({ incarnation: this.#incarnation, generation: this.#generation }, "lease taken");
    this.#listener.onHeld();
    return true;
  }

  async #refresh(askedMs: number): Promise<boolean> {
    const refreshed = await this.#options.registry.refreshLease(this.#incarnation);
    switch (refreshed.kind) {
      case "refreshed":
        this.#goodMs[this.#generation] = askedMs;
        if (refreshed.resyncAfter !== undefined) this.#listener.onResync(refreshed.resyncAfter);
        return true;
      case "unavailable":
        this.#warn(refreshed, "the lease could not be refreshed");
        return false;
      case "lapsed":
        this.#options.logger.warn({ incarnation: this.#incarnation }, "the lease has lapsed: every connection is registered again");
        this.#isHeld = false;
        this.#incarnation = newIncarnation();
        this.#generation += 1;
        return await this.#acquire(askedMs);
      default:
        return assertNever(refreshed);
    }
  }

  #warn(refreshed: Refreshed, message: string): void {
    this.#options.logger.warn({ err: refreshed.kind === "unavailable" ? refreshed.cause : undefined }, message);
  }
}

function newIncarnation(): Incarnation {
  return incarnationFromBytes(randomBytes(10));
}
