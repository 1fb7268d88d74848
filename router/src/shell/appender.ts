import { type Cursor, cursorMs, limits, type NotificationId, type UserId } from "@pushfleet/protocol";
import type { Clock } from "@pushfleet/service";
import type { Dedupe } from "../core/dedupe.js";
import type { Stamp } from "../core/stamp.js";
import { type Appended, expiresAtMs, type Store } from "../core/store.js";
import { Coalescer } from "./coalescer.js";

export interface ToAppend {
  readonly user: UserId;
  readonly notificationId: NotificationId;
  readonly data: string;
  readonly createdAtMs: number | undefined;
  readonly ttlMs: number | undefined;
}

/** `stored`: under `cursor`; `duplicate` when this router had stored it before. `failed`: never will be. `retry`: append again. */
export type AppendResult =
  | { readonly kind: "stored"; readonly cursor: Cursor; readonly expiresAtMs: number | undefined; readonly duplicate: boolean }
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "retry"; readonly cause: Error };

interface Waiting {
  readonly record: ToAppend;
  readonly firstAppend: Cursor | undefined;
  readonly resolve: (result: AppendResult) => void;
}

/** Appends of all partitions and requests in one round trip; skips what was stored a moment ago. */
export class Appender {
  readonly #store: Store;
  readonly #stamp: Stamp;
  readonly #dedupe: Dedupe;
  readonly #clock: Clock;
  readonly #batches: Coalescer<Waiting>;

  constructor(options: { readonly store: Store; readonly stamp: Stamp; readonly dedupe: Dedupe; readonly clock: Clock }) {
    this.#store = options.store;
    this.#stamp = options.stamp;
    this.#dedupe = options.dedupe;
    this.#clock = options.clock;
    this.#batches = new Coalescer({
      clock: options.clock,
      delayMs: limits.coalesceMs,
      itemsMax: limits.coalesceMessages,
      flush: (waiting) => void this.#append(waiting),
    });
  }

  /** A hit of the deduplication skips the append only while the stored cursor is fresh: a sync reads no further back than its overlap.
   *  `firstAppend`: the cursor of an earlier attempt for this notification, whose expiry it keeps. */
  append(record: ToAppend, firstAppend: Cursor | undefined): Promise<AppendResult> {
    const known = this.#dedupe.get(record.user, record.notificationId);
    if (known !== undefined && this.#clock.nowMs() - cursorMs(known) < limits.appendFreshMs) {
      const expiry = expiresAtMs({ ...record, firstAppend: firstAppend ?? known });
      return Promise.resolve({ kind: "stored", cursor: known, expiresAtMs: expiry, duplicate: true });
    }
    return new Promise((resolve) => this.#batches.add({ record, firstAppend: firstAppend ?? known, resolve }));
  }

  async #append(waiting: readonly Waiting[]): Promise<void> {
    const records = waiting.map(({ record, firstAppend }) => {
      const cursor = this.#stamp();
      const { user, notificationId, data, createdAtMs } = record;
      return {
        user,
        notificationId,
        cursor,
        data,
        createdAtMs,
        expiresAtMs: expiresAtMs({ ...record, firstAppend: firstAppend ?? cursor }),
      };
    });
    const outcomes = await this.#store.append(records);
    for (const [index, one] of waiting.entries()) {
      const record = records[index];
      if (record !== undefined) one.resolve(this.#result(one, record.cursor, record.expiresAtMs, outcomes[index]));
    }
  }

  #result(one: Waiting, cursor: Cursor, expiry: number | undefined, outcome: Appended | undefined): AppendResult {
    if (outcome === undefined) return { kind: "retry", cause: new Error("the store gave no outcome") };
    if (outcome.kind === "failed") return outcome;
    if (outcome.kind === "unavailable") return { kind: "retry", cause: outcome.cause };
    this.#dedupe.set(one.record.user, one.record.notificationId, cursor);
    return { kind: "stored", cursor, expiresAtMs: expiry, duplicate: one.firstAppend !== undefined };
  }
}
