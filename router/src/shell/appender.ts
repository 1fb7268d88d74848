import { type Cursor, cursorMs, limits } from "@pushfleet/protocol";
import type { Clock, Logger } from "@pushfleet/service";
import type { Dedupe } from "../core/dedupe.js";
import type { Stamp } from "../core/stamp.js";
import { type Appended, expiresAtMs, type Store, type StoreRecord } from "../core/store.js";
import type { Content, UserDelivery } from "./user-delivery.js";

export interface AppenderOptions {
  readonly store: Store;
  readonly stamp: Stamp;
  readonly dedupe: Dedupe;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onAppend: (seconds: number) => void;
  readonly stored: (delivery: UserDelivery) => void;
  readonly failed: (delivery: UserDelivery, reason: string) => void;
  readonly unavailable: (delivery: UserDelivery) => void;
}

type Waiting = UserDelivery & { readonly content: Content };

/** Appends of all partitions and requests of one tick in one round trip; skips what this router stored a moment ago. */
export class Appender {
  readonly #options: AppenderOptions;
  #waiting: Waiting[] = [];
  #scheduled = false;

  constructor(options: AppenderOptions) {
    this.#options = options;
  }

  /** A hit of the deduplication skips the append only while the stored cursor is fresh: a sync reads no further back than its overlap. */
  append(delivery: Waiting): void {
    const { dedupe, clock, stored } = this.#options;
    const known = dedupe.get(delivery.user, delivery.content.notificationId);
    if (known !== undefined) {
      delivery.duplicate ||= delivery.firstAppend === undefined;
      delivery.firstAppend ??= known.cursor;
      if (clock.nowMs() - cursorMs(known.cursor) < limits.appendFreshMs) {
        delivery.appended(delivery.content, known.cursor, expiryOf(delivery, delivery.firstAppend), known.read);
        return stored(delivery);
      }
    }
    this.#waiting.push(delivery);
    if (this.#waiting.length >= limits.coalesceMessages) this.#flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        this.#flush();
      });
    }
  }

  #flush(): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    void this.#appendAll(waiting);
  }

  async #appendAll(waiting: readonly Waiting[]): Promise<void> {
    const { clock, stamp, onAppend } = this.#options;
    const records = waiting.map((delivery) => toRecord(delivery, stamp()));
    const startedMs = clock.monotonicMs();
    const outcomes = await this.#ask(records);
    onAppend((clock.monotonicMs() - startedMs) / 1000);
    for (let index = 0; index < waiting.length; index++) {
      const delivery = waiting[index];
      const record = records[index];
      if (delivery !== undefined && record !== undefined) this.#settle(delivery, record, outcomes?.[index]);
    }
  }

  #settle(delivery: Waiting, record: StoreRecord, outcome: Appended | undefined): void {
    const { dedupe, stored, failed, unavailable } = this.#options;
    if (outcome === undefined || outcome.kind === "unavailable") return unavailable(delivery);
    if (outcome.kind === "failed") return failed(delivery, outcome.reason);
    dedupe.set(delivery.user, record.notificationId, { cursor: record.cursor, read: outcome.read });
    delivery.appended(delivery.content, record.cursor, record.expiresAtMs, outcome.read);
    stored(delivery);
  }

  /** Undefined: no answer within `limits.appendRetryMs`, or none at all. What is stored late then is stored again under a new cursor: a sync
   *  could already have read past the old one. */
  #ask(records: readonly StoreRecord[]): Promise<readonly Appended[] | undefined> {
    const { clock, store, logger } = this.#options;
    return new Promise((resolve) => {
      const cancel = clock.after(limits.appendRetryMs, () => resolve(undefined));
      store.append(records).then(
        (outcomes) => {
          cancel();
          resolve(outcomes);
        },
        (cause: unknown) => {
          cancel();
          logger.error({ err: cause }, "the store threw at an append, it is asked again");
          resolve(undefined);
        },
      );
    });
  }
}

function toRecord(delivery: Waiting, cursor: Cursor): StoreRecord {
  const { notification, notificationId } = delivery.content;
  return {
    user: delivery.user,
    notificationId,
    cursor,
    data: notification.data,
    createdAtMs: notification.createdAtMs,
    expiresAtMs: expiryOf(delivery, delivery.firstAppend ?? cursor),
  };
}

function expiryOf(delivery: Waiting, firstAppend: Cursor): number | undefined {
  const { createdAtMs, ttlMs } = delivery.content.notification;
  return ttlMs === undefined ? undefined : expiresAtMs({ createdAtMs, ttlMs, firstAppend });
}
