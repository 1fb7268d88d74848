import type { Server, ServerDuplexStream, ServerUnaryCall, ServerWritableStream, sendUnaryData } from "@grpc/grpc-js";
import { status as grpcStatus } from "@grpc/grpc-js";
import { limits } from "@pushfleet/protocol";
import { type Clock, gatewayService, v1, whenOver } from "@pushfleet/service";

/** What the Gateway service of protocol/delivery.proto asks of a worker. */
export interface GatewayServiceHandlers {
  /** `batch`: the bytes of a `DeliverBatch`; throws for what is none. */
  readonly deliver: (batch: Buffer, done: (outcomes: v1.IOutcomeBatch) => void) => void;
  readonly drain: (grant: v1.IGrant, reason: string) => Promise<v1.IDrainReply>;
  readonly abortDrain: (epoch: number) => Promise<v1.IDrainReply>;
  readonly disconnect: (id: string, user: string, device: string, fence: number) => boolean;
  readonly status: () => v1.IGatewayStatus;
}

/** Adds the service to `server`. */
export function addGatewayService(server: Server, handlers: GatewayServiceHandlers, clock: Clock): void {
  let watchers = 0;
  server.addService(rawDeliver, {
    deliver: (call: ServerDuplexStream<Buffer, v1.OutcomeBatch>) => deliver(call, handlers),
    drain: (call: ServerUnaryCall<v1.DrainRequest, v1.DrainReply>, done: sendUnaryData<v1.DrainReply>) => {
      void handlers.drain(call.request.grant ?? {}, call.request.reason).then((reply) => done(null, new v1.DrainReply(reply)));
    },
    abortDrain: (call: ServerUnaryCall<v1.AbortDrainRequest, v1.DrainReply>, done: sendUnaryData<v1.DrainReply>) => {
      void handlers.abortDrain(call.request.epoch).then((reply) => done(null, new v1.DrainReply(reply)));
    },
    disconnect: (call: ServerUnaryCall<v1.DisconnectRequest, v1.DisconnectReply>, done: sendUnaryData<v1.DisconnectReply>) => {
      const { connection, user, device, fence } = call.request;
      done(null, new v1.DisconnectReply({ found: handlers.disconnect(connection, user, device, fence) }));
    },
    watchStatus: (call: ServerWritableStream<v1.WatchStatusRequest, v1.GatewayStatus>) => {
      if (watchers >= limits.statusWatchersMax) {
        call.emit("error", { code: grpcStatus.RESOURCE_EXHAUSTED, details: `${limits.statusWatchersMax} watch already` });
        return;
      }
      watchers += 1;
      watchStatus(call, handlers.status, clock, () => {
        watchers -= 1;
      });
    },
  });
}

/** The batch stays bytes: `readDeliverBatch` reads it where it stands. */
const rawDeliver = { ...gatewayService, deliver: { ...gatewayService.deliver, requestDeserialize: (bytes: Buffer) => bytes } };

/** Outcomes go back in the order of the batches. A router that does not read them is not read from either. */
function deliver(call: ServerDuplexStream<Buffer, v1.OutcomeBatch>, handlers: GatewayServiceHandlers): void {
  const answer = (outcomes: v1.IOutcomeBatch): void => {
    if (call.destroyed || call.write(new v1.OutcomeBatch(outcomes))) return;
    call.pause();
    call.once("drain", () => call.resume());
  };
  call.on("data", (batch: Buffer) => {
    try {
      handlers.deliver(batch, answer);
    } catch (cause) {
      call.emit("error", { code: grpcStatus.INVALID_ARGUMENT, details: `not a DeliverBatch: ${String(cause)}` });
    }
  });
  call.on("end", () => call.end());
  call.on("error", () => {
    // The router went away: batches that it has no outcomes for, it sends again.
  });
}

/** At once, then at a change of 1 % or more or of the state, and every 5 s. Ended in order before the connection is cut for its age: who watches
 *  comes again, by another connection. */
function watchStatus(
  call: ServerWritableStream<v1.WatchStatusRequest, v1.GatewayStatus>,
  read: () => v1.IGatewayStatus,
  clock: Clock,
  onEnd: () => void,
): void {
  let sent: v1.IGatewayStatus | undefined;
  let sentMs = 0;
  const look = (): void => {
    const now = read();
    if (sent !== undefined && clock.monotonicMs() - sentMs < limits.statusPeriodMs && !hasChanged(sent, now)) return;
    sent = now;
    sentMs = clock.monotonicMs();
    call.write(new v1.GatewayStatus(now));
  };
  const cancelLooks = clock.every(limits.statusCheckMs, look);
  const cancelEnd = clock.after(limits.grpcStreamAgeMs, () => {
    cancelLooks();
    call.end();
  });
  whenOver(call, () => {
    cancelLooks();
    cancelEnd();
    onEnd();
  });
  look();
}

function hasChanged(before: v1.IGatewayStatus, now: v1.IGatewayStatus): boolean {
  if (before.state !== now.state || before.ready !== now.ready || before.epoch !== now.epoch || before.incarnation !== now.incarnation) {
    return true;
  }
  return (["connections", "remaining", "handshakes", "reconnectsSent", "resumeFailures"] as const).some((name) => {
    const old = before[name] ?? 0;
    const change = Math.abs((now[name] ?? 0) - old);
    return change > 0 && change >= old * limits.statusChangeShare;
  });
}
