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
      json(response, 500, { error: { code: "failed", message: (cause as Error).message } }),
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
  const [path = ""] = (request.url ?? "").split("?");
  const leaving = /^\/api\/gateways\/([^/]+)\/leave$/.exec(path)?.[1];
  const reading = readers.get(path);
  const allowed = leaving !== undefined ? "POST" : "GET, HEAD";
  if (leaving === undefined && reading === undefined) return json(response, 404, { error: { code: "not_found", message: pathExpected } });
  if (!allowed.split(", ").includes(request.method ?? "")) {
    response.setHeader("allow", allowed);
    return json(response, 405, { error: { code: "method_not_allowed", message: `${request.method} ${path}: expected ${allowed}` } });
  }
  if (leaving !== undefined) return leave(response, source, leaving);
  await reading?.(response, source);
}

const pathExpected = "expected GET /api/fleet, /api/events or /metrics, or POST /api/gateways/NAME/leave";

const readers: ReadonlyMap<string, (response: ServerResponse, source: ConsoleSource) => void | Promise<void>> = new Map([
  ["/api/fleet", (response: ServerResponse, source: ConsoleSource) => json(response, 200, source.fleet())],
  ["/api/events", (response: ServerResponse, source: ConsoleSource) => json(response, 200, { events: source.events() })],
  ["/metrics", writeMetrics],
]);

async function writeMetrics(response: ServerResponse, source: ConsoleSource): Promise<void> {
  const text = await source.metrics();
  response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" }).end(text);
}

function leave(response: ServerResponse, source: ConsoleSource, gateway: string): void {
  if (source.leave(gateway)) json(response, 202, { gateway, message: "it is replaced, then drained" });
  else json(response, 404, { error: { code: "not_found", message: `no gateway ${gateway}, expected a name of GET /api/fleet` } });
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(`${JSON.stringify(body, null, 2)}\n`);
}
