import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { peerProgram } from "./peer-program.js";
import { type RunningProcess, startProcess } from "./process.js";
import { type ServerPlace, ServerProcess, startServer } from "./server-process.js";
import { temporaryFolder } from "./temporary-folder.js";

/** Gives a configuration for the port that was found free: `bind 127.0.0.1:${port}`. */
export type BuildHaproxyConfig = (port: number) => string;

/** `message`: the lines in which HAProxy says what is wrong, each with the line number. */
export type HaproxyConfigCheck = { readonly kind: "valid" } | { readonly kind: "invalid"; readonly message: string };

export class HaproxyServer extends ServerProcess {
  readonly #configFile: string;

  constructor(place: ServerPlace, launch: () => Promise<RunningProcess>, running: RunningProcess) {
    super(place, launch, running);
    this.#configFile = configFileIn(place);
  }

  /** Pid of the worker that accepts, as the master said last. */
  #worker(): string {
    const forked = this.process.lines().flatMap((line) => /New worker \((\d+)\) forked/.exec(line)?.[1] ?? []);
    const last = forked.at(-1);
    if (last === undefined) throw new Error("HAProxy has not said which worker it forked");
    return last;
  }

  /**
   * Takes a new configuration without closing connections: a new worker listens, the old one ends with its last connection.
   * Throws on a configuration that is not valid, and then goes on with the one it has.
   */
  async reload(buildConfig: BuildHaproxyConfig): Promise<void> {
    const config = buildConfig(this.port);
    await throwIfInvalid(config);
    await writeFile(this.#configFile, config);
    const former = this.#worker();
    const loaded = this.process.waitForLine(isLoaded, { what: "the new configuration is loaded", onlyNew: true });
    // Loaded is said by the master; until the former worker has let go of its listeners it may still accept for the old configuration.
    const stopped = this.process.waitForLine((line) => line.includes(`(${former})`) && /Proxy \S+ stopped/.test(line), {
      what: `the former worker ${former} no longer accepts`,
      onlyNew: true,
    });
    this.process.signal("SIGUSR2");
    await Promise.all([loaded, stopped]);
  }
}

/** Starts an HAProxy of our own, in about 50 ms. Throws with HAProxy's own words on a configuration that is not valid. For "haproxy". */
export function startHaproxy(buildConfig: BuildHaproxyConfig): Promise<HaproxyServer> {
  return startServer("haproxy", undefined, async (place) => {
    const config = buildConfig(place.port);
    await throwIfInvalid(config);
    await writeFile(configFileIn(place), config);
    // -W: a master that reloads on SIGUSR2. -db: in the foreground. -dR: no SO_REUSEPORT, so that a port in use is an error.
    const launch = (): Promise<RunningProcess> =>
      startProcess({
        name: `haproxy on port ${place.port}`,
        command: peerProgram("haproxy"),
        args: ["-W", "-db", "-dR", "-f", configFileIn(place)],
        ready: isLoaded,
      });
    return new HaproxyServer(place, launch, await launch());
  });
}

/** Asks `haproxy -c` about a configuration, without binding its ports. */
export async function checkHaproxyConfig(config: string): Promise<HaproxyConfigCheck> {
  const folder = await temporaryFolder("haproxy-check");
  try {
    const configFile = join(folder.path, "haproxy.cfg");
    await writeFile(configFile, config);
    const check = await startProcess({ name: "haproxy -c", command: peerProgram("haproxy"), args: ["-c", "-f", configFile] });
    const exit = await check.exited;
    if (exit.code === 0) return { kind: "valid" };
    const complaints = check.lines().filter((line) => /^\[(ALERT|WARNING)\]/.test(line));
    return { kind: "invalid", message: complaints.join("\n") };
  } finally {
    await folder.remove();
  }
}

async function throwIfInvalid(config: string): Promise<void> {
  const check = await checkHaproxyConfig(config);
  if (check.kind === "invalid") throw new Error(`haproxy refuses this configuration:\n${check.message}`);
}

const configFileIn = (place: ServerPlace): string => join(place.folder.path, "haproxy.cfg");

/** The master's word once the worker has bound its ports; HAProxy 2.6 to 3.x. */
const isLoaded = (line: string): boolean => line.includes("Loading success.");
