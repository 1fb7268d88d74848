import type { AddressInfo } from "node:net";
import { connect, createServer, type Socket } from "node:net";

/** Where new connections may go. `accepting` is asked for each of them: a gateway whose `/readyz` is not 200 gets nothing new. */
export interface Target {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  readonly accepting: () => boolean;
}

export interface PassThrough {
  /** "host:port" clients connect to. */
  readonly address: string;
  setTargets(targets: readonly Target[]): void;
  /** Open connections by target name. */
  connections(): ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

/** A connection that finds no accepting target waits this long for one, then is cut: clients come back by their schedule. */
const waitForTargetMs = 2_000;
const retryMs = 50;

/** A TCP balancer for one machine: least connections, as HAProxy's `balance leastconn` in front of real gateways. It looks at no byte. */
export async function startPassThrough(options: { readonly host: string; readonly port: number }): Promise<PassThrough> {
  const open = new Map<string, number>();
  const sockets = new Set<Socket>();
  let targets: readonly Target[] = [];

  const count = (name: string, change: 1 | -1): void => {
    const left = (open.get(name) ?? 0) + change;
    if (left > 0) open.set(name, left);
    else open.delete(name);
  };

  const leastConnected = (tried: ReadonlySet<string>): Target | undefined => {
    let best: Target | undefined;
    for (const target of targets) {
      if (tried.has(target.name) || !target.accepting()) continue;
      if (best === undefined || (open.get(target.name) ?? 0) < (open.get(best.name) ?? 0)) best = target;
    }
    return best;
  };

  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy()); // the other side is ended by "close"
    socket.once("close", () => sockets.delete(socket));
  };

  const join = (client: Socket, upstream: Socket, name: string): void => {
    upstream.removeAllListeners("error");
    track(upstream);
    upstream.once("close", () => {
      count(name, -1);
      client.destroySoon();
    });
    if (client.destroyed) upstream.destroy();
    client.once("close", () => upstream.destroySoon());
    client.pipe(upstream);
    upstream.pipe(client);
  };

  /** Tries the targets in the order of their connections; a refused one is tried once. */
  const route = (client: Socket, tried: Set<string>, waitedMs: number): void => {
    if (client.destroyed) return;
    const target = leastConnected(tried);
    if (target === undefined) {
      if (waitedMs >= waitForTargetMs) client.destroy();
      else setTimeout(() => route(client, new Set(), waitedMs + retryMs), retryMs);
      return;
    }
    count(target.name, 1); // counted before it is open: a burst would else go to one
    const upstream = connect({ host: target.host, port: target.port, allowHalfOpen: true });
    upstream.once("connect", () => join(client, upstream, target.name));
    upstream.once("error", () => {
      count(target.name, -1);
      route(client, tried.add(target.name), waitedMs);
    });
  };

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    track(client);
    route(client, new Set(), 0);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: options.host, port: options.port, backlog: 4096 }, resolve);
  });
  const address = server.address() as AddressInfo;

  return {
    address: `${address.address}:${address.port}`,
    setTargets: (next) => {
      targets = next;
    },
    connections: () => open,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
