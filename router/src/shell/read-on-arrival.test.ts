import { limits } from "@pushfleet/protocol";
import { v1 } from "@pushfleet/service";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { FakeGateway } from "../fake-gateway.test-support.js";
import { RouterWorld } from "../router-world.test-suite.js";

let world: RouterWorld;
let gateway: FakeGateway;

beforeEach(async () => {
  world = await new RouterWorld().start();
  gateway = await world.addGateway();
  await gateway.connect(world.registry, "u", "phone");
});
afterEach(() => world.stop());

/** Bytes that a JSON parser would not give back. */
const data = '{"n":9007199254740993,"f":1.0}';

async function read(id: string): Promise<void> {
  const acks = [{ user: "u", device: "web", notificationIds: [id], state: v1.AckState.ACK_READ, atMs: 0 }];
  expect(await world.router.link.acknowledge({ acks })).toEqual({ kind: "ok", reply: {} });
}

/** Publishes it, and gives the live frame that follows. */
async function published(id: string): Promise<string> {
  const before = notifications().length;
  const body = `{"user_id":"u","notification_id":"${id}","data":${data}}`;
  expect((await world.settled(world.publishText(body), "the answer")).status).toBe(202);
  return notifications()[before] ?? "nothing was delivered";
}

const notifications = (): readonly string[] => gateway.frames.filter((frame) => frame.startsWith('{"type":"notification"'));

test("a notification that was read before it came is live with read:true, its data as published", async () => {
  await read("n1");
  const frame = await published("n1");
  expect(JSON.parse(frame)).toMatchObject({ notification_id: "n1", read: true });
  expect(frame.endsWith(`,"data":${data}}`)).toBe(true);
});

test("one that nobody read says nothing of it", async () => {
  expect(JSON.parse(await published("n1"))).not.toHaveProperty("read");
});

test.each([
  ["while its first append is fresh, and so is not repeated", 0],
  ["when it is appended anew", limits.appendFreshMs],
])("a redelivery of what was read since says so %s", async (_, laterMs) => {
  await published("n1");
  await read("n1");
  world.clock.advance(laterMs);
  expect(JSON.parse(await published("n1"))).toMatchObject({ notification_id: "n1", read: true });
  expect(JSON.parse(await published("n1"))).toMatchObject({ notification_id: "n1", read: true });
});
