import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { limits } from "@pushfleet/protocol";
import type { v1 } from "@pushfleet/service";
import type { Channel, FromWorker, MetricsJson, ToWorker, WorkerReport } from "./messages.js";

/** One end of a worker process, that can be ended by force. */
export interface WorkerChannel extends Channel<FromWorker, ToWorker> {
  kill(): void;
}

/** V8 lets its young generation grow to 3 × 16 MiB in a storm of handshakes and gives it back late. With 4 the bytes of deliveries outlive it
 *  and force major collections: 2.26 × the `ws` package against 3.15 × with 8 (`node bench/run.mjs --only deliveries`, twice each). */
export const workerFlags: readonly string[] = ["--max-semi-space-size=8"];

/** Starts a worker process. Signals are the supervisor's business: the worker ignores them, and ends when the supervisor is gone. */
export function forkWorker(): WorkerChannel {
  const child = fork(fileURLToPath(new URL("worker-main.js", import.meta.url)), [], {
    execArgv: [...workerFlags],
    serialization: "advanced",
  });
  return {
    send: (message) => {
      if (child.connected) child.send(message);
    },
    onMessage: (listener) => child.on("message", listener),
    onGone: (listener) => {
      child.once("exit", listener);
      child.once("error", listener); // it could not be started
    },
    kill: () => child.kill("SIGKILL"),
  };
}

type Answer = v1.IDrainReply | MetricsJson;

/** A supervisor's view of one worker process, from its start to its end. */
export class WorkerProcess {
  readonly index: number;
  readonly #channel: WorkerChannel;
  readonly #waiting = new Map<number, (answer: Answer | undefined) => void>();
  #lastId = 0;
  #report: WorkerReport | undefined;
  #grpcAddress: string | undefined;
  #clientAddress: string | undefined;
  isGone = false;

  constructor(index: number, channel: WorkerChannel) {
    this.index = index;
    this.#channel = channel;
    channel.onMessage((message) => {
      if (message.kind === "ready") {
        this.#grpcAddress = message.addresses.grpc;
        this.#clientAddress = message.addresses.client;
      }
      if (message.kind === "ready" || message.kind === "report") this.#report = message.report;
      if (message.kind === "answer") this.#answer(message.id, message.answer);
    });
    channel.onGone(() => {
      this.isGone = true;
      for (const id of [...this.#waiting.keys()]) this.#answer(id, undefined);
    });
  }

  /** The latest, once it is ready. */
  get report(): WorkerReport | undefined {
    return this.#report;
  }

  get addresses(): { readonly client: string | undefined; readonly grpc: string | undefined } {
    return { client: this.#clientAddress, grpc: this.#grpcAddress };
  }

  get connections(): number {
    return this.#report?.status.connections ?? 0;
  }

  tell(message: Exclude<ToWorker, { readonly id: number }>): void {
    this.#channel.send(message);
  }

  reply(id: number, reply: v1.IDrainReply): void {
    this.#channel.send({ kind: "reply", id, reply });
  }

  /** `undefined`: it is gone, or did not answer within `limits.workerAnswerMs`. */
  async drain(grant: v1.IGrant, reason: string): Promise<v1.IDrainReply | undefined> {
    return (await this.#ask((id) => ({ kind: "drain", id, grant, reason }))) as v1.IDrainReply | undefined;
  }

  async abortDrain(epoch: number): Promise<v1.IDrainReply | undefined> {
    return (await this.#ask((id) => ({ kind: "abort", id, epoch }))) as v1.IDrainReply | undefined;
  }

  async metrics(): Promise<MetricsJson | undefined> {
    return (await this.#ask((id) => ({ kind: "metrics", id }))) as MetricsJson | undefined;
  }

  kill(): void {
    this.#channel.kill();
  }

  #ask(question: (id: number) => ToWorker): Promise<Answer | undefined> {
    if (this.isGone) return Promise.resolve(undefined);
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      setTimeout(() => this.#answer(id, undefined), limits.workerAnswerMs).unref();
      this.#channel.send(question(id));
    });
  }

  #answer(id: number, answer: Answer | undefined): void {
    this.#waiting.get(id)?.(answer);
    this.#waiting.delete(id);
  }
}
