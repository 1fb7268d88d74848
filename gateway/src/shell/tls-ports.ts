import type { TemplatedApp, us_listen_socket } from "uWebSockets.js";
import { setImmediate as turn } from "node:timers/promises";
import { limits } from "@pushfleet/protocol";
import { type Clock, checkKeyPair, type FileContents, type Logger, readFiles, type WatchedFiles, watchFiles } from "@pushfleet/service";
import { closePorts, type Listener, openPorts, type PortOptions } from "./ports.js";
import { uws } from "./uws.js";

export interface TlsPortOptions extends PortOptions {
  readonly tls: { readonly certFile: string; readonly keyFile: string };
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Client ports whose certificate follows its files. uWebSockets.js cannot give an app another certificate, so a new app takes the ports over: both
 *  listen for a moment (SO_REUSEPORT), then the old one stops. Its open sockets stay with it. What the kernel had put into its queue, and it
 *  had not accepted yet, is reset, unless `net.ipv4.tcp_migrate_req` is 1: then the kernel hands that over as well. */
export async function listenTls(options: TlsPortOptions, serve: (app: TemplatedApp) => TemplatedApp): Promise<Listener> {
  const { certFile, keyFile } = options.tls;
  const contents = readFiles([certFile, keyFile]);
  const fault = faultOf(contents);
  if (fault !== undefined) throw new Error(`listen.tls: ${certFile} with ${keyFile}: ${fault}`);
  const ports = await ownPorts(options);
  const listener = new TlsPorts({ ...options, ports, isShared: true }, serve);
  await listener.open();
  listener.follow(contents);
  return listener;
}

class TlsPorts implements Listener {
  readonly #options: TlsPortOptions;
  readonly #serve: (app: TemplatedApp) => TemplatedApp;
  /** The one that listens stands last; those before it have sockets yet. */
  readonly #apps: TemplatedApp[] = [];
  #sockets: us_listen_socket[] = [];
  #watched: WatchedFiles | undefined;
  #isClosed = false;

  constructor(options: TlsPortOptions, serve: (app: TemplatedApp) => TemplatedApp) {
    this.#options = options;
    this.#serve = serve;
  }

  get ports(): readonly number[] {
    return this.#options.ports;
  }

  async open(): Promise<void> {
    const { certFile, keyFile } = this.#options.tls;
    const app = this.#serve(uws.SSLApp({ cert_file_name: certFile, key_file_name: keyFile, ssl_prefer_low_memory_usage: true }));
    const opened = [...(await openPorts(app, this.#options))];
    const former = this.#sockets;
    this.#apps.push(app);
    this.#sockets = opened;
    await turn(); // right behind the loop's accepting, when the old queue is as short as it gets
    closePorts(former);
    if (this.#isClosed) closePorts(this.#sockets);
    if (this.#apps.length > limits.formerClientTlsMax) this.#apps.shift()?.close();
  }

  follow(contents: FileContents): void {
    const { clock, logger, tls } = this.#options;
    const { certFile, keyFile } = tls;
    this.#watched = watchFiles([certFile, keyFile], contents, {
      clock,
      onChange: (changed) => void this.#take(changed),
      onUnreadable: (cause) => logger.warn({ err: cause, certFile }, "the client certificate cannot be read, the old one serves on"),
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#watched?.stop();
    closePorts(this.#sockets);
  }

  destroy(): void {
    this.#isClosed = true;
    this.#watched?.stop();
    this.#sockets = [];
    for (const app of this.#apps.splice(0)) app.close();
  }

  async #take(contents: FileContents): Promise<void> {
    const { logger, tls } = this.#options;
    const { certFile } = tls;
    const reason = faultOf(contents);
    if (reason !== undefined) {
      logger.warn({ reason, certFile }, "a new client certificate is not right, the old one serves on");
      return;
    }
    try {
      await this.open();
      logger.info({ certFile }, "client certificate renewed");
    } catch (cause) {
      this.#watched?.forget(); // the files may have changed again before uWebSockets.js read them: it has no other way to be told
      logger.warn({ err: cause, certFile }, "a new client certificate could not be taken, the old one serves on");
    }
  }
}

/** The ports, as numbers that can be listened on once more, found free by listening on them alone. */
async function ownPorts({ host, ports, isShared }: PortOptions): Promise<readonly number[]> {
  if (isShared) return ports;
  const probe = uws.App();
  const sockets = [...(await openPorts(probe, { host, ports, isShared: false }))];
  const numbers = sockets.map((socket) => uws.us_socket_local_port(socket));
  closePorts(sockets);
  return numbers;
}

function faultOf([cert, key]: FileContents): string | undefined {
  const checked = checkKeyPair({ cert: cert ?? "", key: key ?? "" });
  return checked.kind === "fault" ? checked.reason : undefined;
}
