import { isUtf8 } from "node:buffer";
import { type Notification, type NotificationId, parseNotification } from "@pushfleet/protocol";
import type { Clock, Logger } from "@pushfleet/service";
import kafkajs, { type Consumer, type EachBatchPayload, type KafkaMessage, type Producer } from "kafkajs";
import { Checkpoint } from "../core/checkpoint.js";
import { plugInCodecs } from "./kafka-codecs.js";
import type { Pipeline, Processed } from "./pipeline.js";

export interface KafkaSource {
  /** True while the consumer is a member of its group. */
  readonly isConnected: () => boolean;
  /** Sends client events; rejects when they were not taken. */
  emit(events: readonly { readonly user: string; readonly value: string }[]): Promise<void>;
  /** Stops fetching, waits for what is under way (bounded), commits, leaves. */
  stop(): Promise<void>;
}

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
  readonly onDeadLetter: (reason: "bad_record" | "store_failed") => void;
}

/** One assignment of one partition. When it is taken away what is under way ends without a commit. */
interface Partition {
  readonly checkpoint: Checkpoint;
  committed: number;
  paused: boolean;
  revoked: boolean;
}

const commitMs = 250;
/** Records of one partition under way before it is paused. */
const partitionInFlightMax = 2_000;
const stopMs = 5_000;

/** Notifications from a topic. kafkajs waits for `eachBatch` before it fetches again, so a batch is handed to the pipeline and `eachBatch`
 *  returns at once; the bound is the partition's pause. Offsets are committed by us, up to where all is stored and has its outcomes. */
export async function startKafkaSource(options: KafkaSourceOptions): Promise<KafkaSource> {
  plugInCodecs();
  const { logger, topic } = options;
  const kafka = new kafkajs.Kafka({
    clientId: "pushfleet-router",
    brokers: [...options.brokers],
    logLevel: kafkajs.logLevel.NOTHING,
    retry: { initialRetryTime: 200, maxRetryTime: 5_000, retries: Number.MAX_SAFE_INTEGER },
  });
  const consumer = kafka.consumer({
    groupId: options.groupId,
    sessionTimeout: 10_000,
    heartbeatInterval: 1_000,
    rebalanceTimeout: 15_000,
    maxWaitTimeInMs: 100,
    retry: { retries: Number.MAX_SAFE_INTEGER, restartOnFailure: async () => true },
  });
  const producer = kafka.producer({ allowAutoTopicCreation: false, retry: { retries: 8 } });
  const source = new Source(options, consumer, producer);
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => source.assigned(payload.memberAssignment[topic] ?? []));
  consumer.on(consumer.events.CRASH, ({ payload }) => logger.error({ err: payload.error }, "kafka consumer crashed, it is started again"));
  consumer.on(consumer.events.DISCONNECT, () => source.lost());
  await producer.connect();
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: (payload) => source.take(payload) });
  source.start();
  return source;
}

class Source implements KafkaSource {
  readonly #options: KafkaSourceOptions;
  readonly #consumer: Consumer;
  readonly #producer: Producer;
  #partitions = new Map<number, Partition>();
  #connected = false;
  #stopping = false;
  #cancelCommits: (() => void) | undefined;
  #committing: Promise<void> | undefined;

  constructor(options: KafkaSourceOptions, consumer: Consumer, producer: Producer) {
    this.#options = options;
    this.#consumer = consumer;
    this.#producer = producer;
  }

  readonly isConnected = (): boolean => this.#connected;

  start(): void {
    this.#cancelCommits = this.#options.clock.every(commitMs, () => void this.#commit());
  }

  /** A rebalance is over. Every partition starts again from what is committed: what was under way is delivered twice rather than lost. */
  assigned(partitions: readonly number[]): void {
    for (const partition of this.#partitions.values()) partition.revoked = true;
    this.#partitions = new Map(
      partitions.map((partition) => [partition, { checkpoint: new Checkpoint(), committed: -1, paused: false, revoked: false }]),
    );
    this.#connected = true;
  }

  lost(): void {
    this.#connected = false;
  }

