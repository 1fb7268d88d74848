import type { HttpRequest, HttpResponse, TemplatedApp, us_socket_context_t } from "uWebSockets.js";
import { closeCodes, errorBody, limits } from "@pushfleet/protocol";
import type { Clock, Logger, Readiness } from "@pushfleet/service";
import type { Connection, Socket, SocketData } from "./connection.js";
import type { Admitted, Handshake } from "./handshake.js";
import { type Listener, listenPlain } from "./ports.js";
import { listenTls } from "./tls-ports.js";
import { uws } from "./uws.js";

/** What the client ports ask of a worker. */
export interface SocketHandlers {
  readonly admit: (handshake: Handshake) => Admitted;
  /** Hangs its connection on the socket. */
  readonly open: (socket: Socket, admitted: Extract<Admitted, { readonly kind: "arrive" }>) => void;
  readonly message: (connection: Connection, message: ArrayBuffer, isBinary: boolean) => void;
  readonly pong: (connection: Connection) => void;
  readonly drain: (connection: Connection) => void;
  /** `connection` is `undefined` for a refused one. */
  readonly close: (connection: Connection | undefined, code: number, reason: string) => void;
  readonly readiness: () => Readiness;
}

export interface ListenOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly ports: readonly number[];
  readonly tls: { readonly certFile: string; readonly keyFile: string } | undefined;
  /** Addresses whose PROXY v2 header is believed. */
  readonly trustedProxies: readonly string[] | undefined;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Several workers listen on the same ports (SO_REUSEPORT); otherwise a port in use is a fault. */
  readonly isShared: boolean;
}

/** Opens the client ports: `/connect`, `/sse` and `/frames`, `/readyz` and `/healthz` for balancers. Rejects when a port is taken, or the files
 *  of `tls` are not right. */
export function listen(options: ListenOptions, handlers: SocketHandlers): Promise<Listener> {
  const serve = (app: TemplatedApp): TemplatedApp => {
    addConnect(app, handlers, options);
    addPages(app, handlers.readiness);
    return app;
  };
  const { tls } = options;
  return tls === undefined ? listenPlain(options, () => serve(uws.App())) : listenTls({ ...options, tls }, (app) => serve(app));
}

function addConnect(app: TemplatedApp, handlers: SocketHandlers, options: ListenOptions): void {
  /** Between `upgrade` and `open`, which comes from within it. */
  let opening: Exclude<Admitted, { readonly kind: "http" }> | undefined;
  app.ws<SocketData>("/connect", {
    compression: uws.DISABLED,
    maxPayloadLength: limits.clientFrameBytesCut,
    // The wheel pings and times out. Off, it still cuts a closed socket whose client does not close its side, after four seconds.
    idleTimeout: 0,
    sendPingsAutomatically: false,
    // The outbox is the bound: a frame is never dropped here.
    maxBackpressure: 0,
    upgrade: (response, request, context) => {
      const admitted = handlers.admit(readHandshake(request));
      if (admitted.kind !== "arrive") logRefusal(response, admitted.result, options);
      if (admitted.kind === "http") {
        refuse(response, admitted.status, admitted.body, admitted.retryAfterSeconds);
        return;
      }
      opening = admitted;
      upgrade(response, request, context);
    },
    open: (socket) => {
      const admitted = opening;
      opening = undefined;
      if (admitted?.kind === "arrive") handlers.open(socket, admitted);
      else if (admitted?.kind === "close") socket.end(admitted.code, admitted.reason);
      else socket.end(closeCodes.goingAway.code, closeCodes.goingAway.reason);
    },
    message: (socket, message, isBinary) => {
      const { connection } = socket.getUserData();
      if (connection !== undefined) handlers.message(connection, message, isBinary);
    },
    pong: (socket) => {
      const { connection } = socket.getUserData();
      if (connection !== undefined) handlers.pong(connection);
    },
    drain: (socket) => {
      const { connection } = socket.getUserData();
      if (connection !== undefined) handlers.drain(connection);
    },
    close: (socket, code, reason) => {
      // Read off the object: the socket itself is gone.
      const { connection } = socket as unknown as Partial<SocketData>;
      handlers.close(connection, code, reason.byteLength === 0 ? "" : Buffer.from(reason).toString("latin1"));
    },
  });
}

function logRefusal(response: HttpResponse, result: string, { logger, trustedProxies, tls }: ListenOptions): void {
  if (!logger.isLevelEnabled("debug")) return;
  const direct = Buffer.from(response.getRemoteAddressAsText()).toString();
  // With TLS the header would be inside it, written by the client.
  const isTrusted = tls === undefined && trustedProxies?.includes(direct) === true;
  const proxied = isTrusted ? Buffer.from(response.getProxiedRemoteAddressAsText()).toString() : "";
  logger.debug({ result, client: proxied === "" ? direct : proxied }, "handshake refused");
}

/** An empty object: uWebSockets.js copies its members onto the socket one by one. */
const noData = {};

function upgrade(response: HttpResponse, request: HttpRequest, context: us_socket_context_t): void {
  const key = request.getHeader("sec-websocket-key");
  response.upgrade(noData, key, "", request.getHeader("sec-websocket-extensions"), context);
}

function readHandshake(request: HttpRequest): Handshake {
  return {
    token: request.getQuery("token"),
    authorization: request.getHeader("authorization"),
    device: request.getQuery("device"),
    resume: request.getQuery("resume"),
    downMs: request.getQuery("down_ms"),
    origin: request.getHeader("origin"),
  };
}

const notYet = errorBody({ code: "not_implemented", message: "SSE is not served yet, connect to /connect by WebSocket" });
const notFound = errorBody({ code: "not_found", message: "expected /connect, /sse, /frames, /readyz or /healthz" });
const upgradeRequired = errorBody({ code: "bad_frame", message: "expected a WebSocket upgrade (RFC 6455)" });

function addPages(app: TemplatedApp, readiness: () => Readiness): void {
  app.any("/sse", (response) => refuse(response, "501 Not Implemented", notYet, undefined));
  app.any("/frames", (response) => refuse(response, "501 Not Implemented", notYet, undefined));
  app.any("/connect", (response) => {
    response.writeStatus("426 Upgrade Required").writeHeader("Upgrade", "websocket");
    finish(response, upgradeRequired);
  });
  app.get("/healthz", (response) => {
    response.writeHeader("Content-Type", "text/plain; charset=utf-8").end("ok\n");
  });
  app.get("/readyz", (response) => {
    const ready = readiness();
    response.writeStatus(ready.kind === "ready" ? "200 OK" : "503 Service Unavailable");
    response.writeHeader("Content-Type", "text/plain; charset=utf-8").end(ready.kind === "ready" ? "ready\n" : `${ready.reason}\n`);
  });
  app.any("/*", (response) => refuse(response, "404 Not Found", notFound, undefined));
}

function refuse(response: HttpResponse, status: string, body: string, retryAfterSeconds: number | undefined): void {
  response.writeStatus(status);
  if (retryAfterSeconds !== undefined) response.writeHeader("Retry-After", String(retryAfterSeconds));
  finish(response, body);
}

function finish(response: HttpResponse, body: string): void {
  response.writeHeader("Content-Type", "application/json").writeHeader("Cache-Control", "no-store").end(body);
}
