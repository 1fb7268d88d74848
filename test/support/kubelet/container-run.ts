import { constants } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { type ProcessExit, type RunningProcess, startProcess } from "../../peers/process.js";
import type { Environment, Variables } from "./container-command.js";
import { type Container, type ContainerState, type ContainerStatus, type Probe, timeText } from "./objects.js";
import { runProbe } from "./probes.js";
import type { ProcessGuard } from "./process-guard.js";

/** Of a log that says why a container ended: as a kubelet takes them. */
const MESSAGE_LINES_MAX = 80;
const MESSAGE_CHARACTERS_MAX = 2048;

/** How long a container that ended waits for its next start: doubled each time, forgotten after it has run for `resetAfterMs`. */
export interface BackOff {
  readonly firstMs: number;
  readonly maxMs: number;
  readonly resetAfterMs: number;
}

export type Image = { readonly kind: "image"; readonly words: readonly string[] } | { readonly kind: "failed"; readonly message: string };

/** What a container's run takes from its pod. */
export interface ContainerContext {
  readonly podName: string;
  readonly restarts: "Always" | "OnFailure" | "Never";
  readonly backOff: BackOff;
  readonly graceMs: number;
  /** The image's program; slow images take their time here. */
  pull(image: string): Promise<Image>;
  environment(container: Container): Environment;
  command(container: Container, program: readonly string[], variables: Variables): readonly string[];
  processEnv(variables: Variables): Record<string, string>;
  attempt(probe: Probe, container: Container): Promise<boolean>;
  readonly cwd: string;
  readonly guard: ProcessGuard;
  /** Something in `status()` is another. */
  onChange(): void;
}

type Started =
  | { readonly kind: "process"; readonly process: RunningProcess }
  | { readonly kind: "waiting"; readonly reason: string; readonly message: string };

/** One container of a pod as a process: started, probed, started again when it ends, terminated with its pod. */
export class ContainerRun {
  readonly #container: Container;
  readonly #context: ContainerContext;
  readonly #end = new AbortController();
  #state: ContainerState = { waiting: { reason: "ContainerCreating" } };
  #last: ContainerState = {};
  #restartCount: number;
  #isReady = false;
  #isStarted = false;
  #isLost = false;
  #process: RunningProcess | undefined;
  #probing = new AbortController();
  #living = new AbortController();
  #killTimer: NodeJS.Timeout | undefined;
  #terminating: Promise<void> | undefined;
  #run: Promise<void> | undefined;

  constructor(container: Container, context: ContainerContext, restartCount: number) {
    this.#container = container;
    this.#context = context;
    this.#restartCount = restartCount;
  }

  /** The process of now, or of last time. */
  get process(): RunningProcess | undefined {
    return this.#process;
  }

