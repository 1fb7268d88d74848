import { connect, createServer, type Server, type Socket } from "node:net";
import type { Server as GrpcServer, ServerDuplexStream, ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "vitest";
import { callUnary, gatewayService, routerService, v1 } from "./grpc.js";
import { bindGrpcServer, createGrpcClient, createGrpcServer } from "./grpc-transport.js";

const releases: (() => void)[] = [];
afterEach(() => {
  for (const release of releases.splice(0).reverse()) release();
});

/** Passes TCP on to `port`, counting connections and what clients send. */
async function tap(port: number): Promise<{ readonly port: number; readonly taken: { connections: number; bytes: Buffer[] } }> {
  const taken: { connections: number; bytes: Buffer[] } = { connections: 0, bytes: [] };
  const sockets: Socket[] = [];
  const server: Server = createServer((client) => {
    taken.connections += 1;
    const onward = connect(port, "127.0.0.1");
    sockets.push(client, onward);
    for (const socket of [client, onward]) socket.on("error", () => {}); // the other end has gone
    client.on("data", (bytes: Buffer) => taken.bytes.push(bytes));
    client.pipe(onward).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  releases.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as { port: number }).port, taken };
}

async function startServer(): Promise<number> {
  const server: GrpcServer = createGrpcServer();
  server.addService(routerService, {
    acknowledge: () => {},
    sync: (call: ServerUnaryCall<v1.SyncRequest, v1.SyncReply>, done: sendUnaryData<v1.SyncReply>) =>
      done(null, new v1.SyncReply({ frame: Buffer.from(call.request.user) })),
    emit: () => {},
    publish: () => {},
  });
  server.addService(gatewayService, {
    deliver: (call: ServerDuplexStream<v1.DeliverBatch, v1.OutcomeBatch>) => {
      call.on("data", (batch: v1.DeliverBatch) => call.write(new v1.OutcomeBatch({ batchId: batch.batchId })));
      call.on("end", () => call.end());
    },
    drain: () => {},
    abortDrain: () => {},
    watchStatus: () => {},
    disconnect: () => {},
  });
  releases.push(() => server.forceShutdown());
  return await bindGrpcServer(server, "127.0.0.1", 0, undefined);
}

describe("gRPC between a router and a gateway", () => {
  test("is many streams and calls over one TCP connection, each with its own answers", async () => {
    const { port, taken } = await tap(await startServer());
    const client = createGrpcClient(`127.0.0.1:${port}`, undefined);
    releases.push(() => client.close());
    const { path, requestSerialize, responseDeserialize } = gatewayService.deliver;
    const batchIds = Array.from({ length: 10 }, async (_, index) => {
      const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
      stream.on("error", () => {}); // the server has stopped
      stream.write(new v1.DeliverBatch({ batchId: index + 1 }));
      return await new Promise<number>((resolve) => stream.once("data", (batch: v1.OutcomeBatch) => resolve(batch.batchId)));
    });
    const users = Array.from({ length: 50 }, async (_, index) => {
      const reply = await callUnary(client, routerService.sync, new v1.SyncRequest({ user: `usr_${index}` }), 5000);
      return Buffer.from(reply.frame ?? []).toString();
    });
    expect(await Promise.all(batchIds)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(await Promise.all(users)).toEqual(Array.from({ length: 50 }, (_, index) => `usr_${index}`));
    expect(taken.connections).toBe(1);
  });

  test("is binary: a batch costs a few bytes more than the frame it carries, which stands in it as it is", async () => {
    const { port, taken } = await tap(await startServer());
    const client = createGrpcClient(`127.0.0.1:${port}`, undefined);
    releases.push(() => client.close());
    const frame = Buffer.from('{"type":"notification","notification_id":"n1","cursor":"c1_1700000000000_000001","data":{"é":"\\u00e9"}}');
    const targets = [{ user: "usr_42", device: "phone", connection: "k" }];
    const batch = new v1.DeliverBatch({ batchId: 1, deliveries: [{ frame, targets }] });
    const encoded = gatewayService.deliver.requestSerialize(batch);
    const texts = ["usr_42", "phone", "k"].reduce((sum, text) => sum + text.length, 0);
    expect(encoded.length - frame.length - texts).toBeLessThan(20);
    const { path, requestSerialize, responseDeserialize } = gatewayService.deliver;
    const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    stream.on("error", () => {}); // the server has stopped
    stream.write(batch);
    await new Promise((resolve) => stream.once("data", resolve));
    expect(Buffer.concat(taken.bytes).includes(encoded)).toBe(true);
  });
});
