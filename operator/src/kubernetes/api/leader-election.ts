import { randomBytes } from "node:crypto";
import { setMaxListeners } from "node:events";
import { limits } from "@pushfleet/protocol";
import type { Cancel, Clock, Logger } from "@pushfleet/service";
import { type Gauge, Registry } from "prom-client";
import { pause } from "./back-off.js";
import { type Acquired, LeaseHandle } from "./lease-handle.js";
import { sharedGauge } from "./metrics.js";
import type { KubernetesApi } from "./types.js";

export interface LeaderElectionOptions {
  readonly api: Pick<KubernetesApi, "get" | "create" | "replace">;
  /** The Lease's. */
  readonly namespace: string;
  readonly name: string;
  /** Who we are (the pod's name); a suffix makes each start of a process another one. */
  readonly identity: string;
  /** Called once, when this process leads. Epochs rise with each leader. `leading` aborts when it leads no more. */
  readonly onStarted: (epoch: number, leading: AbortSignal) => void;
  /** Called once, if `onStarted` was, after `leading` has aborted. A stop waits for it before it releases the Lease. */
  readonly onStopped: (reason: string) => void | Promise<void>;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  readonly metrics?: Registry;
  /** Default 15, 10 and 2 s, as client-go. */
  readonly timing?: LeaderTiming;
}

export interface LeaderTiming {
  /** After so long without a change of the record, by its own monotonic clock, a candidate takes over. */
  readonly leaseMs: number;
  /** A leader that has not renewed for so long steps down. */
  readonly renewDeadlineMs: number;
  readonly retryMs: number;
}

/** What a leader's write may take: one that was sent as leadership ended is over when the next leader can begin. */
export function writeTimeoutMs({ leaseMs, renewDeadlineMs }: LeaderTiming): number {
  return Math.min(limits.kubernetesRequestMs, leaseMs - renewDeadlineMs);
}

export type EpochRaised =
  | { readonly kind: "raised"; readonly epoch: number }
  | { readonly kind: "lost" }
  | { readonly kind: "unavailable"; readonly message: string };

const defaultTiming: LeaderTiming = {
  leaseMs: limits.leaderLeaseMs,
  renewDeadlineMs: limits.leaderRenewDeadlineMs,
  retryMs: limits.leaderRetryMs,
};

/** One candidature of one process: it waits for the Lease, leads, and is over for good when it has lost it or is stopped. Then the process
 *  should end and start anew.
 *
 *  A leader counts its time from before each renewal was sent, a candidate from after it saw it: with leaseMs > renewDeadlineMs the leader
 *  has stepped down before the candidate begins, whatever either's wall clock says. */
