import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type Clock, createLogger, listen, systemClock } from "@pushfleet/service";
import { Registry } from "prom-client";
import { createKubernetesApi } from "../../operator/src/kubernetes/api/api.js";
import type { KubeConfigSource } from "../../operator/src/kubernetes/api/credentials.js";
import type { KubernetesApi } from "../../operator/src/kubernetes/api/types.js";

export type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void;

/** A request as it came. */
export interface Seen {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly contentType: string | undefined;
  readonly authorization: string | undefined;
  readonly body: string;
}

const ends: (() => Promise<void> | void)[] = [];

/** Closes every server and client of a test, the last first. */
export async function closeAll(): Promise<void> {
  for (const end of ends.splice(0).reverse()) await end();
}

const logger = createLogger("test", "silent");

/** An HTTP server that answers as `handler` does, and keeps what it was asked. */
export async function serve(handler: Handler) {
  const seen: Seen[] = [];
  const connections = new Set<object>();
  const server: Server = createServer((request, response) => {
    connections.add(request.socket);
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks).toString();
      const { "content-type": contentType, authorization } = request.headers;
      seen.push({ method: request.method, url: request.url, contentType, authorization, body });
      handler(request, response, body);
    });
  });
  await listen(server, "127.0.0.1", 0);
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return { port, seen, connections, server };
}

/** A KubeConfig for a server without TLS; `token` is asked anew each time. */
export const kubeConfigFor = (port: number, token: () => string = () => "t0"): KubeConfigSource => ({
  getCurrentCluster: () => ({ name: "c", server: `http://127.0.0.1:${port}/behind/`, skipTLSVerify: true }),
  async applyToHTTPSOptions(options) {
    options.headers = { ...options.headers, Authorization: `Bearer ${token()}` } as NonNullable<typeof options.headers>;
  },
});

/** A client with metrics of its own. */
export function connect(
  kubeConfig: KubeConfigSource,
  clock: Clock = systemClock,
  requestMs?: number,
): { readonly api: KubernetesApi; readonly metrics: Registry } {
  const metrics = new Registry();
  const api = createKubernetesApi({
    kubeConfig,
    fieldManager: "pushfleet-operator",
    logger,
    clock,
    metrics,
    ...(requestMs === undefined ? {} : { requestMs }),
  });
  ends.push(() => api.close());
  return { api, metrics };
}

export const answer =
  (status: number, body: unknown, headers: Record<string, string> = {}): Handler =>
  (_, response) => {
    response.writeHead(status, headers).end(typeof body === "string" ? body : JSON.stringify(body));
  };