  async take({ batch, isRunning, isStale, resolveOffset, heartbeat }: EachBatchPayload): Promise<void> {
    const partition = this.#partitions.get(batch.partition);
    if (partition === undefined || partition.revoked) return;
    for (const message of batch.messages) {
      if (this.#stopping || !isRunning() || isStale()) return;
      this.#handle(partition, message);
      resolveOffset(message.offset);
    }
    if (batch.messages.length === 0) resolveOffset(batch.lastOffset());
    this.#bound(partition, batch.partition);
    await heartbeat();
  }

  async emit(events: readonly { readonly user: string; readonly value: string }[]): Promise<void> {
    const messages = events.map(({ user, value }) => ({ key: user, value }));
    await this.#producer.send({ topic: this.#options.clientEventsTopic, messages });
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#cancelCommits?.();
    const giveUpMs = this.#options.clock.monotonicMs() + stopMs;
    while (this.#pending() > 0 && this.#options.clock.monotonicMs() < giveUpMs) {
      await new Promise<void>((resolve) => this.#options.clock.after(20, resolve));
    }
    await this.#commit();
    await this.#consumer.disconnect();
    await this.#producer.disconnect();
  }

  #pending(): number {
    let count = 0;
    for (const { checkpoint } of this.#partitions.values()) count += checkpoint.pending;
    return count;
  }

  #handle(partition: Partition, message: KafkaMessage): void {
    const resolve = partition.checkpoint.track(Number(message.offset));
    void this.#process(message).then((done) => {
      if (done) resolve();
    });
  }

  /** True when the record is done with, one way or another; false when the router stops first. */
  async #process(message: KafkaMessage): Promise<boolean> {
    const value = message.value ?? Buffer.alloc(0);
    const parsed = isUtf8(value) ? parseNotification(value.toString("utf8"), { idRequired: true }) : badUtf8;
    if (parsed.kind === "bad") return await this.#deadLetter(message, "bad_record", JSON.stringify(parsed.faults));
    const { notification } = parsed;
    const id = notification.notificationId;
    if (id === undefined) throw new Error("an id is required of a record");
    const processed = await this.#deliver(notification, id, Number(message.timestamp));
    const failed = processed.find((one) => one.kind === "failed");
    if (failed?.kind === "failed") return await this.#deadLetter(message, "store_failed", failed.reason);
    if (processed.some((one) => one.kind === "stopped")) return false;
    return await this.#tellOutcomes(id, notification, processed);
  }

  #deliver(notification: Notification, id: NotificationId, publishedAtMs: number): Promise<readonly Processed[]> {
    return Promise.all(notification.userIds.map((user) => this.#options.pipeline.process(notification, id, user, publishedAtMs)));
  }

  async #tellOutcomes(id: NotificationId, notification: Notification, processed: readonly Processed[]): Promise<boolean> {
    const topic = this.#options.outcomesTopic;
    if (topic === null) return true;
    const messages = processed.flatMap((one, index) => {
      const user = notification.userIds[index];
      if (one.kind !== "done" || user === undefined) return [];
      return [{ key: user, value: JSON.stringify({ user_id: user, notification_id: id, cursor: one.cursor, outcomes: one.outcomes }) }];
    });
    return await this.#sendUntilTaken(topic, messages);
  }

  /** The record as it was, with the reason. Its offset counts as done only when the topic has it. */
  async #deadLetter(message: KafkaMessage, reason: "bad_record" | "store_failed", details: string): Promise<boolean> {
    const headers = { ...message.headers, "pushfleet-reason": reason, "pushfleet-details": details.slice(0, 4096) };
    const sent = await this.#sendUntilTaken(this.#options.deadLetterTopic, [{ key: message.key, value: message.value, headers }]);
    if (sent) this.#options.onDeadLetter(reason);
    return sent;
  }

  async #sendUntilTaken(topic: string, messages: Parameters<Producer["send"]>[0]["messages"]): Promise<boolean> {
    while (!this.#stopping) {
      try {
        await this.#producer.send({ topic, messages });
        return true;
      } catch (cause) {
        this.#options.logger.warn({ err: cause, topic }, "kafka did not take a record, it is sent again");
        await new Promise<void>((resolve) => this.#options.clock.after(1_000, resolve));
      }
    }
    return false;
  }

  /** The bound of what is under way: the partition is paused above it, and goes on when half is done. */
  #bound(partition: Partition, number: number): void {
    if (partition.paused || partition.checkpoint.pending < partitionInFlightMax) return;
    partition.paused = true;
    const assignment = [{ topic: this.#options.topic, partitions: [number] }];
    this.#consumer.pause(assignment);
    const cancel = this.#options.clock.every(10, () => {
      if (!partition.revoked && partition.checkpoint.pending > partitionInFlightMax / 2) return;
      cancel();
      partition.paused = false;
      if (!this.#stopping) this.#consumer.resume(assignment);
    });
  }

  /** One commit at a time, for every partition that moved. */
  async #commit(): Promise<void> {
    if (this.#committing !== undefined) await this.#committing;
    this.#committing = this.#commitNow().finally(() => {
      this.#committing = undefined;
    });
    await this.#committing;
  }

  async #commitNow(): Promise<void> {
    const moved = [...this.#partitions].flatMap(([number, partition]) => {
      const offset = partition.checkpoint.committable;
      return offset === undefined || offset <= partition.committed || partition.revoked ? [] : [{ number, partition, offset }];
    });
    if (moved.length === 0) return;
    try {
      await this.#consumer.commitOffsets(
        moved.map(({ number, offset }) => ({ topic: this.#options.topic, partition: number, offset: String(offset) })),
      );
      for (const { partition, offset } of moved) partition.committed = offset;
    } catch (cause) {
      this.#options.logger.warn({ err: cause }, "offsets were not committed, the next commit has them"); // a rebalance, or Kafka is away
    }
  }
}

const badUtf8 = { kind: "bad", faults: [{ path: "", value: "bytes", expected: "JSON in UTF-8" }] } as const;
