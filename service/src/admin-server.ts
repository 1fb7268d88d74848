import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry as MetricsRegistry } from "prom-client";
import { bareHost } from "./host-port.js";

export interface AdminServer {
  /** "host:port" it listens on. */
  readonly address: string;
  stop(): Promise<void>;
}

export interface AdminOptions {
  readonly host: string;
  readonly port: number;
  readonly metrics: Pick<MetricsRegistry, "contentType" | "metrics">;
  /** `ready` or the reason why not; a reason is answered with 503. */
  readonly readiness: () => Readiness;
}

export type Readiness = { readonly kind: "ready" } | { readonly kind: "not_ready"; readonly reason: string };

/** `/healthz` (200 while the event loop turns), `/readyz` (200 or 503 with the reason), `/metrics` (Prometheus text). */
export async function startAdminServer(options: AdminOptions): Promise<AdminServer> {
  const server = createServer((request, response) => {
    answer(request, response, options).catch((cause: unknown) => {
      response.writeHead(500, { "content-type": "text/plain" }).end(`${String(cause)}\n`);
    });
  });
  await listen(server, options.host, options.port);
  return { address: addressOf(server), stop: () => closeServer(server) };
}

async function answer(request: IncomingMessage, response: ServerResponse, options: AdminOptions): Promise<void> {
  const text = (status: number, body: string) => response.writeHead(status, { "content-type": "text/plain; charset=utf-8" }).end(body);
  switch (request.url?.split("?")[0]) {
    case "/healthz":
      text(200, "ok\n");
      return;
    case "/readyz": {
      const readiness = options.readiness();
      if (readiness.kind === "ready") text(200, "ready\n");
      else text(503, `${readiness.reason}\n`);
      return;
    }
    case "/metrics":
      response.writeHead(200, { "content-type": options.metrics.contentType }).end(await options.metrics.metrics());
      return;
    default:
      text(404, "expected /healthz, /readyz or /metrics\n");
  }
}

/** Listens, or rejects with the reason (EADDRINUSE and the like). */
export function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, bareHost(host), () => {
      server.off("error", reject);
      resolve();
    });
  });
}

export function addressOf(server: Server): string {
  const address = server.address() as AddressInfo;
  return address.family === "IPv6" ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}

/** Stops listening and ends what is open, idle or not. */
export function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
