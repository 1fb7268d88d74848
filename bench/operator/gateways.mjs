// All gateways of the operator's benchmark in one process: gRPC by hand on HTTP/2, a listener for each pod's address with the certificate of the pod's
// Secret. They say what real ones say as often (limits.statusPeriodMs), and accept whatever they are told.
import { createSecureServer } from "node:http2";
import { limits } from "@pushfleet/protocol";
import { gatewayService, v1 } from "@pushfleet/service";

const grpcPort = 9101;
const capacity = 60_000;
/** Few: what comes all at once would make the fleet grow. */
const connectionsAtStart = 100;
/** Connections come and go between two statuses: too few for a new plan, enough for the numbers of the PushGateway's status to change. */
const drift = 50;

/** @typedef {{ pod: string, ip: string, cert: string, key: string, ca: string }} Pod */

/** By address. @type {Map<string, { server: import("node:http2").Http2SecureServer, sessions: Set<import("node:http2").ServerHttp2Session> }>} */
const gateways = new Map();
let streams = 0;
let statuses = 0;
/** @type {number} */
let periodMs = limits.statusPeriodMs;

/** @param {Pod} pod */
function open({ pod, ip, cert, key, ca }) {
  const server = createSecureServer({ cert, key, ca, requestCert: true, rejectUnauthorized: true });
  const gateway = { server, sessions: new Set(), state: newState(pod) };
  gateways.set(ip, gateway);
  server.on("session", (session) => {
    gateway.sessions.add(session);
    session.on("close", () => gateway.sessions.delete(session));
    session.on("error", () => undefined);
  });
  server.on("stream", (stream, headers) => {
    stream.on("error", () => undefined);
    answer(stream, String(headers[":path"]), gateway.state);
  });
  server.on("error", (error) => process.send?.({ fault: `${pod} at ${ip}: ${error.message}` }));
  server.listen(grpcPort, ip);
}

/** @param {string} pod */
function newState(pod) {
  return {
    gateway: pod,
    incarnation: pod,
    state: v1.ServingState.STATE_SERVING,
    ready: true,
    connections: connectionsAtStart,
    effectiveMaxConnections: capacity,
    handshakes: connectionsAtStart,
    epoch: 0,
    remaining: connectionsAtStart,
  };
}

/** @param {import("node:http2").ServerHttp2Stream} stream @param {string} path @param {ReturnType<typeof newState>} state */
function answer(stream, path, state) {
  switch (path) {
    case gatewayService.watchStatus.path:
      return watch(stream, state);
    case gatewayService.drain.path:
      return reply(stream, (bytes) => v1.DrainRequest.decode(bytes).grant?.epoch, state);
    case gatewayService.abortDrain.path:
      return reply(stream, (bytes) => v1.AbortDrainRequest.decode(bytes).epoch, state);
    default:
      stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "12" }, { endStream: true });
  }
}

/** A status at once and one each period, the first of them after a random part of it.
 * @param {import("node:http2").ServerHttp2Stream} stream @param {ReturnType<typeof newState>} state */
function watch(stream, state) {
  streams += 1;
  stream.resume();
  stream.respond({ ":status": 200, "content-type": "application/grpc" });
  const tell = () => {
    state.connections = Math.max(0, connectionsAtStart + Math.round((Math.random() - 0.5) * drift));
    state.remaining = state.connections;
    state.handshakes += 1;
    statuses += 1;
    stream.write(frame(v1.GatewayStatus.encode({ ...state, atMs: Date.now() }).finish()));
  };
  const next = () => {
    tell();
    timer = setTimeout(next, periodMs);
  };
  tell();
  let timer = setTimeout(next, Math.random() * periodMs);
  stream.on("close", () => {
    clearTimeout(timer);
    streams -= 1;
  });
}

/** @param {import("node:http2").ServerHttp2Stream} stream @param {(bytes: Buffer) => number | null | undefined} epochOf @param {{ epoch: number }} state */
function reply(stream, epochOf, state) {
  /** @type {Buffer[]} */
  const chunks = [];
  stream.on("data", (chunk) => chunks.push(chunk));
  stream.on("end", () => {
    state.epoch = Math.max(state.epoch, epochOf(Buffer.concat(chunks).subarray(5)) ?? 0);
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(frame(v1.DrainReply.encode({ accepted: true }).finish()));
  });
}

/** A message as gRPC frames it: not compressed, its length, its bytes. @param {Uint8Array} message */
function frame(message) {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** @param {string} ip */
function close(ip) {
  const gateway = gateways.get(ip);
  gateways.delete(ip);
  gateway?.server.close();
  for (const session of gateway?.sessions ?? []) session.destroy();
}

process.on("message", (/** @type {{ open?: Pod, close?: string, periodMs?: number, ask?: true }} */ message) => {
  if (message.open !== undefined) open(message.open);
  if (message.close !== undefined) close(message.close);
  if (message.periodMs !== undefined) periodMs = message.periodMs;
  if (message.ask === true) process.send?.({ streams, statuses });
});
process.on("disconnect", () => process.exit(0));
