import type { ProcessExit, RunningProcess } from "./process.js";

/** After SIGTERM an API server waits a minute for its clients' watches to end, and etcd for the API server's: a test does not. */
const STOP_DEADLINE_MS = 1_000;

/** One process of a control plane, which can be started, stopped, killed and frozen while the others run on. */
export class ControlPlaneProcess {
  readonly #name: string;
  readonly #launch: () => Promise<RunningProcess>;
  #process: RunningProcess | undefined;

  /** `launch` resolves when the process is ready, and leaves nothing when it fails. */
  constructor(name: string, launch: () => Promise<RunningProcess>) {
    this.#name = name;
    this.#launch = launch;
  }

  get isRunning(): boolean {
    return this.#process !== undefined && this.#process.exit === undefined;
  }

  /** Throws when it was never started. */
  get pid(): number {
    if (this.#process === undefined) throw new Error(`${this.#name} was not started`);
    return this.#process.pid;
  }

  /** The last lines it logged since its last start. */
  lines(): readonly string[] {
    return this.#process?.lines() ?? [];
  }

  /** Starts it, again with its port and data, and resolves when it is ready. Nothing happens when it runs. */
  async start(): Promise<void> {
    if (this.isRunning) return;
    this.#process = await this.#launch();
  }

  /** SIGTERM, and SIGKILL after a second. What was written stays. */
  async stop(): Promise<ProcessExit | undefined> {
    return this.#process?.stop({ deadlineMs: STOP_DEADLINE_MS });
  }

  /** SIGKILL, as a crash. */
  async kill(): Promise<ProcessExit | undefined> {
    return this.#process?.kill();
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.start();
  }

  /** Freezes it: connections stay open, nothing answers. */
  pause(): void {
    this.#process?.pause();
  }

  resume(): void {
    this.#process?.resume();
  }
}
