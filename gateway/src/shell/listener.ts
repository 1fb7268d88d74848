import uws, { type HttpRequest, type HttpResponse, type TemplatedApp } from "uWebSockets.js";
import { closeReason, errorBody, idExpected, limits, parseDeviceId, tryAgainReason } from "@pushfleet/protocol";
import type { GatewayConfig } from "../configuration.js";
import { parseResume, type ResumeKeys } from "../core/resume.js";
import type { HandshakeBucket } from "../core/token-bucket.js";
import type { Opening, SocketData } from "./connection.js";
import type { Metrics } from "./metrics.js";
import type { Worker } from "./worker.js";

export interface ListenerOptions {
  readonly listen: GatewayConfig["listen"];
  readonly worker: Worker;
  readonly bucket: HandshakeBucket;
  readonly resumeKeys: ResumeKeys;
  readonly metrics: Metrics;
  readonly wallMs: () => number;
  /** Why nobody is let in, with a hint; undefined: all are. */
  readonly refusal: () => { readonly retryAfterMs: number } | undefined;
  readonly readiness: () => { readonly kind: "ready" } | { readonly kind: "not_ready"; readonly reason: string };
  readonly onAttempt: () => void;
}

export interface Listener {
  /** "host:port" of the first client port. */
  readonly address: string;
  stop(): void;
}

const downMsMax = 30 * 24 * 3600_000;

/** The client ports: `/connect`, and answers to everything else. */
export async function startListener(options: ListenerOptions): Promise<Listener> {
  const { listen, worker } = options;
  const app = listen.tls === undefined ? uws.App() : uws.SSLApp({ cert_file_name: listen.tls.certFile, key_file_name: listen.tls.keyFile });
  app.ws<SocketData>("/connect", {
    compression: uws.DISABLED,
    maxPayloadLength: limits.clientFrameBytesCut,
    maxBackpressure: 16 * limits.outboxBytesHard, // ours is the outbox; this one must never drop
    idleTimeout: 0, // the heartbeat wheel does it
    sendPingsAutomatically: false,
    upgrade: (response, request, context) => upgrade(response, request, context, options),
    open: (socket) => {
      const data = socket.getUserData();
      const { opening } = data;
      data.opening = undefined;
      if (opening?.kind === "arrive") worker.opened(socket, opening);
      else if (opening !== undefined) socket.end(opening.code, opening.reason);
    },
    message: (socket, message, isBinary) => {
      const { connection } = socket.getUserData();
      if (connection !== undefined) worker.message(connection, message, isBinary);
    },
    pong: (socket) => {
      const { connection } = socket.getUserData();
      if (connection !== undefined) worker.pong(connection);
    },
    drain: (socket) => {
      const { connection } = socket.getUserData();
      if (connection !== undefined) worker.sender.drained(connection);
    },
    close: (socket, code, message) => {
      options.metrics.close(code, code === 1006 ? Buffer.from(message).toString() : "");
      const { connection } = socket.getUserData();
      if (connection !== undefined) worker.closed(connection);
    },
  });
  addAnswers(app, options);
  const first = await listenOn(app, listen.host, listen.port);
  const sockets = [first.socket];
  for (const port of listen.extraPorts) sockets.push((await listenOn(app, listen.host, port)).socket);
  return {
    address: `${listen.host}:${first.port}`,
    stop: () => {
      for (const socket of sockets) uws.us_listen_socket_close(socket);
    },
  };
}

function addAnswers(app: TemplatedApp, options: ListenerOptions): void {
  const text = (response: HttpResponse, status: string, body: string): void => {
    response.cork(() => response.writeStatus(status).writeHeader("content-type", "text/plain; charset=utf-8").end(body));
  };
  app.get("/healthz", (response) => text(response, "200 OK", "ok\n"));
  app.get("/readyz", (response) => {
    const readiness = options.readiness();
    if (readiness.kind === "ready") text(response, "200 OK", "ready\n");
    else text(response, "503 Service Unavailable", `${readiness.reason}\n`);
  });
  for (const path of ["/sse", "/frames"]) {
    app.any(path, (response) =>
      refuse(
        response,
        "501 Not Implemented",
        errorBody({ code: "not_implemented", message: `${path} is not there yet, use a WebSocket on /connect` }),
      ),
    );
  }
  app.any("/*", (response) =>
    refuse(
      response,
      "404 Not Found",
      JSON.stringify({ error: { code: "not_found", message: "expected a WebSocket upgrade of /connect" } }),
    ),
  );
}

