// @ts-check
import { spawn } from "node:child_process";

/** What of a failed command's output goes into the error. */
const OUTPUT_TAIL_CHARACTERS = 4_000;

/**
 * Runs a command to its end without a shell or input, and returns what it printed. Throws with the end of its output when it
 * does not exit with 0, cannot be started, or takes longer than `timeoutMs` (then it is killed).
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ timeoutMs: number, env?: NodeJS.ProcessEnv }} options `env` is added to ours
 * @returns {Promise<string>}
 */
export async function runCommand(command, args, { timeoutMs, env = {} }) {
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
    timeout: timeoutMs,
    killSignal: "SIGKILL",
  });
  let output = "";
  const collect = (/** @type {string} */ chunk) => {
    output += chunk;
  };
  child.stdout.setEncoding("utf8").on("data", collect);
  child.stderr.setEncoding("utf8").on("data", collect);
  /** @type {{ code: number | null, signal: NodeJS.Signals | null }} */
  const { code, signal } = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exitCode, exitSignal) => resolve({ code: exitCode, signal: exitSignal }));
  });
  if (code === 0) return output;
  const end = signal === null ? `exit code ${code}` : `${signal}, after at most ${timeoutMs} ms`;
  throw new Error(`${command} ${args.join(" ")}: ${end}\n${output.slice(-OUTPUT_TAIL_CHARACTERS)}`);
}
