import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { addressOf, closeServer, isLoopback, listen } from "@pushfleet/service";

export interface ConsoleServer {
  readonly address: string;
  stop(): Promise<void>;
}

/** What the console shows; each is asked for at every request. */
export interface ConsoleSource {
  readonly fleet: () => unknown;
  readonly events: () => readonly unknown[];
  readonly metrics: () => Promise<string>;
  /** As `kubectl drain` of the node a gateway is on; false: there is no such gateway. */
  readonly leave: (gateway: string) => boolean;
}

/** `GET /api/fleet` (status), `GET /api/events` (the last 100 client events), `GET /metrics`, `POST /api/gateways/NAME/leave`.
 *  Loopback only, and only by a loopback name: a page on the internet that resolves to 127.0.0.1 gets 403 (DNS rebinding). */
export async function startConsoleServer(options: {
  readonly host: string;
  readonly port: number;
  readonly source: ConsoleSource;
}): Promise<ConsoleServer> {
  const server = createServer((request, response) => {
    answer(request, response, options.source).catch((cause: unknown) =>
      json(response, 500, { error: { code: "failed", message: String(cause) } }),
    );
  });
  await listen(server, options.host, options.port);
  return { address: addressOf(server), stop: () => closeServer(server) };
}

async function answer(request: IncomingMessage, response: ServerResponse, source: ConsoleSource): Promise<void> {
  const host = (request.headers.host ?? "").replace(/:\d+$/, "");
  if (!isLoopback(host))
    return json(response, 403, { error: { code: "forbidden", message: `Host ${host} is not this machine's loopback` } });
  if (request.headers.origin !== undefined)
    return json(response, 403, { error: { code: "forbidden", message: "not for web pages of other origins" } });
  const leaving = /^\/api\/gateways\/([a-z0-9-]+)\/leave$/.exec(request.url ?? "")?.[1];
  if (leaving !== undefined && request.method === "POST") return leave(response, source, leaving);
  if (request.method !== "GET") return json(response, 405, { error: { code: "method_not_allowed", message: "expected GET" } });
  switch (request.url?.split("?")[0]) {
    case "/api/fleet":
      return json(response, 200, source.fleet());
    case "/api/events":
      return json(response, 200, { events: source.events() });
    case "/metrics":
      response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" }).end(await source.metrics());
      return;
    default:
      return json(response, 404, { error: { code: "not_found", message: "expected /api/fleet, /api/events or /metrics" } });
  }
}

function leave(response: ServerResponse, source: ConsoleSource, gateway: string): void {
  if (source.leave(gateway)) json(response, 202, { gateway, message: "it is replaced, then drained" });
  else json(response, 404, { error: { code: "not_found", message: `no gateway ${gateway}, expected a name of GET /api/fleet` } });
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(`${JSON.stringify(body, null, 2)}\n`);
}