function refuse(response: HttpResponse, status: string, body: string, headers: Readonly<Record<string, string>> = {}): void {
  response.cork(() => {
    response.writeStatus(status).writeHeader("content-type", "application/json");
    for (const [name, value] of Object.entries(headers)) response.writeHeader(name, value);
    response.end(body, true);
  });
}

type Context = Parameters<NonNullable<Parameters<TemplatedApp["ws"]>[1]["upgrade"]>>[2];

function upgrade(response: HttpResponse, request: HttpRequest, context: Context, options: ListenerOptions): void {
  const { metrics, bucket, worker } = options;
  metrics.attempts++;
  options.onAttempt();
  const query = new URLSearchParams(request.getQuery());
  const origin = request.getHeader("origin");
  if (origin !== "" && !isAllowed(origin, options.listen.allowedOrigins)) {
    metrics.handshake("forbidden_origin");
    return refuse(response, "403 Forbidden", errorBody({ code: "forbidden", message: "this origin is not among listen.allowedOrigins" }));
  }
  const resumeText = query.get("resume");
  const resume = resumeText === null ? undefined : parseResume(resumeText, options.wallMs(), options.resumeKeys);
  const admission = bucket.admit(resume?.kind === "valid", worker.nowMs(), Math.random());
  if (admission.kind === "refused") {
    metrics.handshake("busy");
    const { retryAfterMs } = admission;
    const body = errorBody({ code: "busy", message: "too many connect at once", retryAfterMs });
    return refuse(response, "503 Service Unavailable", body, { "retry-after": String(Math.ceil(retryAfterMs / 1000)) });
  }
  const opening = decideOpening(query, request.getHeader("authorization"), resume, options);
  response.upgrade<SocketData>(
    { connection: undefined, opening },
    request.getHeader("sec-websocket-key"),
    request.getHeader("sec-websocket-protocol"),
    request.getHeader("sec-websocket-extensions"),
    context,
  );
}

/** A refusal that a client must understand is an upgrade closed at once with its code: browsers cannot read a failed upgrade. */
function decideOpening(
  query: URLSearchParams,
  authorization: string,
  resume: ReturnType<typeof parseResume> | undefined,
  options: ListenerOptions,
): Opening {
  const refusal = options.refusal();
  if (refusal !== undefined) {
    options.metrics.handshake("refused");
    return { kind: "refuse", code: 1013, reason: tryAgainReason(refusal.retryAfterMs) };
  }
  const deviceText = query.get("device");
  const device = deviceText === null ? undefined : parseDeviceId(deviceText);
  if (deviceText !== null && device === undefined) {
    options.metrics.handshake("bad_frame");
    return { kind: "refuse", code: 4400, reason: closeReason(`device: expected ${idExpected}`) };
  }
  const inQuery = query.get("token");
  const inHeader = /^Bearer (\S+)$/i.exec(authorization)?.[1];
  const downMs = Number(query.get("down_ms") ?? Number.NaN);
  const arrived = {
    resumed: resume?.kind === "valid" ? { user: resume.user, device: resume.device } : undefined,
    downMs: downMs >= 0 && downMs <= downMsMax ? downMs : undefined,
  };
  if (inHeader !== undefined) return { kind: "arrive", device, arrived, token: { text: inHeader, via: "header" } };
  return { kind: "arrive", device, arrived, token: inQuery === null ? undefined : { text: inQuery, via: "query" } };
}

function isAllowed(origin: string, allowed: readonly string[]): boolean {
  return allowed.includes("*") || allowed.includes(origin);
}

function listenOn(
  app: TemplatedApp,
  host: string,
  port: number,
): Promise<{ readonly socket: uws.us_listen_socket; readonly port: number }> {
  return new Promise((resolve, reject) => {
    app.listen(host, port, (socket) => {
      if (socket === false)
        reject(Object.assign(new Error(`listen EADDRINUSE: ${host}:${port} cannot be listened on`), { code: "EADDRINUSE" }));
      else resolve({ socket, port: uws.us_socket_local_port(socket) });
    });
  });
}
