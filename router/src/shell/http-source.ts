import { createHash, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { limits } from "@pushfleet/protocol";
import { addressOf, type Clock, followFile, isLoopback, type Logger, listen } from "@pushfleet/service";
import { type ErrorDetails, errorJson, type Published } from "./publisher.js";

export interface HttpSource {
  readonly address: string;
  /** Takes no more, answers what it has taken within `limits.routerStopMs`, and 503 to the rest. */
  stop(): Promise<void>;
}

export interface HttpSourceOptions {
  readonly host: string;
  readonly port: number;
  /** One token a line; empty lines and those that begin with `#` are none. Followed: a token is good from the moment it stands there to that it does
   *  not any more. */
  readonly apiTokensFile: string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly publish: (body: Buffer) => Promise<Published>;
  /** Answers what is still open: called when a stop has waited long enough. */
  readonly giveUp: () => void;
}

interface Refusal {
  readonly status: 401 | 403 | 404 | 405 | 413;
  readonly error: ErrorDetails;
  readonly headers?: Readonly<Record<string, string>>;
}

/** `POST /v1/notifications`. With `apiTokensFile` a bearer token is required; without it only a loopback listener starts, and it answers
 *  loopback names only and no foreign web page (DNS rebinding). */
export async function startHttpSource(options: HttpSourceOptions): Promise<HttpSource> {
  if (options.apiTokensFile === undefined && !isLoopback(options.host)) {
    throw new Error(`http.host ${options.host} is not loopback: without http.apiTokensFile the router listens on loopback only`);
  }
  const file = options.apiTokensFile;
  const known = file === undefined ? undefined : followFile(file, { ...options, name: "http.apiTokensFile", parse: parseTokens });
  const take = (request: IncomingMessage, response: ServerResponse): void => {
    answer(request, response, known?.value, options).catch((cause: unknown) => {
      if (response.headersSent) response.destroy();
      else refuse(request, response, 500, { code: "failed", message: String(cause) });
    });
  };
  const server = createServer({ requestTimeout: limits.publishTimeoutMs }, take);
  // A client that asks before it sends a body is told at once what would be told after it.
  server.on("checkContinue", (request: IncomingMessage, response: ServerResponse) => {
    if (refusalOf(request, known?.value) === undefined) response.writeContinue();
    take(request, response);
  });
  const stop = (): Promise<void> => {
    known?.stop();
    return stopServer(server, options);
  };
  try {
    await listen(server, options.host, options.port);
  } catch (cause) {
    known?.stop();
    throw cause;
  }
  return { address: addressOf(server), stop };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  tokens: readonly Buffer[] | undefined,
  options: HttpSourceOptions,
): Promise<void> {
  const refusal = refusalOf(request, tokens);
  if (refusal !== undefined) {
    for (const [name, value] of Object.entries(refusal.headers ?? {})) response.setHeader(name, value);
    return refuse(request, response, refusal.status, refusal.error);
  }
  const body = await readBody(request);
  if (body === "cut") return;
  if (body === "too_large") return refuse(request, response, 413, tooLarge);
  const { status, body: text, retryAfterMs } = await options.publish(body);
  if (retryAfterMs !== undefined) response.setHeader("retry-after", String(Math.ceil(retryAfterMs / 1000)));
  response.writeHead(status, { "content-type": "application/json" }).end(text);
}

/** What can be said before the body is read. */
function refusalOf(request: IncomingMessage, tokens: readonly Buffer[] | undefined): Refusal | undefined {
  if (request.url?.split("?")[0] !== "/v1/notifications") {
    return { status: 404, error: { code: "not_found", message: "expected POST /v1/notifications" } };
  }
  if (request.method !== "POST") {
    return { status: 405, error: { code: "method_not_allowed", message: "expected POST" }, headers: { allow: "POST" } };
  }
  const notAllowed = tokens === undefined ? checkLocal(request) : checkToken(request, tokens);
  if (notAllowed !== undefined) return notAllowed;
  return Number(request.headers["content-length"] ?? 0) > limits.publishBodyBytesMax ? { status: 413, error: tooLarge } : undefined;
}

const tooLarge: ErrorDetails = { code: "too_large", message: `the body is larger than ${limits.publishBodyBytesMax} bytes` };

/** All tokens are compared, each in constant time. */
function checkToken(request: IncomingMessage, tokens: readonly Buffer[]): Refusal | undefined {
  const token = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
  const given = digest(token ?? "");
  const equal = tokens.filter((known) => timingSafeEqual(known, given)).length;
  if (token !== undefined && equal > 0) return undefined;
  const error = { code: "unauthenticated", message: "expected a bearer token of http.apiTokensFile" };
  return { status: 401, error, headers: { "www-authenticate": "Bearer" } };
}

function checkLocal({ headers }: IncomingMessage): Refusal | undefined {
  if (!isLoopback(hostOf(`http://${headers.host ?? ""}`) ?? "")) return forbidden("Host is not a loopback name");
  if (headers.origin !== undefined && !isLoopback(hostOf(headers.origin) ?? "")) return forbidden("Origin is not a loopback page");
  return undefined;
}

function hostOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).hostname : undefined;
}

function forbidden(message: string): Refusal {
  return { status: 403, error: { code: "forbidden", message } };
}

/** Equal lengths for a comparison in constant time. */
function digest(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

function parseTokens(bytes: Buffer): readonly Buffer[] {
  const tokens = bytes
    .toString()
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  if (tokens.length === 0) throw new Error("http.apiTokensFile has no token, expected one a line");
  return tokens.map(digest);
}

/** `cut`: the client went away before its end. */
function readBody(request: IncomingMessage): Promise<Buffer | "too_large" | "cut"> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const take = (chunk: Buffer): void => {
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes <= limits.publishBodyBytesMax) return;
      request.off("data", take);
      resolve("too_large");
    };
    request.on("data", take);
    request.once("end", () => resolve(Buffer.concat(chunks)));
    request.once("close", () => resolve("cut"));
  });
}

/** The rest of a body is read and thrown away, up to a bound: a client that is still sending it would otherwise get a reset, not the answer. */
function refuse(request: IncomingMessage, response: ServerResponse, status: number, error: ErrorDetails): void {
  response.writeHead(status, { "content-type": "application/json" }).end(errorJson(error));
  if (request.complete) return;
  let bytes = 0;
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > limits.publishUnreadBytesMax) request.socket.destroy();
  });
}

async function stopServer(server: Server, { clock, giveUp }: HttpSourceOptions): Promise<void> {
  await new Promise<void>((resolve) => {
    const cancelGiveUp = clock.after(limits.routerStopMs, giveUp);
    const cancelCut = clock.after(limits.routerStopMs + limits.routerAnswerMs, () => server.closeAllConnections());
    // A connection that was busy is kept alive after its answer, for a next request that will not come.
    const cancelIdle = clock.every(limits.routerIdleCheckMs, () => server.closeIdleConnections());
    server.close(() => {
      for (const cancel of [cancelGiveUp, cancelCut, cancelIdle]) cancel();
      resolve();
    });
    server.closeIdleConnections();
  });
}
