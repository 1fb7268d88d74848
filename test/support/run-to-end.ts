import { spawn } from "node:child_process";

/** How a command ended, and what it printed. */
export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a script of ours that ends by itself, with `PATH` and `env` alone in its environment. */
export function runToEnd(script: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [script, ...args], { env: { PATH: process.env["PATH"], ...env }, timeout: 30_000 });
    let [out, err] = ["", ""];
    child.stdout.on("data", (chunk: Buffer) => {
      out += String(chunk);
    });
    child.stderr.on("data", (chunk: Buffer) => {
      err += String(chunk);
    });
    child.on("close", (code) => resolve({ code, out, err }));
  });
}
