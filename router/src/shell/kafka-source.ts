import { limits } from "@pushfleet/protocol";
import type { Cancel, Clock, Logger } from "@pushfleet/service";
import type kafkajs from "kafkajs";
import { PartitionFlow } from "../core/partition-flow.js";
import { type DeadLetterReason, deadLetter, outcomeRecord, shortenDeadLetter } from "./dead-letter.js";
import { createKafkaClient } from "./kafka-client.js";
import { plugInCodecs } from "./kafka-codecs.js";
import { KafkaConsumer } from "./kafka-consumer.js";
import { KafkaRecord, type OwnedPartition } from "./kafka-record.js";
import { type KafkaWrite, KafkaWriter } from "./kafka-writer.js";
import type { Pipeline } from "./pipeline.js";
import { settleWithin } from "./settle-within.js";
import type { UserDelivery } from "./user-delivery.js";

export interface KafkaSourceOptions {
  readonly brokers: readonly string[];
  readonly topic: string;
  readonly groupId: string;
  readonly deadLetterTopic: string;
  readonly clientEventsTopic: string;
  readonly outcomesTopic: string | null;
  readonly pipeline: Pipeline;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly onDeadLetter: (reason: DeadLetterReason) => void;
}

/** Notifications from a topic. kafkajs waits for a batch before it fetches again, so a batch is only queued; records are started as there is
 *  room for them, partitions pause above their bound, and offsets are committed by us, up to where all is stored and has its outcomes. */
export class KafkaSource {
  readonly #options: KafkaSourceOptions;
  readonly #consumer: KafkaConsumer;
  readonly #deadLetters: KafkaWriter;
  readonly #clientEvents: KafkaWriter;
  readonly #outcomes: KafkaWriter | undefined;
  #partitions = new Map<number, OwnedPartition>();
  #inFlight = 0;
  #scheduled = false;
  #stopping = false;
  #committing: Promise<void> | undefined;
  #onIdle: () => void = () => {};
  #cancelCommits: Cancel = () => {};

