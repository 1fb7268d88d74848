import { limits } from "@pushfleet/protocol";
import type { Clock, Logger } from "@pushfleet/service";
import kafkajs from "kafkajs";
import { retryDelayMs } from "../core/retry-delay.js";
import { InterruptibleWait } from "./interruptible-wait.js";
import { settleWithin } from "./settle-within.js";

/** A record of the writer's topic. */
export interface KafkaWrite {
  readonly key: Buffer | string | null;
  readonly value: Buffer | string | null;
  readonly headers?: kafkajs.IHeaders | undefined;
}

/** `written`: all in-sync replicas have it. `too_large`: the topic does not take a record of this size. `failed`: it was tried once, which is
 *  all that was asked for. `stopped`: the writer was stopped first. */
export type Written = "written" | "too_large" | "failed" | "stopped";

interface Waiting {
  readonly write: KafkaWrite;
  readonly bytes: number;
  readonly resolve: (written: Written) => void;
}

export interface KafkaWriterOptions {
  readonly kafka: kafkajs.Kafka;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly topic: string;
  /** What to do when Kafka is away: try until it is back, or tell the caller, who has a caller that tries again. */
  readonly whenAway: "retry" | "fail";
}

const retryBounds = { minMs: limits.kafkaRetryMinMs, maxMs: limits.kafkaRetryMaxMs };

/** Writes records to one topic; what waits goes together. A topic that cannot be written to holds up no other. */
export class KafkaWriter {
  readonly #options: KafkaWriterOptions;
  readonly #producer: kafkajs.Producer;
  #waiting: Waiting[] = [];
  #running = false;
  #connected = false;
  readonly #wait: InterruptibleWait;

  constructor(options: KafkaWriterOptions) {
    this.#options = options;
    this.#wait = new InterruptibleWait(options.clock);
    this.#producer = options.kafka.producer({
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
      retry: { initialRetryTime: limits.kafkaRetryMinMs, maxRetryTime: limits.kafkaRetryMaxMs, retries: 2 },
    });
  }

  /** Records that wait or are being written. */
  get pending(): number {
    return this.#waiting.length;
  }

  write(write: KafkaWrite): Promise<Written> {
    if (this.#wait.isStopped) return Promise.resolve("stopped");
    return new Promise((resolve) => {
      this.#waiting.push({ write, bytes: sizeOf(write), resolve });
      if (!this.#running) void this.#run();
    });
  }

  async stop(): Promise<void> {
    this.#wait.stop();
    for (const { resolve } of this.#waiting.splice(0)) resolve("stopped");
    await settleWithin(this.#options.clock, limits.routerPartStopMs, this.#producer.disconnect());
  }

  async #run(): Promise<void> {
    this.#running = true;
    await Promise.resolve(); // what is written in the same tick goes together
    for (let attempts = 0; this.#waiting.length > 0 && !this.#wait.isStopped; ) {
      const part = this.#waiting.slice(0, endOfPart(this.#waiting));
      const outcome = await this.#send(part);
      if (outcome === "retry") await this.#wait.sleep(retryDelayMs(++attempts, this.#options.random(), retryBounds));
      else attempts = 0;
    }
    this.#running = false;
  }

  /** `retry`: Kafka is away, or will not have the records now. Among several one too large is found by sending each alone. */
  async #send(part: readonly Waiting[]): Promise<"settled" | "retry"> {
    const error = await this.#try(part);
    if (error === undefined) return this.#settle(part, "written");
    if (!isTooLarge(error)) {
      const { logger, topic, whenAway } = this.#options;
      logger.warn({ err: error, topic, count: part.length }, "kafka did not take records");
      return whenAway === "retry" ? "retry" : this.#settle(part, "failed");
    }
    if (part.length === 1) return this.#settle(part, "too_large");
    for (const one of part) if ((await this.#send([one])) === "retry") return "retry";
    return "settled";
  }

  async #try(part: readonly Waiting[]): Promise<Error | undefined> {
    try {
      if (!this.#connected) await this.#producer.connect();
      this.#connected = true;
      await this.#producer.send({ topic: this.#options.topic, messages: part.map(({ write }) => toMessage(write)) });
      return undefined;
    } catch (cause) {
      return cause as Error;
    }
  }

  #settle(part: readonly Waiting[], written: Written): "settled" {
    const settled = new Set(part);
    this.#waiting = this.#waiting.filter((one) => !settled.has(one));
    for (const { resolve } of part) resolve(written);
    return "settled";
  }
}

function sizeOf({ key, value, headers }: KafkaWrite): number {
  let bytes = 100 + (key === null ? 0 : Buffer.byteLength(key)) + (value === null ? 0 : Buffer.byteLength(value));
  for (const header of Object.values(headers ?? {})) {
    for (const one of Array.isArray(header) ? header : [header]) bytes += one === undefined ? 0 : Buffer.byteLength(one) + 50;
  }
  return bytes;
}

function endOfPart(waiting: readonly Waiting[]): number {
  let bytes = 0;
  let end = 0;
  for (; end < waiting.length && end < limits.kafkaWriteRecordsMax; end++) {
    bytes += waiting[end]?.bytes ?? 0;
    if (end > 0 && bytes > limits.kafkaWriteBytesMax) break;
  }
  return end;
}

function toMessage({ key, value, headers }: KafkaWrite): kafkajs.Message {
  return headers === undefined ? { key, value } : { key, value, headers };
}

/** kafkajs wraps what a broker said: the code is somewhere down the causes. */
function isTooLarge(error: Error): boolean {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    const { type } = at as { readonly type?: unknown };
    if (type === "MESSAGE_TOO_LARGE" || type === "RECORD_LIST_TOO_LARGE") return true;
  }
  return false;
}
