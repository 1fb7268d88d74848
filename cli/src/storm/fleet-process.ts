import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { FleetStatus } from "@pushfleet/operator";
import { localPorts } from "../commands/local.js";

export interface FleetProcess {
  status(): Promise<FleetStatus>;
  /** As `kubectl drain` of the gateway's node. */
  leave(gateway: string): Promise<void>;
  stop(): Promise<void>;
}

const binary = fileURLToPath(new URL("../../bin/pushfleet.js", import.meta.url));
const startTimeoutMs = 60_000;
const stopTimeoutMs = 5_000;
const console = `http://127.0.0.1:${localPorts.console}`;

/** `pushfleet local` in a process of its own: clients and servers must not share an event loop. Rejects when it does not come up. */
export async function startFleetProcess(options: {
  readonly manifest: string;
  readonly secret: string;
  readonly print: (text: string) => void;
}): Promise<FleetProcess> {
  const child = spawn(process.execPath, [binary, "local", "-f", options.manifest, "--jwt-secret", options.secret], {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // a Ctrl-C at the terminal reaches this process only: it stops the fleet when the clients are gone
  });
  const exited = new Promise<number>((resolve) => child.once("exit", (code) => resolve(code ?? 1)));
  const printLines = (chunk: Buffer): void => {
    for (const line of String(chunk).split("\n"))
      if (line.startsWith("gateways:") || line.startsWith("pushfleet local:")) options.print(`  ${line}\n`);
  };
  child.stdout.on("data", printLines);
  child.stderr.on("data", (chunk: Buffer) => options.print(String(chunk)));
  const fleet: FleetProcess = {
    status: async () => ((await (await fetch(`${console}/api/fleet`)).json()) as { status: FleetStatus }).status,
    leave: async (gateway) => {
      const response = await fetch(`${console}/api/gateways/${gateway}/leave`, { method: "POST" });
      if (response.status !== 202) throw new Error(`${gateway} cannot leave: ${await response.text()}`);
    },
    stop: async () => {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
      await exited;
      clearTimeout(timer);
    },
  };
  const up = waitUntilUp(fleet);
  const code = await Promise.race([up, exited]);
  if (typeof code === "number") throw new Error(`pushfleet local ended with ${code}`);
  return fleet;
}

async function waitUntilUp(fleet: FleetProcess): Promise<void> {
  const giveUpMs = performance.now() + startTimeoutMs;
  for (;;) {
    try {
      if ((await fleet.status()).podsByState.Serving > 0) return;
    } catch {
      // not listening yet: asked again until the deadline
    }
    if (performance.now() > giveUpMs) throw new Error(`no gateway serves after ${startTimeoutMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
