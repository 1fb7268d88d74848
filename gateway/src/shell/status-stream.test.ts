import type { Client, Server } from "@grpc/grpc-js";
import { limits } from "@pushfleet/protocol";
import { bindGrpcServer, createGrpcClient, createGrpcServer, gatewayService, ManualClock, v1 } from "@pushfleet/service";
import { afterEach, beforeEach, expect, test } from "vitest";
import { waitFor } from "../../../test/peers/wait-for.js";
import { addGatewayService } from "./gateway-service.js";

let server: Server;
let client: Client;
const clock = new ManualClock();
const unused = (): never => {
  throw new Error("not of this test");
};

beforeEach(async () => {
  server = createGrpcServer();
  const handlers = { deliver: unused, drain: unused, abortDrain: unused, disconnect: unused, status: () => ({ connections: 7 }) };
  addGatewayService(server, handlers, clock);
  client = createGrpcClient(`127.0.0.1:${await bindGrpcServer(server, "127.0.0.1", 0, undefined)}`, undefined);
});
afterEach(() => {
  client.close();
  server.forceShutdown();
});

/** A watch, and how it ended: the code of its status. */
function watch() {
  const { path, requestSerialize, responseDeserialize } = gatewayService.watchStatus;
  const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, new v1.WatchStatusRequest());
  const seen = { statuses: 0, endedWith: undefined as number | undefined };
  call.on("data", () => {
    seen.statuses++;
  });
  call.on("error", () => {});
  call.on("status", ({ code }) => {
    seen.endedWith = code;
  });
  return seen;
}

test("a watch of the status is ended in order before its connection is cut, and a watcher that comes again is told at once", async () => {
  const first = watch();
  await waitFor(() => first.statuses === 1, { what: "a status" });
  clock.advance(limits.grpcStreamAgeMs - 1);
  const before = first.statuses;
  await waitFor(() => first.statuses > 1, { what: "statuses that follow" });
  expect([before, first.endedWith]).toEqual([1, undefined]);
  clock.advance(1);
  await waitFor(() => first.endedWith !== undefined, { what: "the end" });
  expect(first.endedWith).toBe(0);
  const second = watch();
  await waitFor(() => second.statuses === 1, { what: "a status" });
  expect(second.endedWith).toBeUndefined();
});

test("watches that have ended make room for others", async () => {
  const all = Array.from({ length: limits.statusWatchersMax }, watch);
  await waitFor(() => all.every(({ statuses }) => statuses === 1), { what: "a status for each" });
  clock.advance(limits.grpcStreamAgeMs + limits.statusPeriodMs);
  await waitFor(() => all.every(({ endedWith }) => endedWith === 0), { what: "all to end" });
  const another = watch();
  await waitFor(() => another.statuses === 1, { what: "a status" });
});
