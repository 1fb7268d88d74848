import { type Client, type Server, status } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import { waitFor } from "../../test/peers/wait-for.js";
import type { Readiness } from "./admin-server.js";
import { callUnary } from "./grpc.js";
import { bindGrpcServer, createGrpcClient, createGrpcServer } from "./grpc-transport.js";
import { addHealthService, type HealthReply, healthService } from "./health-service.js";
import { ManualClock } from "./manual-clock.js";

let server: Server;
let client: Client;
let readiness: Readiness = { kind: "ready" };
const clock = new ManualClock();
afterEach(() => {
  client.close();
  server.forceShutdown();
});

async function start(): Promise<void> {
  readiness = { kind: "ready" };
  server = createGrpcServer();
  addHealthService(server, { services: ["pushfleet.v1.Router"], readiness: () => readiness, clock });
  client = createGrpcClient(`127.0.0.1:${await bindGrpcServer(server, "127.0.0.1", 0, undefined)}`, undefined);
}
const check = (service: string) => callUnary(client, healthService.check, { service }, 5_000);

test("Check says whether the process is ready, of it and of each of its services; another one is NOT_FOUND", async () => {
  await start();
  expect(await check("")).toEqual({ status: "serving" });
  expect(await check("pushfleet.v1.Router")).toEqual({ status: "serving" });
  readiness = { kind: "not_ready", reason: "stopping" };
  expect(await check("")).toEqual({ status: "not_serving" });
  await expect(check("pushfleet.v1.Gateway")).rejects.toMatchObject({ code: status.NOT_FOUND });
});

test.each([
  ["", ["serving", "not_serving"]],
  ["pushfleet.v1.Gateway", ["service_unknown"]],
])("Watch of %j says how it is at once, and each change", async (service, expected) => {
  await start();
  const { path, requestSerialize, responseDeserialize } = healthService.watch;
  const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, { service });
  const replies: string[] = [];
  call.on("data", (reply: HealthReply) => replies.push(reply.status));
  call.on("error", () => {}); // cancelled below
  await waitFor(() => replies.length === 1, { what: "the first reply" });
  readiness = { kind: "not_ready", reason: "stopping" };
  clock.advance(1_000);
  await waitFor(() => replies.length === expected.length, { what: "the change" });
  expect(replies).toEqual(expected);
  call.cancel();
});

test("messages are those of grpc.health.v1, byte for byte, and fields that it does not know are passed over", () => {
  const { requestSerialize, requestDeserialize, responseSerialize, responseDeserialize } = healthService.check;
  expect(requestSerialize({ service: "ab" }).toString("hex")).toBe("0a026162");
  expect(requestSerialize({ service: "" }).toString("hex")).toBe("");
  expect(responseSerialize({ status: "not_serving" }).toString("hex")).toBe("0802");
  expect(responseDeserialize(Buffer.from("0801", "hex"))).toEqual({ status: "serving" });
  expect(requestDeserialize(Buffer.from("12017a0a026162", "hex"))).toEqual({ service: "ab" });
});
