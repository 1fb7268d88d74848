import { readFileSync } from "node:fs";
import {
  type ChannelCredentials,
  Client,
  type ClientOptions,
  credentials,
  Server,
  ServerCredentials,
  type ServiceDefinition,
} from "@grpc/grpc-js";
import { type Fault, limits } from "@pushfleet/protocol";
import { pushfleet } from "./generated/delivery.js";

export import v1 = pushfleet.v1;

interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

/** Encodes at once: protobuf.js writes a message in one pass; Buffer views share memory, nothing is copied. */
const serialize =
  <T>(codec: Codec<T>) =>
  (message: T): Buffer => {
    const bytes = codec.encode(message).finish();
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };

function method<Request, Reply>(
  service: string,
  name: string,
  request: Codec<Request>,
  reply: Codec<Reply>,
  stream: { readonly request?: boolean; readonly response?: boolean } = {},
) {
  return {
    path: `/pushfleet.v1.${service}/${name}`,
    requestStream: stream.request ?? false,
    responseStream: stream.response ?? false,
    requestSerialize: serialize(request),
    requestDeserialize: (bytes: Buffer) => request.decode(bytes),
    responseSerialize: serialize(reply),
    responseDeserialize: (bytes: Buffer) => reply.decode(bytes),
  };
}

/** The Gateway service of protocol/delivery.proto. */
export const gatewayService = {
  deliver: method("Gateway", "Deliver", v1.DeliverBatch, v1.OutcomeBatch, { request: true, response: true }),
  drain: method("Gateway", "Drain", v1.DrainRequest, v1.DrainReply),
  abortDrain: method("Gateway", "AbortDrain", v1.AbortDrainRequest, v1.DrainReply),
  watchStatus: method("Gateway", "WatchStatus", v1.WatchStatusRequest, v1.GatewayStatus, { response: true }),
  disconnect: method("Gateway", "Disconnect", v1.DisconnectRequest, v1.DisconnectReply),
} satisfies ServiceDefinition;

/** The Router service of protocol/delivery.proto. */
export const routerService = {
  acknowledge: method("Router", "Acknowledge", v1.AcknowledgeRequest, v1.AcknowledgeReply),
  sync: method("Router", "Sync", v1.SyncRequest, v1.SyncReply),
  emit: method("Router", "Emit", v1.EmitRequest, v1.EmitReply),
  publish: method("Router", "Publish", v1.PublishRequest, v1.PublishReply),
} satisfies ServiceDefinition;

/** Paths of PEM files. Both sides verify the other: one CA a fleet. */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
}

/** Who listens here only is reached from this machine alone. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Without TLS gRPC starts on loopback only: for a part's `grpc` section, told with the other faults of its configuration. */
export function grpcFaults({ grpc }: { readonly grpc: { readonly host: string; readonly tls?: TlsFiles | undefined } }): readonly Fault[] {
  if (grpc.tls !== undefined || isLoopback(grpc.host)) return [];
  return [{ path: "grpc.host", value: grpc.host, expected: "a loopback address, or grpc.tls beside it" }];
}

const channelOptions: ClientOptions = {
  "grpc.max_receive_message_length": limits.grpcMessageBytesMax,
  "grpc.max_send_message_length": limits.grpcMessageBytesMax,
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 2_000,
  "grpc.use_local_subchannel_pool": 1,
};

export function createGrpcServer(): Server {
  return new Server({
    "grpc.max_receive_message_length": limits.grpcMessageBytesMax,
    "grpc.max_send_message_length": limits.grpcMessageBytesMax,
    "grpc.keepalive_time_ms": 20_000,
  });
}

/** Binds and returns the port; rejects when it is taken, or when `host` is not loopback and there is no TLS. */
export function bindGrpcServer(server: Server, host: string, port: number, tls: TlsFiles | undefined): Promise<number> {
  if (tls === undefined && !isLoopback(host)) {
    return Promise.reject(new Error(`grpc.host ${host} is not loopback: without grpc.tls gRPC listens on loopback only`));
  }
  return new Promise((resolve, reject) => {
    server.bindAsync(`${host}:${port}`, serverCredentials(tls), (error, bound) => (error === null ? resolve(bound) : reject(error)));
  });
}

function serverCredentials(tls: TlsFiles | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  const pair = { private_key: readFileSync(tls.keyFile), cert_chain: readFileSync(tls.certFile) };
  return ServerCredentials.createSsl(readFileSync(tls.caFile), [pair], true);
}

function channelCredentials(tls: TlsFiles | undefined): ChannelCredentials {
  if (tls === undefined) return credentials.createInsecure();
  return credentials.createSsl(readFileSync(tls.caFile), readFileSync(tls.keyFile), readFileSync(tls.certFile));
}

/** A channel to `address` ("host:port"); it connects by itself at the first call and again after a break. */
export function createGrpcClient(address: string, tls: TlsFiles | undefined): Client {
  return new Client(address, channelCredentials(tls), channelOptions);
}

type Unary<Request, Reply> = {
  readonly path: string;
  readonly requestSerialize: (message: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Reply;
};

/** One unary call with a deadline of `timeoutMs`. Rejects with grpc-js' ServiceError (`code`, `details`). */
export function callUnary<Request, Reply>(
  client: Client,
  definition: Unary<Request, Reply>,
  request: Request,
  timeoutMs: number,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + timeoutMs;
    client.makeUnaryRequest(
      definition.path,
      definition.requestSerialize,
      definition.responseDeserialize,
      request,
      { deadline },
      (error, reply) => {
        if (error !== null) reject(error);
        else if (reply === undefined) reject(new Error(`${definition.path} answered nothing`));
        else resolve(reply);
      },
    );
  });
}
