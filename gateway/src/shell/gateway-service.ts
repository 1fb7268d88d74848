import type { Server, ServerDuplexStream, ServerUnaryCall, ServerWritableStream, sendUnaryData } from "@grpc/grpc-js";
import { limits, type Priority, parseCursor } from "@pushfleet/protocol";
import { type Clock, gatewayService, v1 } from "@pushfleet/service";
import { connectionNumber } from "./connection.js";
import type { Metrics } from "./metrics.js";
import type { Worker } from "./worker.js";

export interface GatewayServiceOptions {
  readonly worker: Worker;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly status: () => v1.IGatewayStatus;
  readonly drain: (grant: v1.IGrant, reason: string) => v1.IDrainReply;
  readonly abortDrain: (epoch: number) => v1.IDrainReply;
}

/** Registers the Gateway service of protocol/delivery.proto. */
export function addGatewayService(server: Server, options: GatewayServiceOptions): void {
  server.addService(gatewayService, {
    deliver: (call: ServerDuplexStream<v1.DeliverBatch, v1.OutcomeBatch>) => {
      call.on("error", () => {}); // the router went away: it sends again what was not answered
      call.on("data", (batch: v1.DeliverBatch) => {
        call.write(new v1.OutcomeBatch({ batchId: batch.batchId, outcomes: deliverBatch(batch, options) }));
      });
      call.on("end", () => call.end());
    },
    drain: (call: ServerUnaryCall<v1.DrainRequest, v1.DrainReply>, done: sendUnaryData<v1.DrainReply>) =>
      done(null, new v1.DrainReply(options.drain(call.request.grant ?? {}, call.request.reason))),
    abortDrain: (call: ServerUnaryCall<v1.AbortDrainRequest, v1.DrainReply>, done: sendUnaryData<v1.DrainReply>) =>
      done(null, new v1.DrainReply(options.abortDrain(call.request.epoch))),
    watchStatus: (call: ServerWritableStream<v1.WatchStatusRequest, v1.GatewayStatus>) => watchStatus(call, options),
    disconnect: (call: ServerUnaryCall<v1.DisconnectRequest, v1.DisconnectReply>, done: sendUnaryData<v1.DisconnectReply>) => {
      const { connection, user, device } = call.request;
      const found = options.worker.find(connectionNumber(connection), user, device);
      if (found !== undefined) options.worker.supersede(found);
      done(null, new v1.DisconnectReply({ found: found !== undefined }));
    },
  });
}

const lanes: readonly Priority[] = ["normal", "high", "low"];

/** The hot path: finds each connection and gives its socket the bytes as they came. Outcomes in the order of the targets. */
function deliverBatch(batch: v1.DeliverBatch, options: GatewayServiceOptions): v1.Outcome[] {
  const { worker, metrics } = options;
  const nowMs = options.clock.nowMs();
  const outcomes: v1.Outcome[] = [];
  for (const delivery of batch.deliveries) {
    const isNotification = delivery.kind !== v1.FrameKind.FRAME_MARK_READ;
    const sending = {
      payload: delivery.frame ?? new Uint8Array(),
      lane: lanes[delivery.lane ?? 0] ?? "normal",
      cursor: isNotification ? parseCursor(delivery.cursor) : undefined,
      expiresAtMs: delivery.expiresAtMs ?? 0,
      collapseKey: delivery.collapseKey ?? "",
    };
    for (const target of delivery.targets ?? []) {
      const connection = worker.find(connectionNumber(target.connection ?? ""), target.user ?? "", target.device ?? "");
      if (connection === undefined || !connection.isOpen) {
        outcomes.push(v1.Outcome.OUTCOME_STALE); // one before its hello finds it in the sync that follows
        continue;
      }
      const sent = worker.sender.send(connection, sending);
      outcomes.push(sent === "written" ? v1.Outcome.OUTCOME_WRITTEN : v1.Outcome.OUTCOME_OVERFLOW);
      metrics.deliveries++;
      if (isNotification && sent === "written") metrics.delivery.observe(Math.max(0, nowMs - (delivery.createdAtMs ?? nowMs)) / 1000);
    }
  }
  return outcomes;
}

/** At once, then at a change of 1 % or more, and every 5 s. */
function watchStatus(call: ServerWritableStream<v1.WatchStatusRequest, v1.GatewayStatus>, { clock, status }: GatewayServiceOptions): void {
  let last = status();
  let sentMs = clock.monotonicMs();
  call.write(new v1.GatewayStatus(last));
  const cancel = clock.every(limits.statusCheckMs, () => {
    const now = status();
    const change = Math.abs((now.connections ?? 0) - (last.connections ?? 0));
    const moved = change > 0 && change >= (last.connections ?? 0) * limits.statusChangeShare;
    if (!moved && now.state === last.state && now.ready === last.ready && clock.monotonicMs() - sentMs < limits.statusPeriodMs) return;
    last = now;
    sentMs = clock.monotonicMs();
    call.write(new v1.GatewayStatus(now));
  });
  call.on("error", cancel);
  call.on("cancelled", () => {
    cancel();
    call.end();
  });
}