  constructor(options: KafkaSourceOptions) {
    plugInCodecs();
    this.#options = options;
    const { brokers, logger, outcomesTopic } = options;
    const shared = { ...options, kafka: createKafkaClient(brokers, logger) };
    this.#consumer = new KafkaConsumer({
      ...shared,
      onAssigned: (partitions) => this.#assigned(partitions),
      onRebalancing: () => void this.#commit(),
      onBatch: (batch) => this.#fetched(batch),
    });
    this.#deadLetters = new KafkaWriter({ ...shared, topic: options.deadLetterTopic, whenAway: "retry" });
    this.#clientEvents = new KafkaWriter({ ...shared, topic: options.clientEventsTopic, whenAway: "fail" });
    this.#outcomes = outcomesTopic === null ? undefined : new KafkaWriter({ ...shared, topic: outcomesTopic, whenAway: "retry" });
  }

  /** Whether it is a member of its group that its coordinator has heard lately. */
  get isMember(): boolean {
    return this.#consumer.isMember;
  }

  /** Records behind what is committed, over the partitions that are ours. */
  get lag(): number {
    let lag = 0;
    for (const { flow, highWatermark } of this.#partitions.values()) lag += Math.max(0, highWatermark - (flow.committed ?? highWatermark));
    return lag;
  }

  /** Deliveries and dead letters under way. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Returns at once: Kafka may be away, then it is asked until it is there. */
  start(): void {
    this.#consumer.start();
    this.#cancelCommits = this.#options.clock.every(limits.kafkaCommitMs, () => void this.#commit());
  }

  /** Sends client events; false when they were not taken. */
  async emit(events: readonly { readonly user: string; readonly value: string }[]): Promise<boolean> {
    if (this.#clientEvents.pending + events.length > limits.kafkaWriteQueueMax) return false;
    const written = await Promise.all(events.map(({ user, value }) => this.#clientEvents.write({ key: user, value })));
    return written.every((one) => one === "written" || one === "too_large");
  }

  /** Starts nothing more, waits for what is under way (bounded), commits, leaves the group. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const { clock } = this.#options;
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
      if (this.#inFlight === 0) resolve();
    });
    await settleWithin(clock, limits.routerStopMs, idle);
    this.#cancelCommits();
    await settleWithin(clock, limits.routerPartStopMs, this.#committing); // it may not have the last ones
    await settleWithin(clock, limits.routerPartStopMs, this.#commit());
    for (const owned of this.#partitions.values()) owned.revoked = true;
    await Promise.all([this.#consumer.stop(), this.#deadLetters.stop(), this.#clientEvents.stop(), this.#outcomes?.stop()]);
  }

  /** What stays ours goes on where it is; what goes to another router ends without a commit. */
  #assigned(numbers: readonly number[]): void {
    const before = this.#partitions;
    this.#partitions = new Map(numbers.map((number) => [number, before.get(number) ?? newPartition(number)]));
    for (const owned of before.values()) if (!this.#partitions.has(owned.partition)) owned.revoked = true;
    for (const owned of this.#partitions.values()) {
      owned.flow.rejoined();
      if (owned.flow.paused) this.#consumer.pause(owned.partition);
      else this.#consumer.resume(owned.partition);
    }
  }

  #fetched(batch: kafkajs.Batch): boolean {
    const known = this.#partitions.get(batch.partition);
    if (known === undefined || this.#stopping) return false;
    const owned = this.#offer(known, batch.messages);
    owned.highWatermark = Number(batch.highWatermark);
    this.#start();
    this.#changePause(owned);
    return true;
  }

  #offer(known: OwnedPartition, messages: readonly kafkajs.KafkaMessage[]): OwnedPartition {
    if (known.flow.offer(messages.map((message) => new KafkaRecord(message, known, this.#events)))) return known;
    this.#options.logger.warn({ partition: known.partition }, "the partition's offsets went back, its records are taken anew");
    known.revoked = true;
    const anew = newPartition(known.partition);
    this.#partitions.set(known.partition, anew);
    anew.flow.offer(messages.map((message) => new KafkaRecord(message, anew, this.#events)));
    return anew;
  }

  /** A few records of each partition in turn, as long as there is room. */
  #start(): void {
    if (this.#stopping) return;
    for (let began = true; began; ) {
      began = false;
      for (const owned of this.#partitions.values()) began = this.#startSome(owned) || began;
    }
    for (const owned of this.#partitions.values()) this.#changePause(owned);
  }

  #startSome({ flow }: OwnedPartition): boolean {
    for (let count = 0; count < recordsInTurn; count++) {
      if (this.#inFlight >= limits.recordDeliveriesInFlightMax) return false;
      const record = flow.take();
      if (record === undefined) return false;
      this.#begin(record);
    }
    return true;
  }

  #begin(record: KafkaRecord): void {
    const parsed = record.parse();
    if (parsed.kind === "bad") {
      this.#inFlight++;
      void this.#writeDeadLetter(record, "bad_record", JSON.stringify(parsed.faults));
      return;
    }
    const deliveries = parsed.content.notification.userIds.map((user) => record.deliveryTo(user, parsed.content));
    this.#inFlight += deliveries.length;
    for (const delivery of deliveries) this.#options.pipeline.start(delivery);
  }

  readonly #events = {
    retrying: (record: KafkaRecord, waits: boolean): void => {
      record.owner.flow.retrying(waits);
      this.#changePause(record.owner);
      if (!waits) this.#startSoon();
    },
    deliveryEnded: (record: KafkaRecord, delivery: UserDelivery): void => {
      if (this.#outcomes !== undefined && delivery.result === "done") {
        this.#inFlight++;
        void this.#writeOutcomes(record, outcomeRecord(delivery));
      }
      this.#ended(record);
    },
  };

  /** One thing that a record waited for has ended. */
  #ended(record: KafkaRecord): void {
    this.#inFlight--;
    if (record.unfinished === 0 && !record.letGo) {
      if (record.failure !== undefined) {
        this.#inFlight++;
        void this.#writeDeadLetter(record, "store_failed", record.failure);
      } else record.owner.flow.resolve(record);
    }
    if (this.#inFlight === 0) this.#onIdle();
    this.#startSoon();
  }

  /** Its offset counts as done only when the topic has the record. */
  async #writeDeadLetter(record: KafkaRecord, reason: DeadLetterReason, details: string): Promise<void> {
    const { topic, logger, onDeadLetter } = this.#options;
    const letter = deadLetter(record, { topic, reason, details });
    let written = await this.#deadLetters.write(letter);
    if (written === "too_large") {
      const place = { partition: record.owner.partition, offset: record.offset };
      logger.error(place, "the dead-letter topic does not take a record of this size, it gets the record without its value");
      written = await this.#deadLetters.write(shortenDeadLetter(letter));
    }
    if (written === "written") onDeadLetter(reason);
    else record.letGo = true;
    record.failure = undefined;
    this.#ended(record);
  }

  async #writeOutcomes(record: KafkaRecord, write: KafkaWrite): Promise<void> {
    record.unfinished++;
    if ((await this.#outcomes?.write(write)) === "stopped") record.letGo = true;
    record.unfinished--;
    this.#ended(record);
  }

  #startSoon(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#start();
    });
  }

  #changePause(owned: OwnedPartition): void {
    if (owned.revoked || this.#stopping) return;
    const change = owned.flow.changeOfPause();
    if (change === "pause") this.#consumer.pause(owned.partition);
    else if (change === "resume") this.#consumer.resume(owned.partition);
  }

  /** One at a time, so that none is overtaken by an older one. */
  #commit(): Promise<void> {
    this.#committing ??= this.#commitNow().finally(() => {
      this.#committing = undefined;
    });
    return this.#committing;
  }

  /** A commit that fails, in a rebalance or while Kafka is away, is made up for by the next. */
  async #commitNow(): Promise<void> {
    const moved = [...this.#partitions.values()].flatMap((owned) => {
      const offset = owned.flow.committable;
      return offset === undefined ? [] : [{ owned, partition: owned.partition, offset }];
    });
    if (moved.length === 0 || !this.#consumer.isMember) return;
    try {
      await this.#consumer.commit(moved);
    } catch (cause) {
      this.#options.logger.debug({ err: cause }, "offsets were not committed, the next commit has them");
      return;
    }
    for (const { owned, offset } of moved) owned.flow.confirmCommit(offset);
  }
}

/** Small enough that no partition waits long for another. */
const recordsInTurn = 64;

function newPartition(partition: number): OwnedPartition {
  return { partition, flow: new PartitionFlow(limits.partitionQueuedMax), revoked: false, highWatermark: 0 };
}
