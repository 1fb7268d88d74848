// @ts-check
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { findProgram } from "./find-program.mjs";

/** Two idle cores compile Kubernetes in 4 to 13 minutes; this is for busy ones. */
const BUILD_TIMEOUT_MS = 3_600_000;
const PROGRESS_INTERVAL_DEFAULT_MS = 15_000;
/** What of a failed command's output goes into the error. */
const OUTPUT_LINES_MAX = 30;

/**
 * One `go build`, pinned and checked by the go.mod and go.sum of `moduleFolder`.
 * @typedef {object} GoBuild
 * @property {string} name for progress and errors
 * @property {string} moduleFolder
 * @property {readonly string[]} packages what to build, by import path
 * @property {string} ldflags
 * @property {string} output a folder (with a slash at its end) or a file
 * @property {number} [progressIntervalMs] how often a line says how far it is, by default 15 s
 */

/**
 * Builds with Go, and reports again and again how many of the packages are compiled: those that Go's own cache does not hold, so a second
 * build takes only the linking. Throws with the end of Go's output when it fails. Go dies with us, by the terminal's Ctrl-C or (on
 * Linux) by the kernel's hand.
 * @param {GoBuild} build
 * @param {(line: string) => void} report
 * @param {NodeJS.ProcessEnv} [environment]
 */
export async function buildWithGo(build, report, environment = process.env) {
  const startedMs = performance.now();
  let [done, fetched, total] = [0, 0, 0];
  const say = () => {
    const what = total === 0 ? `fetching modules (${fetched} so far)` : `${done} of ${total} packages compiled`;
    report(`${build.name}: ${what}, ${minutes(performance.now() - startedMs)}`);
  };
  const timer = setInterval(say, build.progressIntervalMs ?? PROGRESS_INTERVAL_DEFAULT_MS);
  try {
    const flags = ["-trimpath", "-buildvcs=false", "-ldflags", build.ldflags];
    const list = ["list", "-deps", ...flags, "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", ...build.packages];
    const stale = await runGo(build, list, environment, (line) => {
      if (line.startsWith("go: downloading ")) fetched += 1;
    });
    total = stale.filter((line) => line !== "").length;
    await runGo(build, ["build", "-v", ...flags, "-o", build.output, ...build.packages], environment, (line) => {
      if (!line.startsWith("go: ") && !line.startsWith("#")) done = Math.min(done + 1, total);
    });
    report(`${build.name}: built in ${minutes(performance.now() - startedMs)}`);
  } finally {
    clearInterval(timer);
  }
}

/** @param {number} milliseconds */
function minutes(milliseconds) {
  const seconds = Math.round(milliseconds / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} min`;
}

/**
 * Runs Go to its end and returns the lines of its standard output.
 * @param {GoBuild} build
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} environment
 * @param {(line: string) => void} onProgress gets the lines of standard error
 * @returns {Promise<readonly string[]>}
 */
async function runGo({ name, moduleFolder }, args, environment, onProgress) {
  const go = findProgram("go", environment);
  if (go === undefined) throw new Error(`${name}: there is no program go in PATH`);
  const child = spawnWithUs(go, args, {
    cwd: moduleFolder,
    // The machine's own GOFLAGS or workspace would change what is built; where modules come from (GOPROXY and so on) is the machine's choice.
    env: { ...environment, GOFLAGS: "-mod=readonly", GOWORK: "off" },
  });
  /** @type {string[]} */
  const printed = [];
  /** @type {string[]} */
  const last = [];
  createInterface({ input: child.stdout }).on("line", (line) => printed.push(line));
  createInterface({ input: child.stderr }).on("line", (line) => {
    onProgress(line);
    last.push(line);
    if (last.length > OUTPUT_LINES_MAX) last.shift();
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), BUILD_TIMEOUT_MS);
  /** @type {{ code: number | null, signal: NodeJS.Signals | null }} */
  const { code, signal } = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exitCode, exitSignal) => resolve({ code: exitCode, signal: exitSignal }));
  });
  clearTimeout(timer);
  if (code === 0) return printed;
  throw new Error(`${name}: go ${args[0]}: ${signal ?? `exit code ${code}`}\n${last.join("\n")}`);
}

/**
 * Starts a program that is interrupted when we die, where there is `setpriv` (Linux); a build of minutes must not go on alone.
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ cwd: string, env: NodeJS.ProcessEnv }} options
 */
function spawnWithUs(program, args, { cwd, env }) {
  const setpriv = findProgram("setpriv");
  const words = setpriv === undefined ? [program, ...args] : [setpriv, "--pdeathsig", "INT", "--", program, ...args];
  const [first = program, ...rest] = words;
  return spawn(first, rest, { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
}
