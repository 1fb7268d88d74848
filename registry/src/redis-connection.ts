import { limits } from "@pushfleet/protocol";
import type { Clock, Logger } from "@pushfleet/service";
import { Redis } from "ioredis";
import { RedisClock } from "./redis-clock.js";
import type { RedisCommand, Reply } from "./redis-command.js";
import { scripts } from "./scripts/index.js";

export interface RedisConnectionOptions {
  readonly url: string;
  readonly clock: Clock;
  readonly logger?: Logger | undefined;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** One connection to Redis that is made again for as long as it takes, 50 ms to 2 s apart, jittered. Nothing waits for it: while it is away
 *  every command is `unavailable` at once, and one without an answer is after `registryTimeoutMs`. Nothing is sent twice by itself. */
export class RedisConnection {
  /** Redis's time; known whenever `isUsable`. */
  readonly time = new RedisClock();
  readonly #client: Redis;
  readonly #clock: Clock;
  readonly #logger: Logger | undefined;
  readonly #usableListeners = new Set<() => void>();
  /** Counts connections, so that what belongs to an earlier one is not taken for the present one's. */
  #epoch = 0;
  /** To connect, since Redis could last be used: one that accepts connections and then refuses commands must not be asked in a tight loop. */
  #attempts = 0;
  #isUsable = false;
  #isClosed = false;
  #lastError: Error | undefined;

  constructor(options: RedisConnectionOptions) {
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#client = new Redis(options.url, {
      lazyConnect: true,
      scripts: { ...scripts },
      connectTimeout: limits.registryTimeoutMs,
      keepAlive: 10_000,
      disableClientInfo: true,
      // What was under way when a connection broke may have been done: that is for the caller to judge.
      autoResendUnfulfilledCommands: false,
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      // A hung server never answers our end of the connection with its own.
      disconnectTimeout: 50,
      retryStrategy: () => reconnectDelayMs(++this.#attempts, options.random()),
      // A master that became a replica: the name may lead to the new one by now.
      reconnectOnError: (error) => error.message.startsWith("READONLY"),
    });
    this.#client.on("error", (error) => {
      this.#lastError = error;
    });
    this.#client.on("connect", () => this.#watchReadyCheck());
    this.#client.on("ready", () => void this.#becomeUsable());
    this.#client.on("close", () => this.#becomeUnusable());
  }

  get isUsable(): boolean {
    return this.#isUsable;
  }

  /** Resolves when Redis can be used. Rejects, and gives up, after `registryStartMs`. */
  async open(): Promise<void> {
    const usable = new Promise<boolean>((resolve) => {
      const stopWaiting = this.#clock.after(limits.registryStartMs, () => resolve(false));
      const stopListening = this.onUsable(() => {
        stopWaiting();
        stopListening();
        resolve(true);
      });
    });
    this.#client.connect().catch(() => {}); // the error event has it, and the next attempt follows
    if (await usable) return;
    this.close();
    const { host, port } = this.#client.options;
    throw new Error(
      `no Redis at ${host}:${port} within ${limits.registryStartMs} ms (${this.#lastError?.message ?? "no answer"}); ` +
        "expected registry.url to name a Redis that answers",
      { cause: this.#lastError },
    );
  }

  /** `listener` is called each time Redis can be used, the first time included. Returns the way to stop it. */
  onUsable(listener: () => void): () => void {
    this.#usableListeners.add(listener);
    return () => this.#usableListeners.delete(listener);
  }

  /** Sends `commands` in one write. A reply for each, in order; never rejects. */
  async run(commands: readonly RedisCommand[]): Promise<readonly Reply[]> {
    if (!this.#isUsable) return allUnavailable(commands, new Error("no connection to Redis", { cause: this.#lastError }));
    return this.#exchange(commands);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#isUsable = false;
    this.#client.disconnect();
  }

  async #exchange(commands: readonly RedisCommand[]): Promise<readonly Reply[]> {
    const epoch = this.#epoch;
    const pipeline = this.#client.pipeline(commands.map((command) => [...command]));
    const answered = pipeline.exec().then(
      (results) => commands.map((_, index) => toReply(results?.[index])),
      (error: Error) => allUnavailable(commands, error),
    );
    return this.#withDeadline(answered, () => {
      const cause = new Error(`Redis did not answer within ${limits.registryTimeoutMs} ms`);
      this.#lastError = cause;
      if (epoch === this.#epoch) this.#reconnect();
      return allUnavailable(commands, cause);
    });
  }

  #withDeadline<T>(work: Promise<T>, onLate: () => T): Promise<T> {
    return new Promise((resolve) => {
      let isSettled = false;
      const settle = (value: T): void => {
        isSettled = true;
        cancel();
        resolve(value);
      };
      // When it was this process that hung, the answer is there to be read: timers come before sockets, `setImmediate` after them.
      const cancel = this.#clock.after(limits.registryTimeoutMs, () => setImmediate(() => !isSettled && settle(onLate())));
      void work.then((value) => !isSettled && settle(value));
    });
  }

  /** ioredis asks a new server whether it is loading its data, and would wait for the answer without end. */
  #watchReadyCheck(): void {
    const epoch = this.#epoch;
    this.#clock.after(limits.registryTimeoutMs, () => {
      if (epoch === this.#epoch && this.#client.status === "connect") this.#reconnect();
    });
  }

  async #becomeUsable(): Promise<void> {
    const epoch = this.#epoch;
    const [reply] = await this.#exchange([["time"]]);
    if (epoch !== this.#epoch || this.#isClosed) return;
    if (reply?.kind !== "reply" || !Array.isArray(reply.value)) {
      this.#lastError = reply?.kind === "reply" && reply.value instanceof Error ? reply.value : this.#lastError;
      return this.#reconnect();
    }
    const [seconds, microseconds] = reply.value;
    this.time.observe(Number(seconds) * 1e6 + Number(microseconds), this.#clock.monotonicMs());
    this.#isUsable = true;
    this.#attempts = 0;
    this.#logger?.info("registry connected");
    for (const listener of [...this.#usableListeners]) listener();
  }

  #becomeUnusable(): void {
    this.#epoch += 1;
    this.time.forget();
    if (this.#isUsable) this.#logger?.warn({ err: this.#lastError }, "registry connection lost");
    this.#isUsable = false;
  }

  #reconnect(): void {
    this.#isUsable = false;
    if (!this.#isClosed) this.#client.disconnect(true);
  }
}

/** `random` is uniform in [0, 1). 50 ms doubling to `registryReconnectMsMax`, each uniform in its upper half. */
export function reconnectDelayMs(attempt: number, random: number): number {
  const fullMs = Math.min(limits.registryReconnectMsMax, 50 * 2 ** Math.min(attempt - 1, 10));
  return (fullMs * (1 + random)) / 2;
}

/** An error of Redis is an answer; one of the connection (ioredis gives those other names) is not. */
function toReply(result: [error: Error | null, value: unknown] | undefined): Reply {
  if (result === undefined) return { kind: "unavailable", cause: new Error("no reply") };
  const [error, value] = result;
  if (error === null) return { kind: "reply", value };
  return error.name === "ReplyError" ? { kind: "reply", value: error } : { kind: "unavailable", cause: error };
}

function allUnavailable(commands: readonly RedisCommand[], cause: Error): readonly Reply[] {
  return commands.map(() => ({ kind: "unavailable", cause }));
}
