import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { findProgram } from "./find-program.mjs";
import { LineTail } from "./line-tail.js";

const READY_DEADLINE_DEFAULT_MS = 30_000;
const LINE_DEADLINE_DEFAULT_MS = 10_000;
const STOP_DEADLINE_DEFAULT_MS = 10_000;
/** How long after its end a process's output may still be read, when a child that outlives it holds the pipe open. */
const OUTPUT_GRACE_MS = 500;
/** Lines of output in an error's message. */
const ERROR_LINES = 30;

export interface ProcessOptions {
  /** What errors call it. */
  readonly name: string;
  /** A program in PATH, or a path. */
  readonly command: string;
  readonly args?: readonly string[];
  /** Added to our environment; `undefined` takes a variable out. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Whether this line of its output says that it is ready. Without it the process counts as ready once it runs. */
  readonly ready?: (line: string) => boolean;
  readonly readyDeadlineMs?: number;
}

/** `code` is null when a signal ended it. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A line of output that is a JSON object, as our own processes log. */
export type LogRecord = Readonly<Record<string, unknown>>;

export interface LineWait {
  /** For the error: "the line that says it is ready". */
  readonly what: string;
  readonly deadlineMs?: number;
  /** Only lines that come after the call. */
  readonly onlyNew?: boolean;
}

/**
 * Starts a child process and resolves when it is ready. Rejects, with the last lines of its output, when it cannot start,
 * ends before it is ready, or is not ready in time (30 s by default; then it is killed). The child leads a process group of its
 * own and dies with us: by the kernel's hand where there is `setpriv` (Linux), so even when we are killed, and by our exit hook.
 */
export async function startProcess(options: ProcessOptions): Promise<RunningProcess> {
  const { name, command, ready, readyDeadlineMs = READY_DEADLINE_DEFAULT_MS } = options;
  const child = spawnChild(options);
  if (child.pid === undefined) throw new Error(`${name}: cannot start ${command}`, { cause: (await once(child, "error"))[0] });
  const running = new RunningProcess(name, child, child.pid);
  if (ready === undefined) return running;
  try {
    await running.waitForLine(ready, { what: "the line that says it is ready", deadlineMs: readyDeadlineMs });
    return running;
  } catch (error) {
    await running.kill();
    throw error;
  }
}

