import { isUtf8 } from "node:buffer";
import { createHash, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { limits } from "@pushfleet/protocol";
import { addressOf, closeServer, isLoopback, listen } from "@pushfleet/service";
import { type ErrorDetails, errorJson, type Published } from "./publish.js";

export interface HttpSource {
  readonly address: string;
  stop(): Promise<void>;
}

export interface HttpSourceOptions {
  readonly host: string;
  readonly port: number;
  readonly apiTokensFile: string | undefined;
  readonly publish: (text: string) => Promise<Published>;
}

type Allowed = { readonly kind: "allowed" } | { readonly kind: "refused"; readonly status: 401 | 403; readonly error: ErrorDetails };

/** `POST /v1/notifications`. With `apiTokensFile` (one token a line) a bearer token is required; without it only a loopback listener starts, and
 *  it answers loopback names only and no foreign web page (DNS rebinding). */
export async function startHttpSource(options: HttpSourceOptions): Promise<HttpSource> {
  if (options.apiTokensFile === undefined && !isLoopback(options.host)) {
    throw new Error(`http.host ${options.host} is not loopback: without http.apiTokensFile the router listens on loopback only`);
  }
  const tokens = options.apiTokensFile === undefined ? undefined : readTokens(options.apiTokensFile);
  const server = createServer((request, response) => {
    answer(request, response, tokens, options).catch((cause: unknown) => {
      if (!response.headersSent) refuse(response, 500, { code: "failed", message: String(cause) });
    });
  });
  await listen(server, options.host, options.port);
  return { address: addressOf(server), stop: () => closeServer(server) };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  tokens: readonly Buffer[] | undefined,
  options: HttpSourceOptions,
): Promise<void> {
  if (request.url?.split("?")[0] !== "/v1/notifications") {
    return refuse(response, 404, { code: "not_found", message: "expected POST /v1/notifications" });
  }
  if (request.method !== "POST") {
    response.setHeader("allow", "POST");
    return refuse(response, 405, { code: "method_not_allowed", message: "expected POST" });
  }
  const allowed = allow(request, tokens);
  if (allowed.kind === "refused") return refuse(response, allowed.status, allowed.error);
  const body = await readBody(request);
  if (body === "too_large") {
    response.setHeader("connection", "close");
    return refuse(response, 413, { code: "too_large", message: `the body is larger than ${limits.publishBodyBytesMax} bytes` });
  }
  if (!isUtf8(body)) {
    const faults = [{ path: "", value: `${body.length} bytes`, expected: "JSON in UTF-8" }];
    return refuse(response, 400, { code: "bad_request", message: "the body is not UTF-8", faults });
  }
  const published = await options.publish(body.toString("utf8"));
  if (published.retryAfterSeconds !== undefined) response.setHeader("retry-after", String(published.retryAfterSeconds));
  response.writeHead(published.status, { "content-type": "application/json" }).end(published.body);
}

function allow(request: IncomingMessage, tokens: readonly Buffer[] | undefined): Allowed {
  if (tokens !== undefined) {
    const token = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
    const known = token !== undefined && tokens.some((one) => timingSafeEqual(one, digest(token)));
    return known
      ? { kind: "allowed" }
      : { kind: "refused", status: 401, error: { code: "unauthenticated", message: "expected a bearer token of http.apiTokensFile" } };
  }
  const host = hostOf(`http://${request.headers.host ?? ""}`);
  const { origin } = request.headers;
  if (host === undefined || !isLoopback(host)) return forbidden("Host is not a loopback name");
  if (origin !== undefined && !isLoopback(hostOf(origin) ?? "")) return forbidden("Origin is not a loopback page");
  return { kind: "allowed" };
}

function hostOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).hostname : undefined;
}

function forbidden(message: string): Allowed {
  return { kind: "refused", status: 403, error: { code: "forbidden", message } };
}

/** Equal lengths for a comparison in constant time. */
function digest(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

function readTokens(file: string): readonly Buffer[] {
  const tokens = readFileSync(file, "utf8")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  if (tokens.length === 0) throw new Error(`http.apiTokensFile: ${file} has no token, expected one a line`);
  return tokens.map(digest);
}

async function readBody(request: IncomingMessage): Promise<Buffer | "too_large"> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > limits.publishBodyBytesMax) return "too_large";
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function refuse(response: ServerResponse, status: number, error: ErrorDetails): void {
  response.writeHead(status, { "content-type": "application/json" }).end(errorJson(error));
}
