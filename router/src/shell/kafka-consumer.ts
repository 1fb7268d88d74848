import { limits } from "@pushfleet/protocol";
import type { Clock, Logger } from "@pushfleet/service";
import type kafkajs from "kafkajs";
import { retryDelayMs } from "../core/retry-delay.js";
import { InterruptibleWait } from "./interruptible-wait.js";
import { settleWithin } from "./settle-within.js";

export interface KafkaConsumerOptions {
  readonly kafka: kafkajs.Kafka;
  readonly topic: string;
  readonly groupId: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  /** The group was joined, at the start and after each rebalance: these partitions are ours, and are fetched from what was committed. */
  readonly onAssigned: (partitions: readonly number[]) => void;
  /** A rebalance begins: what can be committed should be. */
  readonly onRebalancing: () => void;
  /** A fetched batch; false when it was not taken in and must be fetched again. */
  readonly onBatch: (batch: kafkajs.Batch) => boolean;
}

const retryBounds = { minMs: limits.kafkaRetryMinMs, maxMs: limits.kafkaRetryMaxMs };

/** A member of the group for as long as the router lives: one kafkajs consumer after the other, for one that has crashed, or cannot reach
 *  Kafka, is replaced after a pause. It never waits for what becomes of a batch. */
export class KafkaConsumer {
  readonly #options: KafkaConsumerOptions;
  #consumer: kafkajs.Consumer | undefined;
  readonly #wait: InterruptibleWait;
  #attempts = 0;
  #heardAtMs: number | undefined;
  #lives: Promise<void> | undefined;

  constructor(options: KafkaConsumerOptions) {
    this.#options = options;
    this.#wait = new InterruptibleWait(options.clock);
  }

  /** A member whose coordinator answered lately. */
  get isMember(): boolean {
    return this.#heardAtMs !== undefined && this.#options.clock.monotonicMs() - this.#heardAtMs < limits.kafkaSessionMs;
  }

  start(): void {
    this.#lives = this.#live();
  }

  pause(partition: number): void {
    this.#tell((consumer) => consumer.pause([{ topic: this.#options.topic, partitions: [partition] }]));
  }

  resume(partition: number): void {
    this.#tell((consumer) => consumer.resume([{ topic: this.#options.topic, partitions: [partition] }]));
  }

  /** Rejects when they were not committed: a rebalance, or Kafka is away. */
  async commit(offsets: readonly { readonly partition: number; readonly offset: number }[]): Promise<void> {
    if (this.#consumer === undefined) throw new Error("no consumer");
    const { topic } = this.#options;
    await this.#consumer.commitOffsets(offsets.map(({ partition, offset }) => ({ topic, partition, offset: String(offset) })));
  }

  /** Leaves the group. */
  async stop(): Promise<void> {
    this.#wait.stop();
    await settleWithin(this.#options.clock, limits.routerPartStopMs, this.#lives);
  }

  #tell(tell: (consumer: kafkajs.Consumer) => void): void {
    if (this.#consumer === undefined) return;
    try {
      tell(this.#consumer);
    } catch (cause) {
      // It is crashing, or has not joined yet: a consumer is told all pauses when it has joined.
      this.#options.logger.debug({ err: cause }, "the consumer is no member now");
    }
  }

  async #live(): Promise<void> {
    while (!this.#wait.isStopped) {
      const ended = await this.#liveOnce();
      if (this.#wait.isStopped) return;
      const delayMs = retryDelayMs(++this.#attempts, this.#options.random(), retryBounds);
      this.#options.logger.warn({ err: ended, delayMs }, "no consumer of the topic, starting another");
      await this.#wait.sleep(delayMs);
    }
  }

  /** From connecting to the end, whatever it is. */
  async #liveOnce(): Promise<Error | undefined> {
    const { kafka, topic, groupId } = this.#options;
    const consumer = kafka.consumer({
      groupId,
      sessionTimeout: limits.kafkaSessionMs,
      heartbeatInterval: limits.kafkaHeartbeatMs,
      rebalanceTimeout: limits.kafkaSessionMs,
      maxWaitTimeInMs: limits.kafkaFetchWaitMs,
      retry: { initialRetryTime: limits.kafkaRetryMinMs, retries: 4, restartOnFailure: async () => false },
    });
    const stopped = this.#wait.untilStopped();
    const crashed = this.#listen(consumer);
    try {
      await consumer.connect();
      await consumer.subscribe({ topics: [topic], fromBeginning: true });
      if (this.#wait.isStopped) return undefined;
      this.#consumer = consumer;
      const eachBatch = async (payload: kafkajs.EachBatchPayload): Promise<void> => this.#take(payload);
      await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch });
      return (await Promise.race([crashed, stopped])) ?? undefined;
    } catch (cause) {
      return cause as Error;
    } finally {
      this.#consumer = undefined;
      this.#heardAtMs = undefined;
      await settleWithin(this.#options.clock, limits.routerPartStopMs, consumer.disconnect());
    }
  }

  /** Resolves when kafkajs gives the consumer up. */
  #listen(consumer: kafkajs.Consumer): Promise<Error> {
    const { clock, topic, onAssigned, onRebalancing } = this.#options;
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      if (this.#consumer !== consumer) return;
      this.#attempts = 0;
      this.#heardAtMs = clock.monotonicMs();
      onAssigned(payload.memberAssignment[topic] ?? []);
    });
    consumer.on(consumer.events.HEARTBEAT, () => {
      if (this.#consumer === consumer) this.#heardAtMs = clock.monotonicMs();
    });
    consumer.on(consumer.events.REBALANCING, () => {
      if (this.#consumer === consumer) onRebalancing();
    });
    return new Promise((resolve) => consumer.on(consumer.events.CRASH, ({ payload }) => resolve(payload.error)));
  }

  #take({ batch, isRunning, isStale, resolveOffset }: kafkajs.EachBatchPayload): void {
    if (this.#wait.isStopped || !isRunning() || isStale()) return;
    if (this.#options.onBatch(batch)) resolveOffset(batch.messages.at(-1)?.offset ?? batch.lastOffset());
  }
}