function spawnChild(options: ProcessOptions): ChildProcessByStdio<null, Readable, Readable> {
  const program = findProgram(options.command);
  if (program === undefined) throw new Error(`${options.name}: there is no program ${options.command}`);
  const wrapper = findProgram("setpriv");
  const words = [...(wrapper === undefined ? [] : [wrapper, "--pdeathsig", "KILL", "--"]), program, ...(options.args ?? [])];
  const [first = program, ...rest] = words;
  const env = { ...process.env, ...options.env };
  return spawn(first, rest, { cwd: options.cwd, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
}

/** A child process that `startProcess` started. Its output's last lines are kept (5,000), stdout and stderr together. */
export class RunningProcess {
  readonly name: string;
  readonly pid: number;
  /** Resolves when it has ended, however it ended; never rejects. */
  readonly exited: Promise<ProcessExit>;
  readonly #output = new LineTail();
  #exit: ProcessExit | undefined;

  constructor(name: string, child: ChildProcessByStdio<null, Readable, Readable>, pid: number) {
    this.name = name;
    this.pid = pid;
    startedGroups.add(pid);
    this.#collect(child.stdout);
    this.#collect(child.stderr);
    this.exited = this.#watch(child);
  }

  /** How it ended; `undefined` while it runs. */
  get exit(): ProcessExit | undefined {
    return this.#exit;
  }

  /** Its output, oldest line first. */
  lines(): readonly string[] {
    return this.#output.lines();
  }

  /** The lines that are JSON objects. */
  logs(): readonly LogRecord[] {
    return this.lines()
      .map(parseLogRecord)
      .filter((record) => record !== undefined);
  }

  /** Resolves with the first line that matches. Rejects at the deadline (10 s by default) or when the process ends before. */
  waitForLine(matches: (line: string) => boolean, wait: LineWait): Promise<string> {
    const { what, deadlineMs = LINE_DEADLINE_DEFAULT_MS, onlyNew = false } = wait;
    const known = onlyNew ? undefined : this.lines().find(matches);
    if (known !== undefined) return Promise.resolve(known);
    const { promise, resolve, reject } = withResolvers<string>();
    const fail = (why: string): void => reject(new Error(`${this.name}: ${why} before ${what}.${this.#describeOutput()}`));
    const unlisten = this.#output.listen((line) => matches(line) && resolve(line));
    const timer = setTimeout(() => fail(`${deadlineMs} ms passed`), deadlineMs);
    this.exited.then((exit) => fail(`it ended (${exit.signal ?? `exit code ${exit.code}`})`));
    return promise.finally(() => {
      clearTimeout(timer);
      unlisten();
    });
  }

  /** Like `waitForLine`, for a line that is a JSON object: `waitForLog((log) => log.msg === "ready", …)`. */
  async waitForLog(matches: (record: LogRecord) => boolean, wait: LineWait): Promise<LogRecord> {
    const matching = (line: string): LogRecord | undefined =>
      [parseLogRecord(line)].find((record) => record !== undefined && matches(record));
    return matching(await this.waitForLine((line) => matching(line) !== undefined, wait)) ?? {};
  }

  /** Sends a signal to this process alone; nothing happens when it has ended. */
  signal(name: NodeJS.Signals): void {
    if (this.#exit === undefined) sendSignal(this.pid, name);
  }

  /** Freezes it and its children, as a machine that hangs: connections stay open, nothing answers. */
  pause(): void {
    if (this.#exit === undefined) sendSignal(-this.pid, "SIGSTOP");
  }

  resume(): void {
    if (this.#exit === undefined) sendSignal(-this.pid, "SIGCONT");
  }

  /** SIGTERM, and after the deadline (10 s by default) SIGKILL. Children that outlive it are killed. Fine to call twice. */
  async stop({ deadlineMs = STOP_DEADLINE_DEFAULT_MS }: { readonly deadlineMs?: number } = {}): Promise<ProcessExit> {
    this.resume(); // a frozen process does not see SIGTERM
    this.signal("SIGTERM");
    const abandon = setTimeout(() => sendSignal(-this.pid, "SIGKILL"), deadlineMs);
    await this.exited;
    clearTimeout(abandon);
    return this.kill();
  }

  /** SIGKILL to it and its children, as a machine that is lost. Fine to call twice. */
  async kill(): Promise<ProcessExit> {
    if (startedGroups.delete(this.pid)) sendSignal(-this.pid, "SIGKILL");
    return this.exited;
  }

  #collect(stream: Readable): void {
    const sink = this.#output.sink();
    stream.setEncoding("utf8");
    stream.on("data", (chunk: string) => sink.write(chunk));
    stream.once("close", () => sink.end());
  }

  async #watch(child: ChildProcessByStdio<null, Readable, Readable>): Promise<ProcessExit> {
    const { promise, resolve } = withResolvers<ProcessExit>();
    child.once("close", (code, signal) => resolve({ code, signal }));
    child.once("exit", (code, signal) => setTimeout(() => resolve({ code, signal }), OUTPUT_GRACE_MS));
    this.#exit = await promise;
    return this.#exit;
  }

  #describeOutput(): string {
    const last = this.lines().slice(-ERROR_LINES);
    return last.length === 0 ? " It printed nothing." : ` Its last lines:\n${last.join("\n")}`;
  }
}

/** Process groups that nobody has stopped. */
const startedGroups = new Set<number>();
process.on("exit", () => {
  for (const pid of startedGroups) sendSignal(-pid, "SIGKILL");
});

/** To a process, or by a negative id to its group. That it is gone already is what the sender wanted. */
function sendSignal(id: number, name: NodeJS.Signals): void {
  try {
    process.kill(id, name);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

function parseLogRecord(line: string): LogRecord | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line) as LogRecord; // a text that starts with a brace is an object or no JSON
  } catch {
    return undefined;
  }
}

/** `Promise.withResolvers`, which Node 20 lacks. */
function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: Error) => void } {
  let settle: { resolve: (value: T) => void; reject: (error: Error) => void } | undefined;
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject };
  });
  if (settle === undefined) throw new Error("a promise's executor runs at once");
  return { promise, ...settle };
}
