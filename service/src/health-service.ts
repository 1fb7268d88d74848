import type { Server, ServerUnaryCall, ServerWritableStream, sendUnaryData } from "@grpc/grpc-js";
import { status as grpcStatus } from "@grpc/grpc-js";
import { limits } from "@pushfleet/protocol";
import protobuf from "protobufjs/minimal.js";
import type { Readiness } from "./admin-server.js";
import type { Clock } from "./clock.js";
import { type Codec, grpcMethod, whenOver } from "./grpc.js";

/** `HealthCheckRequest` of grpc.health.v1. "": the whole process. */
export interface HealthRequest {
  readonly service: string;
}

export const healthStatuses = ["unknown", "serving", "not_serving", "service_unknown"] as const;
/** `ServingStatus` of grpc.health.v1, in the order of its numbers. */
export type HealthStatus = (typeof healthStatuses)[number];

export interface HealthReply {
  readonly status: HealthStatus;
}

const { Reader, Writer } = protobuf;

/** Field 1 of a message that has no other, whatever else it holds. */
function readFieldOne<Value>(bytes: Uint8Array, otherwise: Value, read: (reader: protobuf.Reader) => Value): Value {
  const reader = Reader.create(bytes);
  let value = otherwise;
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag >>> 3 === 1) value = read(reader);
    else reader.skipType(tag & 7);
  }
  return value;
}

const requestCodec: Codec<HealthRequest> = {
  encode: ({ service }) => (service === "" ? Writer.create() : Writer.create().uint32(0x0a).string(service)),
  decode: (bytes) => ({ service: readFieldOne(bytes, "", (reader) => reader.string()) }),
};

const replyCodec: Codec<HealthReply> = {
  encode: ({ status }) => Writer.create().uint32(0x08).int32(healthStatuses.indexOf(status)),
  decode: (bytes) => ({ status: healthStatuses[readFieldOne(bytes, 0, (reader) => reader.int32())] ?? "unknown" }),
};

/** grpc.health.v1.Health (https://github.com/grpc/grpc/blob/master/doc/health-checking.md). */
export const healthService = {
  check: grpcMethod("grpc.health.v1.Health", "Check", requestCodec, replyCodec),
  watch: grpcMethod("grpc.health.v1.Health", "Watch", requestCodec, replyCodec, { response: true }),
};

export interface HealthOptions {
  /** Full names of the services of this server: all are as ready as the process. */
  readonly services: readonly string[];
  readonly readiness: () => Readiness;
  readonly clock: Pick<Clock, "every">;
}

/** Adds the health service. `Check` of a service that is not there is NOT_FOUND, a `Watch` of it is told so and stays, as the protocol says. */
export function addHealthService(server: Server, options: HealthOptions): void {
  let watchers = 0;
  const statusOf = (service: string): HealthStatus => {
    if (service !== "" && !options.services.includes(service)) return "service_unknown";
    return options.readiness().kind === "ready" ? "serving" : "not_serving";
  };
  server.addService(healthService, {
    check: ({ request }: ServerUnaryCall<HealthRequest, HealthReply>, done: sendUnaryData<HealthReply>) => {
      const status = statusOf(request.service);
      if (status === "service_unknown") done({ code: grpcStatus.NOT_FOUND, details: "there is no such service here" });
      else done(null, { status });
    },
    watch: (call: ServerWritableStream<HealthRequest, HealthReply>) => {
      if (watchers >= limits.statusWatchersMax) {
        call.emit("error", { code: grpcStatus.RESOURCE_EXHAUSTED, details: `${limits.statusWatchersMax} watch already` });
        return;
      }
      watchers += 1;
      let sent: HealthStatus | undefined;
      const look = (): void => {
        const status = statusOf(call.request.service);
        if (status === sent) return;
        sent = status;
        call.write({ status });
      };
      const cancel = options.clock.every(limits.statusCheckMs, look);
      whenOver(call, () => {
        watchers -= 1;
        cancel();
      });
      look();
    },
  });
}
