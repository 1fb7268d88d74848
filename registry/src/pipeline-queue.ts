import { limits } from "@pushfleet/protocol";
import type { RedisCommand, Reply } from "./redis-command.js";

/** Sends `commands` in one write and gives a reply for each, in order. Never rejects. */
export type RunPipeline = (commands: readonly RedisCommand[]) => Promise<readonly Reply[]>;

interface Waiting {
  readonly build: () => RedisCommand;
  readonly resolve: (reply: Reply) => void;
}

/** Puts the commands of one turn of the event loop into one pipeline, in their order, and holds back further ones while
 *  `registryPipelinesInFlightMax` are under way: under load pipelines get longer instead of more. */
export class PipelineQueue {
  readonly #run: RunPipeline;
  #waiting: Waiting[] = [];
  #inFlight = 0;
  #isScheduled = false;
  #idle: (() => void)[] = [];

  constructor(run: RunPipeline) {
    this.#run = run;
  }

  /** `build` is called when the command is about to be written, so that an age in it is right then. */
  send(build: () => RedisCommand): Promise<Reply> {
    if (this.#waiting.length >= limits.registryCommandsQueuedMax) {
      return Promise.resolve({
        kind: "unavailable",
        cause: new Error(`${limits.registryCommandsQueuedMax} commands are waiting for Redis`),
      });
    }
    return new Promise((resolve) => {
      this.#waiting.push({ build, resolve });
      this.#schedule();
    });
  }

  /** Resolves when nothing waits or is under way. */
  whenIdle(): Promise<void> {
    return this.#isIdle() ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }

  #isIdle(): boolean {
    return this.#waiting.length === 0 && this.#inFlight === 0;
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    const most = limits.registryPipelineCommandsMax;
    let from = 0;
    while (from < this.#waiting.length && this.#inFlight < limits.registryPipelinesInFlightMax) {
      void this.#runOne(this.#waiting.slice(from, from + most));
      from += most;
    }
    if (from > 0) this.#waiting = this.#waiting.slice(from);
  }

  async #runOne(batch: readonly Waiting[]): Promise<void> {
    this.#inFlight += 1;
    const replies = await this.#run(batch.map((waiting) => waiting.build()));
    this.#inFlight -= 1;
    for (const [index, waiting] of batch.entries()) {
      waiting.resolve(replies[index] ?? { kind: "unavailable", cause: new Error("no reply") });
    }
    if (this.#waiting.length > 0) this.#schedule();
    if (this.#isIdle()) for (const resolve of this.#idle.splice(0)) resolve();
  }
}
