import { assertNever, limits } from "@pushfleet/protocol";
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

/** The hot path: the bytes of each frame go from the router's message to the sockets as they are, nothing is parsed. What came together
 *  is written together, so that several frames for one socket leave in one system call: with a backlog that is most of what one costs. */
export class Deliveries {
  readonly #options: DeliveriesOptions;
  #batches: Batch[] = [];
  /** For each target with a connection here: that, its delivery, where its outcome goes, and the next target of the same connection (−1: none).
   *  Kept from turn to turn: nothing is allocated for them. */
  readonly #connections: Connection[] = [];
  readonly #deliveries: WireDelivery[] = [];
  readonly #outcomes: v1.Outcome[][] = [];
  readonly #slots: number[] = [];
  readonly #next: number[] = [];
  /** The first target of each connection. */
  readonly #firsts: number[] = [];

  constructor(options: DeliveriesOptions) {
    this.#options = options;
  }

  /** `bytes`: a `DeliverBatch`; throws for what is none. `done` gets an outcome for each target in order,
   *  within this turn of the event loop, or `limits.deliverBacklogMs` when there is a backlog. */
  deliver(bytes: Buffer, done: (outcomes: v1.IOutcomeBatch) => void): void {
    const outcomes: v1.Outcome[] = [];
    const batchId = readDeliverBatch(bytes, (delivery, target) => this.#add(delivery, target, outcomes));
    this.#batches.push({ batchId, outcomes, done });
    if (this.#connections.length >= limits.deliverTargetsMax) this.#flush();
    else this.#flushLater(outcomes.length);
  }

  /** At the end of this turn; a little later when the router has a backlog, as a well filled batch tells: more is on its way. */
  #flushLater(targets: number): void {
    if (this.#batches.length > 1) return;
    if (targets < limits.deliverBacklogTargets) setImmediate(() => this.#flush());
    else this.#options.clock.after(limits.deliverBacklogMs, () => this.#flush());
  }

  /** Chains the targets of each connection in their order. Whatever has no connection here is stale. */
  #add(delivery: WireDelivery, target: WireTarget, outcomes: v1.Outcome[]): void {
    outcomes.push(v1.Outcome.OUTCOME_STALE);
    const connection = this.#find(target);
    if (connection === undefined) return;
    const at = this.#connections.length;
    this.#connections.push(connection);
    this.#deliveries.push(delivery);
    this.#outcomes.push(outcomes);
    this.#slots.push(outcomes.length - 1);
    this.#next.push(-1);
    if (connection.batchAt === -1) this.#firsts.push(at);
    else this.#next[connection.batchAt] = at;
    connection.batchAt = at;
  }

  #flush(): void {
    if (this.#batches.length === 0) return; // they were too many to wait
    const wallMs = this.#options.clock.nowMs();
    const nowMs = this.#options.nowMs();
    for (const first of this.#firsts) {
      const connection = this.#connections[first];
      if (connection === undefined) continue;
      connection.batchAt = -1;
      connection.activeMs = nowMs;
      if (this.#next[first] === -1) this.#writeAll(connection, first, wallMs);
      else this.#writeCorked(connection, first, wallMs);
    }
    this.#options.metrics.deliveries += this.#connections.length;
    for (const list of [this.#connections, this.#deliveries, this.#outcomes, this.#slots, this.#next, this.#firsts]) list.length = 0;
    const batches = this.#batches;
    this.#batches = [];
    for (const { batchId, outcomes, done } of batches) done({ batchId, outcomes });
  }

  /** Only a connection of this very user and device. One that waits for its hello gets its deliveries right behind it. */
  #find(target: WireTarget): Connection | undefined {
    const connection = this.#options.connections.get(target.connectionNumber);
    if (connection === undefined || connection.socket === undefined) return undefined;
    if (!target.isOf(connection.core.user, connection.core.device)) return undefined;
    if (!connection.isOpen) this.#options.writer.hold(connection);
    return connection;
  }

  #writeCorked(connection: Connection, first: number, wallMs: number): void {
    connection.socket?.cork(() => this.#writeAll(connection, first, wallMs));
    this.#options.writer.checkPressed(connection);
  }

  #writeAll(connection: Connection, first: number, wallMs: number): void {
    for (let at = first; at !== -1; at = this.#next[at] ?? -1) {
      const delivery = this.#deliveries[at];
      const outcomes = this.#outcomes[at];
      const slot = this.#slots[at];
      if (delivery === undefined || outcomes === undefined || slot === undefined) return;
      outcomes[slot] = this.#write(connection, delivery, wallMs);
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
}

/** One of a router's batches whose frames are not written yet. */
interface Batch {
  readonly batchId: number;
  readonly outcomes: v1.Outcome[];
  readonly done: (outcomes: v1.IOutcomeBatch) => void;
}
