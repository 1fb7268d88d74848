import { assertNever } from "@pushfleet/protocol";
import { type Clock, v1 } from "@pushfleet/service";
import type { Connection } from "./connection.js";
import { readDeliverBatch, type WireDelivery, type WireTarget } from "./deliver-batch.js";
import type { Metrics } from "./metrics.js";
import type { Receipts } from "./receipts.js";
import type { SocketWriter, Written } from "./socket-writer.js";

export interface DeliveriesOptions {
  readonly connections: ReadonlyMap<number, Connection>;
  readonly writer: SocketWriter;
  readonly metrics: Metrics;
  readonly receipts: Receipts;
  readonly clock: Clock;
  /** Of the worker's start on, monotonic. */
  readonly nowMs: () => number;
  /** Its outbox could not take a frame that is never dropped: close with 4410. */
  readonly onSlow: (connection: Connection) => void;
}

/** The hot path: the bytes of each frame go from the router's message to the sockets as they are, nothing is parsed. Several frames of one
 *  batch for one socket leave in one system call. Outcomes stand in the order of the targets. */
export class Deliveries {
  readonly #options: DeliveriesOptions;
  /** Scratch of one batch, kept: for each target its connection, its delivery, and the next target of the same connection (−1: none). */
  readonly #connections: Connection[] = [];
  readonly #deliveries: WireDelivery[] = [];
  readonly #next: number[] = [];
  readonly #slots: number[] = [];
  readonly #firsts: number[] = [];

  constructor(options: DeliveriesOptions) {
    this.#options = options;
  }

  /** `bytes`: a `DeliverBatch`. Throws for what is none. */
  deliver(bytes: Buffer): { readonly batchId: number; readonly outcomes: v1.Outcome[] } {
    const outcomes: v1.Outcome[] = [];
    try {
      const batchId = readDeliverBatch(bytes, (delivery, target) => this.#add(delivery, target, outcomes));
      this.#writeBatch(outcomes);
      return { batchId, outcomes };
    } finally {
      this.#clear();
    }
  }

  /** Chains the targets of each connection in their order. Whatever has no connection here is stale. */
  #add(delivery: WireDelivery, target: WireTarget, outcomes: v1.Outcome[]): void {
    outcomes.push(v1.Outcome.OUTCOME_STALE);
    const connection = this.#find(target);
    if (connection === undefined) return;
    const at = this.#connections.length;
    this.#connections.push(connection);
    this.#deliveries.push(delivery);
    this.#next.push(-1);
    this.#slots.push(outcomes.length - 1);
    if (connection.batchAt === -1) this.#firsts.push(at);
    else this.#next[connection.batchAt] = at;
    connection.batchAt = at;
  }

  #writeBatch(outcomes: v1.Outcome[]): void {
    const wallMs = this.#options.clock.nowMs();
    const nowMs = this.#options.nowMs();
    for (const first of this.#firsts) {
      const connection = this.#connections[first];
      if (connection === undefined) continue;
      connection.activeMs = nowMs;
      if (this.#next[first] === -1) this.#writeAll(connection, first, outcomes, wallMs);
      else this.#writeCorked(connection, first, outcomes, wallMs);
    }
    this.#options.metrics.deliveries += this.#connections.length;
  }

  /** Only a connection of this very user and device. One that waits for its hello gets its deliveries right behind it. */
  #find(target: WireTarget): Connection | undefined {
    const connection = this.#options.connections.get(target.connectionNumber);
    if (connection === undefined || connection.socket === undefined) return undefined;
    if (!target.isOf(connection.core.user, connection.core.device)) return undefined;
    if (!connection.isOpen) this.#options.writer.hold(connection);
    return connection;
  }

  #writeCorked(connection: Connection, first: number, outcomes: v1.Outcome[], wallMs: number): void {
    connection.socket?.cork(() => this.#writeAll(connection, first, outcomes, wallMs));
    this.#options.writer.checkPressed(connection);
  }

  #writeAll(connection: Connection, first: number, outcomes: v1.Outcome[], wallMs: number): void {
    for (let at = first; at !== -1; at = this.#next[at] ?? -1) {
      const delivery = this.#deliveries[at];
      const slot = this.#slots[at];
      if (delivery !== undefined && slot !== undefined) outcomes[slot] = this.#write(connection, delivery, wallMs);
    }
  }

  #write(connection: Connection, delivery: WireDelivery, wallMs: number): v1.Outcome {
    if (delivery.kind === v1.FrameKind.FRAME_MARK_READ) {
      return this.#outcome(connection, this.#options.writer.sendKept(connection, delivery.frame));
    }
    const { expiresAtMs } = delivery;
    // Too late for it, and nothing is lost by that: no gap.
    if (expiresAtMs !== 0 && expiresAtMs <= wallMs) return v1.Outcome.OUTCOME_WRITTEN;
    const written = this.#options.writer.sendNotification(connection, delivery, wallMs);
    if (written === "accepted") this.#observe(connection, delivery, wallMs);
    return this.#outcome(connection, written);
  }

  #outcome(connection: Connection, written: Written): v1.Outcome {
    switch (written) {
      case "accepted":
        return v1.Outcome.OUTCOME_WRITTEN;
      case "overflow":
        return v1.Outcome.OUTCOME_OVERFLOW;
      case "slow_consumer":
        this.#options.onSlow(connection);
        return v1.Outcome.OUTCOME_STALE;
      case "closed":
        return v1.Outcome.OUTCOME_STALE;
      default:
        return assertNever(written);
    }
  }

  #observe(connection: Connection, delivery: WireDelivery, wallMs: number): void {
    const { createdAtMs } = delivery;
    if (createdAtMs <= 0) return;
    this.#options.metrics.delivery.observe(Math.max(0, wallMs - createdAtMs) / 1000);
    if (this.#options.receipts.hasRoom) this.#options.receipts.delivered(connection, delivery.notificationId, createdAtMs);
  }

  #clear(): void {
    for (const connection of this.#connections) connection.batchAt = -1;
    this.#connections.length = 0;
    this.#deliveries.length = 0;
    this.#next.length = 0;
    this.#slots.length = 0;
    this.#firsts.length = 0;
  }
}
