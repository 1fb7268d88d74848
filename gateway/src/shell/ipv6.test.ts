import { v1 } from "@pushfleet/service";
import { afterEach, expect, test } from "vitest";
import { ExampleGateway } from "../example-gateway.test-suite.js";

let example: ExampleGateway;
afterEach(async () => await example?.stop());

const leaseAddress = async (): Promise<string | undefined> => {
  await example.connect();
  return (await example.entryOf("usr_42", "phone"))?.lease.address;
};

test.each(["::1", "[::1]"])("on %s a gateway takes clients, answers for itself, and is delivered to where its lease says", async (host) => {
  const listen = { host, port: 0 };
  example = await ExampleGateway.start({ config: { listen, admin: listen, grpc: listen } });
  const client = await example.connect();
  const found = await example.entryOf("usr_42", "phone");
  expect(found?.lease.address).toMatch(/^\[::1\]:\d+$/);
  expect(found?.lease.address).toBe(example.gateway.addresses.grpc);
  const targets = [{ connection: found?.entry.connection ?? "", user: "usr_42", device: "phone" }];
  const frame = Buffer.from('{"type":"notification","notification_id":"n1","cursor":"c1_1700000000000_000001","data":1}');
  const deliveries = [{ frame, targets, notificationId: "n1", createdAtMs: 0 }];
  expect(await example.deliveries().send({ deliveries })).toEqual([v1.Outcome.OUTCOME_WRITTEN]);
  await client.frame("notification");
  expect((await fetch(`http://${example.gateway.addresses.admin}/readyz`)).status).toBe(200);
});

test.each([
  ["fd00::7", "[fd00::7]:"],
  ["[fd00::7]", "[fd00::7]:"],
  ["10.0.0.7", "10.0.0.7:"],
  ["gw-1.gateways", "gw-1.gateways:"],
])("a pod whose address is %s is dialled at %s and its port", async (advertiseHost, expected) => {
  example = await ExampleGateway.start({ config: { grpc: { host: "127.0.0.1", port: 0, advertiseHost } } });
  const address = await leaseAddress();
  expect(address?.replace(/\d+$/, "")).toBe(expected);
  expect(address?.slice(expected.length)).toMatch(/^\d+$/);
});
