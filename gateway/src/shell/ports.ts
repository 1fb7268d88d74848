import type { TemplatedApp, us_listen_socket } from "uWebSockets.js";
import { bareHost } from "@pushfleet/service";
import { uws } from "./uws.js";

export interface Listener {
  /** In the order in which they were asked for. */
  readonly ports: readonly number[];
  /** No new sockets; those that are open stay. */
  close(): void;
  /** Cuts what is still open. */
  destroy(): void;
}

export interface PortOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly ports: readonly number[];
  /** Several workers listen on the same ports (SO_REUSEPORT); otherwise a port in use is a fault. */
  readonly isShared: boolean;
}

/** Rejects, with nothing left open, when a port is taken. */
export async function listenPlain(options: PortOptions, build: () => TemplatedApp): Promise<Listener> {
  const app = build();
  const sockets = [...(await openPorts(app, options))];
  return {
    ports: sockets.map((socket) => uws.us_socket_local_port(socket)),
    close: () => closePorts(sockets),
    destroy: () => {
      sockets.length = 0;
      app.close();
    },
  };
}

/** Closes `app` when one of the ports is taken. */
export async function openPorts(app: TemplatedApp, { host, ports, isShared }: PortOptions): Promise<readonly us_listen_socket[]> {
  const sockets: us_listen_socket[] = [];
  try {
    for (const port of ports) sockets.push(await openPort(app, host, port, isShared));
  } catch (error) {
    app.close();
    throw error;
  }
  return sockets;
}

export function closePorts(sockets: us_listen_socket[]): void {
  for (const socket of sockets.splice(0)) uws.us_listen_socket_close(socket);
}

const exclusivePort = 1;

/** The binding takes host and options together; its types do not say so. */
type ListenWithOptions = (host: string, port: number, options: number, done: (socket: us_listen_socket | false) => void) => unknown;

function openPort(app: TemplatedApp, hostText: string, port: number, isShared: boolean): Promise<us_listen_socket> {
  return new Promise((resolve, reject) => {
    const host = bareHost(hostText);
    (app.listen as unknown as ListenWithOptions).call(app, host, port, isShared ? 0 : exclusivePort, (socket) => {
      if (socket === false) reject(new Error(`listen: ${hostText}:${port} is taken or not an address of this machine`));
      else resolve(socket);
    });
  });
}
