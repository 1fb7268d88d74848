import { fork, spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** The measured process runs alone on this core, everything that loads it on the other. */
const serverCore = 0;
const loadCore = 1;

/** Whether server and load are kept apart: two cores and `taskset` (util-linux). Without it the figures are worth less. */
export const isPinned = availableParallelism() >= 2 && spawnSync("taskset", ["-V"], { stdio: "ignore" }).error === undefined;

/** A `node` child that answers requests over its IPC channel; see `answerRequests` for the other side.
 * @typedef {object} Peer
 * @property {number} pid
 * @property {(name: string, argument?: unknown) => Promise<any>} ask resolves with the answer, rejects when the child fails or ends
 * @property {() => Promise<void>} stop ends the child and waits for it
 */

/** Starts `bench/<script>` on the server's core.
 * @param {string} script @param {readonly string[]} [nodeFlags] @returns {Peer} */
export const startServer = (script, nodeFlags = []) => start(script, serverCore, nodeFlags);

/** Starts `bench/<script>` on the load's core.
 * @param {string} script @returns {Peer} */
export const startLoad = (script) => start(script, loadCore, []);

/** Starts `bench/<script>` on all cores: a world that is more than a load, in which the measured process has only its part of the work.
 * @param {string} script @returns {Peer} */
export const startWorld = (script) => start(script, undefined, []);

/** @param {string} script @param {number | undefined} core @param {readonly string[]} nodeFlags @returns {Peer} */
function start(script, core, nodeFlags) {
  const path = fileURLToPath(new URL(script, import.meta.url));
  // taskset replaces itself by node, so the child's pid is the one to measure
  const isOnOneCore = isPinned && core !== undefined;
  const launcher = isOnOneCore
    ? { execPath: "taskset", execArgv: ["-c", String(core), process.execPath, ...nodeFlags] }
    : { execArgv: [...nodeFlags] };
  const child = fork(path, [], launcher);
  const { pid } = child;
  if (pid === undefined) throw new Error(`${script} did not start`);
  running.add(child);

  /** @type {Map<number, { resolve: (value: any) => void, reject: (error: Error) => void }>} */
  const waiting = new Map();
  let isStopping = false;
  const ended = new Promise((resolve) => {
    child.on("exit", (code, signal) => {
      running.delete(child);
      for (const { reject } of waiting.values()) reject(new Error(`${script} ended early (${signal ?? code})`));
      waiting.clear();
      if (!isStopping) process.stderr.write(`bench: ${script} ended early (${signal ?? code})\n`);
      resolve(undefined);
    });
  });
  child.on("message", (/** @type {{ id: number, value?: unknown, error?: string }} */ { id, value, error }) => {
    const request = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) request?.resolve(value);
    else request?.reject(new Error(`${script}: ${error}`));
  });

  let lastId = 0;
  return {
    pid,
    ask(name, argument) {
      const id = ++lastId;
      return new Promise((resolve, reject) => {
        if (!running.has(child)) return reject(new Error(`${script} is not running`));
        waiting.set(id, { resolve, reject });
        child.send({ id, name, argument });
      });
    },
    async stop() {
      isStopping = true;
      if (running.has(child)) child.send({ id: 0, name: "stop" });
      const killer = setTimeout(() => child.kill("SIGKILL"), 3_000);
      await ended;
      clearTimeout(killer);
    },
  };
}

/** Starts a program of the tree that is not made for benchmarks on the server's core; its output is read line by line and not shown.
 * @param {string} script @param {readonly string[]} nodeFlags @param {readonly string[]} args
 * @param {Readonly<Record<string, string>>} variables of its environment, beside ours */
export function startProgram(script, nodeFlags, args, variables) {
  const node = [process.execPath, ...nodeFlags, fileURLToPath(new URL(script, import.meta.url)), ...args];
  const [command = "", ...rest] = isPinned ? ["taskset", "-c", String(serverCore), ...node] : node;
  const child = spawn(command, rest, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...variables } });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${script} did not start`);
  running.add(child);
  /** @type {string[]} its last lines, for errors */
  const lines = [];
  /** @type {Set<(line: string) => void>} */
  const listeners = new Set();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      lines.push(line);
      if (lines.length > 20) lines.shift();
      for (const listen of listeners) listen(line);
    });
  }
  let isStopping = false;
  const ended = new Promise((resolve) => child.on("exit", resolve)).then(() => {
    running.delete(child);
    if (!isStopping) process.stderr.write(`bench: ${script} ended early; its last lines:\n${lines.join("\n")}\n`);
  });
  return {
    pid,
    /** Resolves when it has ended. */
    ended,
    /** Resolves with the first line that matches.
     * @param {(line: string) => boolean} matches @param {number} deadlineMs @returns {Promise<string>} */
    line: (matches, deadlineMs) =>
      new Promise((resolve, reject) => {
        const known = lines.find(matches);
        if (known !== undefined) return resolve(known);
        const fail = (/** @type {string} */ why) => reject(new Error(`${script}: ${why}; its last lines:\n${lines.join("\n")}`));
        const timer = setTimeout(() => fail(`no such line in ${deadlineMs} ms`), deadlineMs);
        ended.then(() => fail("it ended"));
        listeners.add((line) => {
          if (!matches(line)) return;
          clearTimeout(timer);
          resolve(line);
        });
      }),
    /** SIGTERM, and SIGKILL when it does not end. */
    async stop() {
      isStopping = true;
      child.kill("SIGTERM");
      const killer = setTimeout(() => child.kill("SIGKILL"), 10_000);
      await ended;
      clearTimeout(killer);
    },
  };
}

/** @type {Set<import("node:child_process").ChildProcess>} */
const running = new Set();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** The child's side: serves each request by the handler of its name, one answer a request; ends at "stop" or when the parent is gone.
 * @param {Record<string, (argument: any) => unknown>} handlers */
export function answerRequests(handlers) {
  process.on("message", async (/** @type {{ id: number, name: string, argument: unknown }} */ { id, name, argument }) => {
    if (name === "stop") process.exit(0);
    try {
      process.send?.({ id, value: await handlers[name]?.(argument) });
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  });
  process.on("disconnect", () => process.exit(1));
}

/** Resident memory in KiB.
 * @param {number} pid */
export function residentKib(pid) {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(match?.[1]);
}

const msPerTick = 1000 / Number(spawnSync("getconf", ["CLK_TCK"], { encoding: "utf8" }).stdout || 100);

/** CPU time used so far in ms, user and system, all threads (proc(5), fields 14 and 15 of stat).
 * @param {number} pid */
export function cpuMs(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * msPerTick;
}
