import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { FleetStatus } from "@pushfleet/operator";
import { localPorts } from "../commands/local.js";

export interface FleetProcess {
  status(): Promise<FleetStatus>;
  /** As `kubectl drain` of the gateway's node. */
  leave(gateway: string): Promise<void>;
  stop(): Promise<void>;
}

const pushfleet = fileURLToPath(new URL("../../bin/pushfleet.js", import.meta.url));
const startTimeoutMs = 60_000;
const stopTimeoutMs = 5_000;

/** `pushfleet local` in a process of its own: clients and servers must not share an event loop. Rejects when it does not come up. */
export async function startFleetProcess(options: {
  readonly manifest: string;
  readonly secret: string;
  readonly print: (text: string) => void;
  /** For tests: a script in place of the command, and its console's port. */
  readonly program?: string;
  readonly consolePort?: number;
}): Promise<FleetProcess> {
  const { program = pushfleet, consolePort = localPorts.console } = options;
  const console = `http://127.0.0.1:${consolePort}`;
  const child = spawn(process.execPath, [program, "local", "-f", options.manifest, "--jwt-secret", options.secret], {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // a Ctrl-C at the terminal reaches this process only: it stops the fleet when the clients are gone
  });
  const exited = new Promise<number>((resolve) => child.once("exit", (code) => resolve(code ?? 1)));
  let isUp = false;
  createInterface({ input: child.stdout }).on("line", (line) => {
    isUp ||= / is up$/.test(line);
    if (line.startsWith("gateways:")) options.print(`  ${line}\n`);
  });
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
  let code: number | undefined;
  void exited.then((ended) => {
    code = ended;
  });
  try {
    await waitUntilUp(fleet, { isUp: () => isUp, endedWith: () => code });
  } catch (cause) {
    await fleet.stop();
    throw cause;
  }
  return fleet;
}

/** `isUp`: this process said so. A console that answers may be that of another fleet, for which this one finds no ports. */
async function waitUntilUp(fleet: FleetProcess, child: { isUp(): boolean; endedWith(): number | undefined }): Promise<void> {
  const giveUpMs = performance.now() + startTimeoutMs;
  for (;;) {
    const code = child.endedWith();
    if (code !== undefined) throw new Error(`pushfleet local ended with ${code}`);
    try {
      if (child.isUp() && (await fleet.status()).podsByState.Serving > 0) return;
    } catch {
      // not listening yet: asked again until the deadline
    }
    if (performance.now() > giveUpMs) throw new Error(`no gateway serves after ${startTimeoutMs / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
