import { limits } from "@pushfleet/protocol";
import type { Cancel, Clock, Logger } from "@pushfleet/service";
import type { Registry } from "prom-client";
import { type ReconcileResult, type WorkQueueMetrics, workQueueMetrics } from "./work-queue-metrics.js";

/** What a reconcile says at its end: all is as it should be, or look again after `afterMs` though nothing changes. A throw is a failure: the
 *  key is tried again, ever more slowly. */
export type Reconciled = { readonly kind: "done" } | { readonly kind: "again"; readonly afterMs: number };

/** Looks at the state of the world of `key`, whatever made it look, and acts. `signal` aborts at its timeout (a `ReconcileTimeout`) or with
 *  the queue's own signal: then it should end soon. */
export type Reconcile = (key: string, signal: AbortSignal) => Promise<Reconciled>;

/** The cause with which a reconcile's signal aborts at its timeout. */
export class ReconcileTimeout extends Error {
  constructor(key: string, timeoutMs: number) {
    super(`reconcile of ${key} did not end within ${timeoutMs} ms`);
    this.name = "ReconcileTimeout";
  }
}

export interface WorkQueueOptions {
  /** Of the controller, in metrics and logs. */
  readonly name: string;
  readonly reconcile: Reconcile;
  /** Keys worked on at the same time. */
  readonly concurrency: number;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics?: Registry;
  /** Nothing begins after it aborts, and what runs is told: the end of leadership. */
  readonly signal?: AbortSignal;
}

interface Running {
  readonly controller: AbortController;
  readonly startedAtMs: number;
  /** Past its timeout: its place was given to another key, but not its key. */
  overdue: boolean;
  /** Added meanwhile: runs once more. */
  dirty: boolean;
}

