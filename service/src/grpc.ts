import type { Client, ServerWritableStream, ServiceDefinition } from "@grpc/grpc-js";
import type { Fault } from "@pushfleet/protocol";
import type { TlsFiles } from "./fleet-certificate.js";
import { pushfleet } from "./generated/delivery.js";

export import v1 = pushfleet.v1;

export interface Codec<T> {
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

/** A method as grpc-js wants it. `service` is the full name: `pushfleet.v1.Router`. */
export function grpcMethod<Request, Reply>(
  service: string,
  name: string,
  request: Codec<Request>,
  reply: Codec<Reply>,
  stream: { readonly request?: boolean; readonly response?: boolean } = {},
) {
  return {
    path: `/${service}/${name}`,
    requestStream: stream.request ?? false,
    responseStream: stream.response ?? false,
    requestSerialize: serialize(request),
    requestDeserialize: (bytes: Buffer) => request.decode(bytes),
    responseSerialize: serialize(reply),
    responseDeserialize: (bytes: Buffer) => reply.decode(bytes),
  };
}

export const gatewayServiceName = "pushfleet.v1.Gateway";
export const routerServiceName = "pushfleet.v1.Router";

/** The Gateway service of protocol/delivery.proto. */
export const gatewayService = {
  deliver: grpcMethod(gatewayServiceName, "Deliver", v1.DeliverBatch, v1.OutcomeBatch, { request: true, response: true }),
  drain: grpcMethod(gatewayServiceName, "Drain", v1.DrainRequest, v1.DrainReply),
  abortDrain: grpcMethod(gatewayServiceName, "AbortDrain", v1.AbortDrainRequest, v1.DrainReply),
  watchStatus: grpcMethod(gatewayServiceName, "WatchStatus", v1.WatchStatusRequest, v1.GatewayStatus, { response: true }),
  disconnect: grpcMethod(gatewayServiceName, "Disconnect", v1.DisconnectRequest, v1.DisconnectReply),
} satisfies ServiceDefinition;

/** The Router service of protocol/delivery.proto. */
export const routerService = {
  acknowledge: grpcMethod(routerServiceName, "Acknowledge", v1.AcknowledgeRequest, v1.AcknowledgeReply),
  sync: grpcMethod(routerServiceName, "Sync", v1.SyncRequest, v1.SyncReply),
  emit: grpcMethod(routerServiceName, "Emit", v1.EmitRequest, v1.EmitReply),
  publish: grpcMethod(routerServiceName, "Publish", v1.PublishRequest, v1.PublishReply),
} satisfies ServiceDefinition;

/** Who listens here only is reached from this machine alone. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Without TLS gRPC starts on loopback only: for a part's `grpc` section, told with the other faults of its configuration. */
export function grpcFaults({ grpc }: { readonly grpc: { readonly host: string; readonly tls?: TlsFiles | undefined } }): readonly Fault[] {
  if (grpc.tls !== undefined || isLoopback(grpc.host)) return [];
  return [{ path: "grpc.host", value: grpc.host, expected: "a loopback address, or grpc.tls beside it" }];
}

/** Runs `end` once, when a streamed answer is over, however it ends. */
export function whenOver(call: Pick<ServerWritableStream<unknown, unknown>, "on">, end: () => void): void {
  let isOver = false;
  const once = (): void => {
    if (isOver) return;
    isOver = true;
    end();
  };
  call.on("cancelled", once);
  call.on("close", once);
  call.on("error", once);
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
