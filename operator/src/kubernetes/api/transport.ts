import type { Readable } from "node:stream";
import { limits } from "@pushfleet/protocol";
import type { Clock, Logger } from "@pushfleet/service";
import { Pool } from "undici";
import { CredentialSource, type Credentials, type KubeConfigSource, type TlsMaterial } from "./credentials.js";
import { unlessAborted } from "./deadline.js";

export interface HttpRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly body?: string;
  readonly contentType?: string;
  /** Ends the request and the reading of its answer. */
  readonly signal: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  /** To be read to its end, or destroyed. */
  readonly body: Readable;
}

export interface TransportOptions {
  readonly kubeConfig: KubeConfigSource;
  readonly userAgent: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Pools {
  readonly requests: Pool;
  /** Watches hold a connection for minutes: with a pool of their own they never keep a request waiting. */
  readonly watches: Pool;
  readonly tls: TlsMaterial;
}

/** Kept-alive connections to one API server (HTTP/1.1, TLS and tokens from the KubeConfig). New certificates open new connections; the
 *  old ones end when what they carry has ended. */
export class Transport {
  readonly #origin: string;
  /** Of a server behind a path, as some proxies have it. */
  readonly #prefix: string;
  readonly #userAgent: string;
  readonly #credentials: CredentialSource;
  readonly #clock: Clock;
  #pools: Pools | undefined;
  #reconnectedAtMs = Number.NEGATIVE_INFINITY;
  #closed: Promise<unknown> | undefined;

  /** Throws where the KubeConfig names no server, or a proxy. */
  constructor({ kubeConfig, userAgent, clock, logger }: TransportOptions) {
    const cluster = kubeConfig.getCurrentCluster();
    if (cluster === null) throw new Error("the kubeconfig has no current cluster");
    if (cluster.proxyUrl !== undefined) throw new Error("the kubeconfig's proxy-url is not supported");
    const { origin, pathname } = new URL(cluster.server);
    this.#origin = origin;
    this.#prefix = pathname.replace(/\/+$/, "");
    this.#userAgent = userAgent;
    this.#clock = clock;
    this.#credentials = new CredentialSource({ kubeConfig, clock, logger });
  }

  /** Rejects for what keeps the answer's head from coming: no credentials, no connection, the signal. */
  async send(request: HttpRequest, kind: "request" | "watch"): Promise<HttpAnswer> {
    const credentials = await unlessAborted(this.#credentials.current(), request.signal);
    const pools = this.#poolsFor(credentials.tls);
    const { statusCode, headers, body } = await (kind === "watch" ? pools.watches : pools.requests).request({
      method: request.method,
      path: `${this.#prefix}${request.path}`,
      headers: this.#headers(credentials, request.contentType),
      body: request.body ?? null,
      signal: request.signal,
    });
    body.on("error", () => undefined); // who reads it sees the error; who has stopped reading need not
    if (statusCode === 401) this.#credentials.invalidate();
    const retryAfter = headers["retry-after"];
    return { status: statusCode, retryAfter: typeof retryAfter === "string" ? retryAfter : undefined, body };
  }

  /** Requests that follow open new connections: the API server may be gone from the other end of the old ones, with nothing on the wire that
   *  tells, and each would cost a timeout. What they carry goes on. */
  reconnect(): void {
    const nowMs = this.#clock.monotonicMs();
    const pools = this.#pools;
    if (pools === undefined || this.#closed !== undefined || nowMs - this.#reconnectedAtMs < limits.kubernetesReconnectMs) return;
    this.#reconnectedAtMs = nowMs;
    this.#pools = { ...pools, requests: this.#pool(pools.tls, limits.kubernetesConnectionsMax) };
    retire(pools.requests);
  }

  /** Requests under way end by themselves, watches at once. */
  async close(): Promise<void> {
    this.#closed ??= Promise.all([this.#pools?.requests.close(), this.#pools?.watches.destroy()]);
    await this.#closed;
  }

  #headers({ headers }: Credentials, contentType: string | undefined): Record<string, string> {
    const all: Record<string, string> = { ...headers, accept: "application/json", "user-agent": this.#userAgent };
    if (contentType !== undefined) all["content-type"] = contentType;
    return all;
  }

  #poolsFor(tls: TlsMaterial): Pools {
    if (this.#closed !== undefined) throw new Error("closed");
    const before = this.#pools;
    if (before?.tls.fingerprint === tls.fingerprint) return before;
    const pools: Pools = {
      requests: this.#pool(tls, limits.kubernetesConnectionsMax),
      watches: this.#pool(tls, limits.kubernetesWatchesMax),
      tls,
    };
    this.#pools = pools;
    if (before !== undefined) retire(before.requests, before.watches);
    return pools;
  }

  #pool(tls: TlsMaterial, connections: number): Pool {
    return new Pool(this.#origin, {
      connections,
      pipelining: 1,
      keepAliveTimeout: limits.kubernetesKeepAliveMs,
      keepAliveMaxTimeout: limits.kubernetesKeepAliveMs,
      // Every request has a signal with a timeout, every watch its own ear for silence.
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { ...tls.options, timeout: limits.kubernetesConnectMs } as NonNullable<Pool.Options["connect"]>,
    });
  }
}

/** Closes them when what they carry has ended. A rejection means that they were destroyed: what they carried has told that by itself. */
function retire(...pools: readonly Pool[]): void {
  void Promise.allSettled(pools.map((pool) => pool.close()));
}

/** The whole body as text; "tooLong" beyond `bytesMax` (then the connection is cut). Rejects when it breaks off. */
export async function readText(body: Readable, bytesMax: number): Promise<{ readonly text: string } | "tooLong"> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) return "tooLong"; // leaving the loop destroys the body
    chunks.push(chunk);
  }
  return { text: Buffer.concat(chunks, bytes).toString("utf8") };
}

/** What went wrong with a connection, with the code that says it best (ECONNREFUSED, UND_ERR_SOCKET, …). */
export function describeFailure(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const { code } = cause as { readonly code?: unknown };
  const text = [typeof code === "string" ? code : "", cause.message].filter((part) => part !== "").join(": ");
  return (text === "" ? cause.name : text).slice(0, limits.kubernetesMessageMax);
}