export class LeaderElection {
  /** Aborted once this process leads no more, or never will. */
  readonly leading: AbortSignal;
  /** As the Lease has it while this process leads: no other start of a process has the same. */
  readonly holder: string;
  readonly #options: LeaderElectionOptions;
  readonly #timing: LeaderTiming;
  readonly #lease: LeaseHandle;
  readonly #over = new AbortController();
  readonly #status: Gauge<"name">;
  #state: "candidate" | "leader" | "over" = "candidate";
  #leadingUntilMs = 0;
  #epoch = 0;
  #cancelDeadline: Cancel = () => undefined;
  #running: Promise<void> | undefined;
  #trouble: string | undefined;
  #stepped: Promise<void> | undefined;
  /** Renewals and raises wait for each other. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: LeaderElectionOptions) {
    const { api, namespace, name, identity, clock, timing = defaultTiming, metrics = new Registry() } = options;
    this.#options = options;
    this.#timing = timing;
    const holder = `${identity}_${randomBytes(5).toString("hex")}`;
    this.holder = holder;
    this.#lease = new LeaseHandle({ api, key: { namespace, name }, holder, clock, leaseMs: timing.leaseMs, missingMs: missingMs(timing) });
    this.leading = this.#over.signal;
    setMaxListeners(0, this.leading); // every request of a leader may listen to it
    this.#status = sharedGauge(metrics, { name: "leader_election_master_status", help: "1: this process leads", labelNames: ["name"] });
    this.#status.set({ name }, 0);
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Looks at the clock: to be asked where a signal may come too late, after the process did not run for a while. */
  isLeading(): boolean {
    if (this.#state === "leader" && this.#options.clock.monotonicMs() >= this.#leadingUntilMs)
      this.#stepDown("the Lease was not renewed in time");
    return this.#state === "leader";
  }

  /** Of this leadership, also after it; it may have been raised since it began. 0 before it. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Makes this leader's epoch higher than `epoch`, which somebody was seen to have had: a Lease that was deleted counts from zero again. */
  raiseEpochAbove(epoch: number): Promise<EpochRaised> {
    return this.#exclusive(async (): Promise<EpochRaised> => {
      if (!this.isLeading()) return { kind: "lost" };
      if (this.epoch > epoch) return { kind: "raised", epoch: this.epoch };
      const sentAtMs = this.#options.clock.monotonicMs();
      const renewed = await this.#lease.renew(epoch, this.#attempt());
      this.#took(renewed.kind, sentAtMs);
      if (renewed.kind === "unavailable") return renewed;
      return renewed.kind === "held" && this.isLeading() ? { kind: "raised", epoch: this.epoch } : { kind: "lost" };
    });
  }

  /** Leads no more at once, waits for `onStopped`, then releases the Lease so that the next takes over without waiting for its end. */
  async stop(): Promise<void> {
    if (this.#state === "leader") this.#stepDown("stopped");
    else if (this.#state === "candidate") this.#finish("stopped");
    await this.#stepped;
    await this.#running;
    await this.#last;
    await this.#lease.release(this.#timing.leaseMs - this.#timing.renewDeadlineMs);
  }

  async #run(): Promise<void> {
    const { clock, random } = this.#options;
    const { retryMs } = this.#timing;
    while (this.#state === "candidate") {
      const sentAtMs = clock.monotonicMs();
      const acquired = await this.#lease.acquire(this.#attempt());
      if (acquired.kind === "held" && this.#state === "candidate") this.#begin(sentAtMs);
      else {
        this.#tellTrouble(acquired);
        await pause(clock, retryMs * (1 + limits.leaderJitterShare * random()), this.leading);
      }
    }
    let tookMs = 0;
    while (this.#state === "leader") {
      await pause(clock, Math.max(retryMs - tookMs, retryMs / 4), this.leading);
      const sentAtMs = clock.monotonicMs();
      await this.#exclusive(() => this.#renew());
      tookMs = clock.monotonicMs() - sentAtMs;
    }
  }

  /** Why a candidate gets no answer that it can use: once, not as long as it lasts. */
  #tellTrouble(acquired: Acquired): void {
    const { name, logger } = this.#options;
    const reason = acquired.kind === "unavailable" ? acquired.message : undefined;
    if (reason !== undefined && reason !== this.#trouble && this.#state === "candidate")
      logger.warn({ reason, lease: name }, "the Lease cannot be read or written; trying again");
    this.#trouble = reason;
  }

  async #renew(): Promise<void> {
    if (!this.isLeading()) return;
    const sentAtMs = this.#options.clock.monotonicMs();
    const renewed = await this.#lease.renew(this.#lease.transitions, this.#attempt());
    if (renewed.kind === "unavailable") this.#options.logger.warn({ reason: renewed.message }, "the Lease could not be renewed");
    this.#took(renewed.kind, sentAtMs);
  }

  #took(kind: "held" | "lost" | "unavailable", sentAtMs: number): void {
    if (this.#state !== "leader") return;
    if (kind === "lost") this.#stepDown("another process has the Lease");
    if (kind !== "held") return;
    this.#epoch = this.#lease.transitions + 1;
    this.#leadUntil(sentAtMs + this.#timing.renewDeadlineMs);
  }

  #begin(sentAtMs: number): void {
    const untilMs = sentAtMs + this.#timing.renewDeadlineMs;
    if (this.#options.clock.monotonicMs() >= untilMs) return; // the answer took too long: renewed by the next attempt
    this.#state = "leader";
    this.#epoch = this.#lease.transitions + 1;
    this.#leadUntil(untilMs);
    const { name, logger, onStarted } = this.#options;
    this.#status.set({ name }, 1);
    logger.info({ epoch: this.epoch, lease: name }, "leading");
    onStarted(this.epoch, this.leading);
  }

  #leadUntil(untilMs: number): void {
    const { clock } = this.#options;
    this.#leadingUntilMs = untilMs;
    this.#cancelDeadline();
    this.#cancelDeadline = clock.after(Math.max(1, Math.ceil(untilMs - clock.monotonicMs())), () => {
      if (this.isLeading()) this.#leadUntil(this.#leadingUntilMs); // timers may be a little early
    });
  }

  #stepDown(reason: string): void {
    this.#finish(reason);
    const { name, logger, onStopped } = this.#options;
    logger.info({ reason, lease: name }, "leading no more");
    this.#stepped = Promise.resolve(onStopped(reason));
  }

  #finish(reason: string): void {
    this.#cancelDeadline();
    this.#state = "over";
    this.#status.set({ name: this.#options.name }, 0);
    this.#over.abort(new Error(`leading no more: ${reason}`));
  }

  /** What a request may take: several fit before the renew deadline, and none outlives it by more than the next leader waits. It ends with the
   *  leadership. */
  #attempt(): { readonly timeoutMs: number; readonly signal: AbortSignal } {
    return { timeoutMs: Math.min(writeTimeoutMs(this.#timing), this.#timing.renewDeadlineMs / 4), signal: this.leading };
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }
}

/** A living leader whose Lease was deleted makes it again within a retry period: a newcomer waits for that. */
function missingMs({ retryMs }: LeaderTiming): number {
  return retryMs * limits.leaderMissingPeriods;
}
