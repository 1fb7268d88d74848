import type { Client, Server, ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js";
import { limits } from "@pushfleet/protocol";
import { afterEach, beforeEach, expect, test } from "vitest";
import { waitFor } from "../../test/peers/wait-for.js";
import { ExampleAuthority } from "../../test/support/certificates.js";
import { callUnary, routerService, v1 } from "./grpc.js";
import { bindGrpcServer, createGrpcClient, createGrpcServer } from "./grpc-transport.js";

let server: Server;
let client: Client;
/** The connections that calls came by, each once. */
const connections = new Set<string>();

beforeEach(async () => {
  const authority = await ExampleAuthority.create("fleet");
  const issue = (role: string) => authority.issue({ uris: [`pushfleet://shop/demo/${role}`] });
  connections.clear();
  server = createGrpcServer({ ageMs: 200, graceMs: 5_000 });
  server.addService(routerService, {
    acknowledge: () => {},
    emit: () => {},
    publish: () => {},
    sync: (call: ServerUnaryCall<v1.SyncRequest, v1.SyncReply>, done: sendUnaryData<v1.SyncReply>) => {
      connections.add(call.getPeer());
      setTimeout(() => done(null, new v1.SyncReply()), 20);
    },
  });
  const port = await bindGrpcServer(server, "127.0.0.1", 0, await issue("router/demo-router"));
  client = createGrpcClient(`127.0.0.1:${port}`, await issue("gateway/demo-default-0"), { expect: { role: "router" } });
});
afterEach(() => {
  client.close();
  server.forceShutdown();
});

const sync = () => callUnary(client, routerService.sync, new v1.SyncRequest({ user: "u" }), 5_000);

test("a connection is left at its age, and no call is lost by that, however many are under way", async () => {
  let answered = 0;
  const failures: unknown[] = [];
  const call = async (): Promise<void> => {
    while (connections.size < 5 && failures.length === 0) {
      await sync().then(
        () => answered++,
        (cause: unknown) => failures.push(cause),
      );
    }
  };
  await Promise.all(Array.from({ length: 20 }, call));
  expect(failures).toEqual([]);
  expect(answered).toBeGreaterThan(100);
});

test("one that nobody uses is closed too, and opened again by the next call", async () => {
  await sync();
  const open = () => new Promise<number>((resolve) => resolve(connectionsOf(server)));
  await waitFor(async () => (await open()) === 0, { what: "the connection to be closed" });
  await sync();
  expect(connections.size).toBe(2);
});

/** As grpc-js counts them for itself. */
function connectionsOf(of: Server): number {
  return (of as unknown as { readonly sessions: ReadonlyMap<unknown, unknown> }).sessions.size;
}

test("in time, what runs on it is at its end before it is cut: a stream's age is well within the grace", () => {
  expect(limits.grpcStreamAgeMs + limits.outcomeTimeoutMs).toBeLessThan(limits.grpcConnectionAgeGraceMs);
  expect(1.1 * limits.grpcConnectionAgeMs + limits.grpcConnectionAgeGraceMs).toBeLessThanOrEqual(3_600_000);
});
