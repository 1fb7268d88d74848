import { startOnFreePort } from "./free-port.js";
import type { ProcessExit, RunningProcess } from "./process.js";
import { type TemporaryFolder, temporaryFolder } from "./temporary-folder.js";

/** Where a server lives: its port on 127.0.0.1 and the folder for its configuration and data. */
export interface ServerPlace {
  readonly port: number;
  readonly folder: TemporaryFolder;
}

/** A server on loopback whose process can be ended and started again with its port and data. */
export class ServerProcess {
  readonly host = "127.0.0.1";
  readonly port: number;
  readonly #folder: TemporaryFolder;
  readonly #launch: () => Promise<RunningProcess>;
  #running: RunningProcess;

  constructor(place: ServerPlace, launch: () => Promise<RunningProcess>, running: RunningProcess) {
    this.port = place.port;
    this.#folder = place.folder;
    this.#launch = launch;
    this.#running = running;
  }

  /** Its process now; another one after `restart`. */
  get process(): RunningProcess {
    return this.#running;
  }

  /** Its configuration and data; gone after `stop`. */
  get folder(): string {
    return this.#folder.path;
  }

  get pid(): number {
    return this.#running.pid;
  }

  /** Ends it by SIGTERM if it runs, starts it again, and resolves when it is ready. */
  async restart(): Promise<void> {
    await this.#running.stop();
    this.#running = await this.#launch();
  }

  /** SIGKILL, as a crash: its data stays for a `restart`. */
  kill(): Promise<ProcessExit> {
    return this.#running.kill();
  }

  /** Freezes it: connections stay open, nothing answers. */
  pause(): void {
    this.#running.pause();
  }

  resume(): void {
    this.#running.resume();
  }

  /** Ends it for good and removes its folder. Fine to call twice. */
  async stop(): Promise<void> {
    await this.#running.stop();
    await this.#folder.remove();
  }
}

/** Runs `start` with a new folder and `port`, or a free one. The folder goes when `start` fails. */
export function startServer<T>(purpose: string, port: number | undefined, start: (place: ServerPlace) => Promise<T>): Promise<T> {
  const startAt = async (chosen: number): Promise<T> => {
    const folder = await temporaryFolder(purpose);
    try {
      return await start({ port: chosen, folder });
    } catch (error) {
      await folder.remove();
      throw error;
    }
  };
  return port === undefined ? startOnFreePort(startAt) : startAt(port);
}
