import type { ServerDuplexStream, ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { callUnary, gatewayService, isLoopback, routerService, v1 } from "./grpc.js";
import { bindGrpcServer, createGrpcClient, createGrpcServer } from "./grpc-transport.js";

test("a unary call and a stream carry their messages, bytes as they are", async () => {
  const server = createGrpcServer();
  server.addService(routerService, {
    acknowledge: (_: ServerUnaryCall<v1.AcknowledgeRequest, v1.AcknowledgeReply>, done: sendUnaryData<v1.AcknowledgeReply>) =>
      done(null, new v1.AcknowledgeReply()),
    sync: (call: ServerUnaryCall<v1.SyncRequest, v1.SyncReply>, done: sendUnaryData<v1.SyncReply>) =>
      done(null, new v1.SyncReply({ frame: Buffer.from(call.request.user), hasMore: true })),
    emit: () => {},
    publish: () => {},
  });
  server.addService(gatewayService, {
    deliver: (call: ServerDuplexStream<v1.DeliverBatch, v1.OutcomeBatch>) => {
      call.on("data", (batch: v1.DeliverBatch) => {
        const outcomes = batch.deliveries.map((delivery) =>
          delivery.frame?.length === 3 ? v1.Outcome.OUTCOME_WRITTEN : v1.Outcome.OUTCOME_STALE,
        );
        call.write(new v1.OutcomeBatch({ batchId: batch.batchId, outcomes }));
      });
      call.on("end", () => call.end());
    },
    drain: () => {},
    abortDrain: () => {},
    watchStatus: () => {},
    disconnect: () => {},
  });
  const port = await bindGrpcServer(server, "127.0.0.1", 0, undefined);
  const client = createGrpcClient(`127.0.0.1:${port}`, undefined);
  const reply = await callUnary(client, routerService.sync, new v1.SyncRequest({ user: "usr_42" }), 5000);
  expect([Buffer.from(reply.frame ?? []).toString(), reply.hasMore]).toEqual(["usr_42", true]);

  const { path, requestSerialize, responseDeserialize } = gatewayService.deliver;
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  stream.write(new v1.DeliverBatch({ batchId: 7, deliveries: [{ frame: Buffer.from("abc") }, { frame: Buffer.from("") }] }));
  const answer = await new Promise<v1.OutcomeBatch>((resolve) => stream.on("data", resolve));
  expect([answer.batchId, answer.outcomes]).toEqual([7, [v1.Outcome.OUTCOME_WRITTEN, v1.Outcome.OUTCOME_STALE]]);
  const ended = new Promise((resolve) => stream.on("end", resolve));
  stream.end();
  await ended;
  client.close();
  server.forceShutdown();
});

test("without TLS gRPC listens on loopback only", async () => {
  await expect(bindGrpcServer(createGrpcServer(), "0.0.0.0", 0, undefined)).rejects.toThrow(/loopback only/);
  expect(["127.0.0.1", "127.9.9.9", "localhost", "::1"].every(isLoopback)).toBe(true);
  expect(["0.0.0.0", "10.0.0.1", "127.0.0.1.example.com", ""].some(isLoopback)).toBe(false);
});
