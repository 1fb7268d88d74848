import type { Clock } from "@pushfleet/service";
import { type Lease, type LeaseRecord, leaseObject, leaseRecord, microTime } from "./lease-record.js";
import { resources } from "./resources.js";
import type { ApiResult, CallOptions, KubernetesApi, ObjectKey } from "./types.js";

export interface LeaseHandleOptions {
  readonly api: Pick<KubernetesApi, "get" | "create" | "replace">;
  readonly key: ObjectKey;
  /** Nobody else writes this into a Lease. */
  readonly holder: string;
  readonly clock: Clock;
  readonly leaseMs: number;
  /** A Lease that never was is created after so long. */
  readonly missingMs: number;
}

/** "lost": another holder has it. "unavailable": not known; a write may have been done. */
export type Held = { readonly kind: "held" } | { readonly kind: "lost" } | Unknown;
/** "not_yet": another has it, or had it a moment ago. */
export type Acquired = { readonly kind: "held" } | { readonly kind: "not_yet" } | Unknown;
type Unknown = { readonly kind: "unavailable"; readonly message: string };

interface Observed {
  readonly record: LeaseRecord;
  /** By our monotonic clock: when the record was first seen as it is. */
  readonly sinceMs: number;
}

/** What one process knows of a Lease, and its writes to it: each a compare-and-set. */
export class LeaseHandle {
  readonly #options: LeaseHandleOptions;
  /** As last read or written: its resourceVersion is the next write's precondition. */
  #lease: Lease | undefined;
  #observed: Observed | undefined;
  #missingSinceMs: number | undefined;
  /** Written to the API server at least once, answered or not: there may be something to release. */
  #wrote = false;

  constructor(options: LeaseHandleOptions) {
    this.#options = options;
  }

  get transitions(): number {
    return this.#observed?.record.transitions ?? 0;
  }

  /** Takes it if nobody has it: released, expired by our clock, or missing for long enough. */
  async acquire(call: CallOptions): Promise<Acquired> {
    const { api, key, holder } = this.#options;
    const read = await api.get(resources.leases, key, call);
    if (read.kind === "notFound") return await this.#acquireMissing(call);
    if (read.kind !== "ok") return unknown(read);
    const { record } = this.#observe(read.object);
    if (record.holder === holder) return await this.#take(record.transitions, call); // a write of ours that was not answered
    return record.holder === "" || this.#expired() ? await this.#take(record.transitions + 1, call) : { kind: "not_yet" };
  }

  /** Renews what we hold, with at least `transitions`. */
  async renew(transitions: number, call: CallOptions): Promise<Held> {
    const written = await this.#write(transitions, this.#lease, call);
    if (written.kind === "ok") return { kind: "held" };
    if (written.kind !== "conflict" && written.kind !== "notFound" && written.kind !== "exists") return unknown(written);
    // Somebody wrote it, or deleted it; or we did, and were not answered.
    const { api, key, holder } = this.#options;
    const read = await api.get(resources.leases, key, call);
    if (read.kind !== "ok" && read.kind !== "notFound") return unknown(read);
    if (read.kind === "ok" && leaseRecord(read.object).holder !== holder) {
      this.#observe(read.object);
      return { kind: "lost" };
    }
    const from = read.kind === "ok" ? read.object : undefined;
    const seen = from === undefined ? 0 : leaseRecord(from).transitions;
    const again = await this.#write(Math.max(transitions, this.transitions, seen), from, call);
    return again.kind === "ok" ? { kind: "held" } : unknown(again);
  }

  /** Says that nobody has it, if we do. Its failure is no matter: then it expires. */
  async release(timeoutMs: number): Promise<void> {
    if (!this.#wrote) return;
    // A renewal of ours that was cut off may be done between its read and its write; there is no second one.
    if ((await this.#tryRelease(timeoutMs)) === "conflict") await this.#tryRelease(timeoutMs);
  }

  async #tryRelease(timeoutMs: number): Promise<"over" | "conflict"> {
    const { api, key, holder, clock } = this.#options;
    const read = await api.get(resources.leases, key, { timeoutMs });
    if (read.kind !== "ok") return "over";
    const record = leaseRecord(read.object);
    if (record.holder !== holder) return "over";
    const released = { ...record, holder: "", durationMs: 1_000, renewedAt: microTime(clock.nowMs()) };
    const written = await api.replace(resources.leases, leaseObject(key, released, read.object), { timeoutMs });
    return written.kind === "conflict" ? "conflict" : "over";
  }

  /** Whoever saw a holder waits for its end though the Lease is gone, and counts on from what it saw. */
  async #acquireMissing(call: CallOptions): Promise<Acquired> {
    const nowMs = this.#options.clock.monotonicMs();
    this.#missingSinceMs ??= nowMs;
    this.#lease = undefined;
    const held = this.#observed !== undefined && this.#observed.record.holder !== "" && !this.#expired();
    if (held || nowMs - this.#missingSinceMs < this.#options.missingMs) return { kind: "not_yet" };
    return await this.#take(this.#observed === undefined ? 0 : this.transitions + 1, call);
  }

  async #take(transitions: number, call: CallOptions): Promise<Acquired> {
    const written = await this.#write(transitions, this.#lease, call);
    if (written.kind === "ok") return { kind: "held" };
    return written.kind === "conflict" || written.kind === "exists" ? { kind: "not_yet" } : unknown(written);
  }

  async #write(transitions: number, from: Lease | undefined, call: CallOptions): Promise<ApiResult<Lease>> {
    const { api, key, holder, clock, leaseMs } = this.#options;
    const renewedAt = microTime(clock.nowMs());
    const before = from === undefined ? undefined : leaseRecord(from);
    const acquiredAt = before?.holder === holder ? (before.acquiredAt ?? renewedAt) : renewedAt;
    const lease = leaseObject(key, { holder, transitions, acquiredAt, renewedAt, durationMs: leaseMs }, from);
    this.#wrote = true;
    const written = from === undefined ? await api.create(resources.leases, lease, call) : await api.replace(resources.leases, lease, call);
    if (written.kind === "ok") this.#observe(written.object);
    return written;
  }

  #observe(lease: Lease): Observed {
    const record = leaseRecord(lease);
    this.#lease = lease;
    this.#missingSinceMs = undefined;
    // Not its resourceVersion: a label that somebody sets is no sign of life.
    if (this.#observed === undefined || JSON.stringify(record) !== JSON.stringify(this.#observed.record)) {
      this.#observed = { record, sinceMs: this.#options.clock.monotonicMs() };
    }
    return this.#observed;
  }

  #expired(): boolean {
    const { clock, leaseMs } = this.#options;
    if (this.#observed === undefined) return true;
    const { record, sinceMs } = this.#observed;
    return clock.monotonicMs() - sinceMs >= Math.max(leaseMs, record.durationMs);
  }
}

function unknown(result: Exclude<ApiResult<Lease>, { readonly kind: "ok" }>): Unknown {
  return { kind: "unavailable", message: "message" in result && result.message !== undefined ? result.message : result.kind };
}