  status(): ContainerStatus {
    const { name, image = "" } = this.#container;
    const ready = this.#isReady && this.#state.running !== undefined;
    return {
      name,
      image,
      imageID: this.#process === undefined ? "" : image,
      ready,
      started: this.#isStarted && this.#state.running !== undefined,
      restartCount: this.#restartCount,
      state: this.#state,
      lastState: this.#last,
      ...(this.#process === undefined ? {} : { containerID: `process://${this.#process.pid}` }),
    };
  }

  /** Runs until it is not to be started again or `terminate` or `kill` ended it. Never rejects. */
  run(): Promise<void> {
    this.#run ??= this.#loop();
    return this.#run;
  }

  /** preStop, SIGTERM, and when `graceMs` have passed since this call SIGKILL. A second call with less time shortens it. */
  async terminate(graceMs: number): Promise<void> {
    this.#end.abort();
    this.#living.abort();
    this.#killAfter(graceMs);
    this.#terminating ??= this.#askToEnd();
    await this.#run;
    clearTimeout(this.#killTimer);
  }

  /** As a machine that is lost. */
  async kill(): Promise<void> {
    this.#isLost = true;
    this.#end.abort();
    this.#probing.abort();
    this.#living.abort();
    await this.#process?.kill();
    await this.#run;
    clearTimeout(this.#killTimer);
  }

  async #loop(): Promise<void> {
    const { backOff, restarts } = this.#context;
    let waitMs = 0;
    let imageWaitMs = backOff.firstMs;
    while (!this.#end.signal.aborted) {
      const started = await this.#start();
      if (started.kind === "waiting") {
        this.#set({ waiting: { reason: started.reason, message: started.message } });
        await this.#sleep(imageWaitMs);
        imageWaitMs = Math.min(imageWaitMs * 2, backOff.maxMs);
        continue;
      }
      const startedAtMs = Date.now();
      const exit = await this.#follow(started.process, startedAtMs);
      if (this.#end.signal.aborted || restarts === "Never" || (restarts === "OnFailure" && exit.code === 0)) return;
      if (Date.now() - startedAtMs > backOff.resetAfterMs) waitMs = 0;
      if (waitMs > 0) await this.#waitBackOff(waitMs);
      waitMs = Math.min(Math.max(waitMs * 2, backOff.firstMs), backOff.maxMs);
      if (!this.#end.signal.aborted) this.#restartCount += 1;
    }
    if (this.#state.terminated === undefined && this.#last.terminated !== undefined) this.#set(this.#last);
  }

  async #start(): Promise<Started> {
    const { podName, pull, environment, command, processEnv, cwd } = this.#context;
    const { name, image = "", imagePullPolicy } = this.#container;
    const pulled = await pull(image);
    if (pulled.kind === "failed") {
      const reason = imagePullPolicy === "Never" ? "ErrImageNeverPull" : "ErrImagePull";
      return { kind: "waiting", reason, message: pulled.message };
    }
    const found = environment(this.#container);
    if (found.kind === "missing") return { kind: "waiting", reason: "CreateContainerConfigError", message: found.what };
    if (this.#end.signal.aborted) return { kind: "waiting", reason: "ContainerCreating", message: "" };
    const [program = "", ...args] = command(this.#container, pulled.words, found.variables);
    const env = processEnv(found.variables);
    try {
      return { kind: "process", process: await startProcess({ name: `${podName}/${name}`, command: program, args, env, cwd }) };
    } catch (error) {
      return { kind: "waiting", reason: "RunContainerError", message: String(error) };
    }
  }

  async #follow(process: RunningProcess, startedAtMs: number): Promise<ProcessExit> {
    this.#process = process;
    this.#context.guard.add(process.pid);
    this.#isStarted = this.#container.startupProbe === undefined;
    this.#isReady = this.#isStarted && this.#container.readinessProbe === undefined;
    this.#set({ running: { startedAt: timeText(startedAtMs) } });
    // The wish to end it may have come while it was being started.
    if (this.#isLost) void process.kill();
    else if (this.#end.signal.aborted) this.#terminating = this.#askToEnd();
    this.#probe();
    const exit = await process.exited;
    this.#probing.abort();
    this.#living.abort();
    this.#terminating = undefined;
    clearTimeout(this.#killTimer);
    await process.kill(); // what it left behind ends with its container
    this.#context.guard.remove(process.pid);
    this.#isReady = false;
    this.#last = { terminated: { ...terminated(exit, startedAtMs), containerID: `process://${process.pid}`, ...this.#lastWords(exit) } };
    this.#set(this.#last);
    return exit;
  }

  /** Startup first; then readiness as long as the process runs, liveness until it is to end. */
  #probe(): void {
    const { startupProbe, readinessProbe, livenessProbe } = this.#container;
    this.#probing = new AbortController();
    this.#living = new AbortController();
    const starting = new AbortController();
    const { signal } = this.#probing;
    const run = (probe: Probe | undefined, onVerdict: (isHealthy: boolean) => void, until: AbortSignal): void => {
      if (probe !== undefined) void runProbe(probe, () => this.#context.attempt(probe, this.#container), onVerdict, until);
    };
    const begin = (): void => {
      run(readinessProbe, (isHealthy) => this.#setReady(isHealthy), signal);
      run(livenessProbe, (isHealthy) => isHealthy || this.#restart(livenessProbe), this.#living.signal);
    };
    if (startupProbe === undefined) return begin();
    signal.addEventListener("abort", () => starting.abort());
    const onStartup = (isHealthy: boolean): void => {
      if (!isHealthy) return this.#restart(startupProbe);
      starting.abort();
      this.#isStarted = true;
      this.#setReady(readinessProbe === undefined);
      begin();
    };
    run(startupProbe, onStartup, starting.signal);
  }

  /** A probe found it dead. */
  #restart(probe: Probe | undefined): void {
    if (this.#terminating !== undefined) return;
    const graceMs = probe?.terminationGracePeriodSeconds === undefined ? this.#context.graceMs : probe.terminationGracePeriodSeconds * 1000;
    this.#killAfter(graceMs);
    this.#terminating = this.#askToEnd();
  }

  async #askToEnd(): Promise<void> {
    const process = this.#process;
    if (process === undefined || process.exit !== undefined) return;
    const seconds = this.#container.lifecycle?.preStop?.sleep?.seconds ?? 0;
    if (seconds > 0) await Promise.race([delay(seconds * 1000), process.exited]);
    process.signal("SIGTERM");
  }

  #killAfter(ms: number): void {
    clearTimeout(this.#killTimer);
    this.#killTimer = setTimeout(() => void this.#process?.kill(), ms);
  }

  async #waitBackOff(ms: number): Promise<void> {
    const message = `back-off ${ms}ms restarting failed container=${this.#container.name} pod=${this.#context.podName}`;
    this.#set({ waiting: { reason: "CrashLoopBackOff", message } });
    await this.#sleep(ms);
  }

  #sleep(ms: number): Promise<void> {
    return delay(ms, undefined, { signal: this.#end.signal }).catch(() => {});
  }

  /** The end of the log of a container that failed, where its spec asks for it. */
  #lastWords(exit: ProcessExit): { readonly message?: string } {
    if (exit.code === 0 || this.#container.terminationMessagePolicy !== "FallbackToLogsOnError") return {};
    const lines = this.#process?.lines().slice(-MESSAGE_LINES_MAX) ?? [];
    return { message: lines.join("\n").slice(-MESSAGE_CHARACTERS_MAX) };
  }

  #set(state: ContainerState): void {
    this.#state = state;
    this.#context.onChange();
  }

  #setReady(isReady: boolean): void {
    this.#isReady = isReady;
    this.#context.onChange();
  }
}

/** As a shell says it: a signal is 128 and its number. */
function terminated(exit: ProcessExit, startedAtMs: number): NonNullable<ContainerState["terminated"]> {
  const exitCode = exit.code ?? 128 + (exit.signal === null ? 0 : constants.signals[exit.signal]);
  const reason = exitCode === 0 ? "Completed" : "Error";
  return { exitCode, reason, startedAt: timeText(startedAtMs), finishedAt: timeText(Date.now()) };
}
