import { type Incarnation, limits } from "@pushfleet/protocol";
import type { Clock } from "@pushfleet/service";
import type { PipelineQueue } from "./pipeline-queue.js";
import { refuseErrors } from "./redis-command.js";
import type { RedisKeys } from "./redis-keys.js";
import type { Lease, Registry } from "./registry.js";
import { parseLease } from "./scripts/acquire-lease.js";

export type ReadLease = Awaited<ReturnType<Registry["readLease"]>>;

interface Cached {
  readonly lease: Lease;
  readonly untilMs: number;
}

/** Leases as they were read from Redis, believed for `leaseCacheMs` and never beyond their own end, so that `leaseSeconds` after a worker
 *  died no look-up has an entry of it. That a lease is absent is not remembered: it may be acquired the next moment. */
export class LeaseCache {
  readonly #queue: PipelineQueue;
  readonly #keys: RedisKeys;
  readonly #clock: Clock;
  readonly #cached = new Map<Incarnation, Cached>();
  readonly #pending = new Map<Incarnation, Promise<ReadLease>>();

  constructor(queue: PipelineQueue, keys: RedisKeys, clock: Clock) {
    this.#queue = queue;
    this.#keys = keys;
    this.#clock = clock;
  }

  /** From the cache, or from Redis; those who ask at the same time share one question. */
  read(incarnation: Incarnation): Promise<ReadLease> {
    const cached = this.#cached.get(incarnation);
    if (cached === undefined || cached.untilMs <= this.#clock.monotonicMs()) return this.readFresh(incarnation);
    return Promise.resolve({ kind: "lease", lease: cached.lease });
  }

  /** From Redis, for decisions that cannot be taken back. */
  readFresh(incarnation: Incarnation): Promise<ReadLease> {
    const pending = this.#pending.get(incarnation);
    if (pending !== undefined) return pending;
    const reading = this.#ask(incarnation).finally(() => this.#pending.delete(incarnation));
    this.#pending.set(incarnation, reading);
    return reading;
  }

  forget(incarnation: Incarnation): void {
    this.#cached.delete(incarnation);
  }

  async #ask(incarnation: Incarnation): Promise<ReadLease> {
    const askedMs = this.#clock.monotonicMs();
    const key = this.#keys.lease(incarnation);
    // In this order: a lease that ends in between has no time to live, and so is gone.
    const [text, left] = (await Promise.all([this.#queue.send(() => ["get", key]), this.#queue.send(() => ["pttl", key])])).map(
      refuseErrors,
    );
    if (text === undefined || text.kind === "unavailable") return unavailable(text?.cause);
    if (left === undefined || left.kind === "unavailable") return unavailable(left?.cause);
    const leftMs = Number(left.value);
    this.#cached.delete(incarnation);
    if (typeof text.value !== "string" || !(leftMs > 0)) return { kind: "lease", lease: undefined };
    try {
      const lease = parseLease(incarnation, text.value);
      this.#remember({ lease, untilMs: askedMs + Math.min(limits.leaseCacheMs, leftMs) });
      return { kind: "lease", lease };
    } catch (cause) {
      return unavailable(cause as Error);
    }
  }

  #remember(cached: Cached): void {
    if (this.#cached.size >= limits.leaseCacheEntriesMax) this.#cached.clear();
    this.#cached.set(cached.lease.incarnation, cached);
  }
}

function unavailable(cause = new Error("no reply")): ReadLease {
  return { kind: "unavailable", cause };
}