/** Keys that want a reconcile, each worked on by one at a time, in the order they came. A key added many times before it begins runs once; one
 *  added while it runs, once more. */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #metrics: WorkQueueMetrics;
  /** Keys that wait, and since when. */
  readonly #waiting = new Map<string, number>();
  readonly #running = new Map<string, Running>();
  readonly #delayed = new Map<string, { readonly dueMs: number; readonly cancel: Cancel }>();
  /** Failures in a row. */
  readonly #failures = new Map<string, number>();
  #stopped = false;
  #woken = false;
  #active = 0;
  #whenIdle: (() => void)[] = [];

  constructor(options: WorkQueueOptions) {
    this.#options = options;
    this.#metrics = workQueueMetrics(options.metrics, options.name, options.concurrency, () => this.#state());
    const { signal } = options;
    if (signal?.aborted === true) this.#end(signal.reason);
    else signal?.addEventListener("abort", () => this.#end(signal.reason), { once: true });
  }

  add(key: string): void {
    if (this.#stopped) return;
    const running = this.#running.get(key);
    if (running?.dirty === true || this.#waiting.has(key)) return;
    this.#metrics.added();
    if (running === undefined) this.#waiting.set(key, this.#options.clock.monotonicMs());
    else running.dirty = true;
    this.#wake();
  }

  /** Adds it after `ms`; of several such wishes for a key the earliest counts. */
  addAfter(key: string, ms: number): void {
    if (this.#stopped) return;
    if (ms <= 0) return this.add(key);
    const { clock } = this.#options;
    const dueMs = clock.monotonicMs() + ms;
    const before = this.#delayed.get(key);
    if (before !== undefined && before.dueMs <= dueMs) return;
    before?.cancel();
    const cancel = clock.after(ms, () => {
      this.#delayed.delete(key);
      this.add(key);
    });
    this.#delayed.set(key, { dueMs, cancel });
  }

  /** Begins nothing more, and resolves when what runs has ended or is past its timeout. */
  async stop(): Promise<void> {
    this.#close();
    if (this.#active === 0) return;
    await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  #end(reason: unknown): void {
    this.#close();
    for (const { controller } of this.#running.values()) controller.abort(reason);
  }

  #close(): void {
    this.#stopped = true;
    for (const { cancel } of this.#delayed.values()) cancel();
    this.#delayed.clear();
    this.#waiting.clear();
  }

  /** Begins what may begin, but not within this call: `add` is for listeners, and several adds of one turn are one. One key in each round of the
   *  event loop: between two of them answers are read, and the Lease is renewed, however many are due at once. */
  #wake(): void {
    if (this.#woken) return;
    this.#woken = true;
    setImmediate(() => {
      this.#woken = false;
      this.#beginNext();
    });
  }

  #beginNext(): void {
    const [next] = this.#waiting;
    if (next === undefined || this.#active >= this.#options.concurrency) return;
    const [key, sinceMs] = next;
    this.#waiting.delete(key);
    this.#begin(key, sinceMs);
    this.#wake();
  }

  #begin(key: string, sinceMs: number): void {
    const { clock, timeoutMs } = this.#options;
    const nowMs = clock.monotonicMs();
    const running: Running = { controller: new AbortController(), startedAtMs: nowMs, overdue: false, dirty: false };
    this.#running.set(key, running);
    this.#active += 1;
    this.#metrics.begun((nowMs - sinceMs) / 1000);
    const cancelTimeout = clock.after(timeoutMs, () => this.#overrun(key, running));
    void this.#reconcile(key, running.controller.signal)
      .then(
        (reconciled) => this.#succeeded(key, running, reconciled),
        (cause: unknown) => this.#failed(key, running, cause),
      )
      .finally(() => {
        cancelTimeout();
        this.#leave(key, running);
      });
  }

  /** A throw at its first step is a failure like a later one. */
  async #reconcile(key: string, signal: AbortSignal): Promise<Reconciled> {
    return await this.#options.reconcile(key, signal);
  }

  #overrun(key: string, running: Running): void {
    const { timeoutMs, logger, name } = this.#options;
    logger.warn({ controller: name, key, timeoutMs }, "a reconcile takes too long; its place goes to the next");
    this.#metrics.timedOut();
    running.controller.abort(new ReconcileTimeout(key, timeoutMs));
    running.overdue = true;
    this.#release();
  }

  #succeeded(key: string, running: Running, reconciled: Reconciled): void {
    this.#failures.delete(key);
    this.#count(running, reconciled.kind === "again" ? "requeue_after" : "success");
    if (reconciled.kind === "again") this.addAfter(key, reconciled.afterMs);
  }

  #failed(key: string, running: Running, cause: unknown): void {
    const { logger, name } = this.#options;
    this.#count(running, "error");
    if (this.#stopped) return;
    const failures = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, failures);
    const retryMs = Math.min(limits.workQueueBackOffMaxMs, limits.workQueueBackOffMinMs * 2 ** Math.min(failures - 1, 30));
    logger.error({ err: cause, controller: name, key, failures, retryMs }, "reconcile failed");
    this.#metrics.retried();
    this.addAfter(key, retryMs);
  }

  #leave(key: string, running: Running): void {
    this.#running.delete(key);
    if (running.dirty && !this.#stopped) this.#waiting.set(key, this.#options.clock.monotonicMs()); // behind those that wait
    if (running.overdue) this.#wake();
    else this.#release();
  }

  #release(): void {
    this.#active -= 1;
    this.#wake();
    if (this.#active === 0 && this.#stopped) for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  #count(running: Running, result: ReconcileResult): void {
    this.#metrics.ended(result, (this.#options.clock.monotonicMs() - running.startedAtMs) / 1000);
  }

  #state() {
    const nowMs = this.#options.clock.monotonicMs();
    const dirty = [...this.#running.values()].filter((running) => running.dirty).length;
    const runningSeconds = [...this.#running.values()].map(({ startedAtMs }) => (nowMs - startedAtMs) / 1000);
    return { depth: this.#waiting.size + dirty, active: this.#active, runningSeconds };
  }
}
