import type { Cursor, NotificationId, UserId } from "@pushfleet/protocol";
import { createMemoryRegistry, type Located } from "@pushfleet/registry";
import { systemClock } from "@pushfleet/service";
import { afterEach, beforeEach, expect, test } from "vitest";
import { waitFor } from "../../../test/peers/wait-for.js";
import { FakeGateway } from "../fake-gateway.test-support.js";
import { type Origin, UserDelivery } from "./user-delivery.js";
import { WorkerStream } from "./worker-stream.js";

/** A gateway that leaves its connections at 200 ms, and cuts what runs on them 400 ms later. */
let gateway: FakeGateway;
let stream: WorkerStream;
let devices: readonly Located[];
const user = "u" as UserId;

beforeEach(async () => {
  const registry = createMemoryRegistry({ clock: systemClock });
  gateway = await new FakeGateway({ ageMs: 200, graceMs: 400 }).start(registry);
  await gateway.connect(registry, user, "d");
  const [found] = await registry.lookUp([user]);
  devices = found?.kind === "located" ? found.devices : [];
  const lease = { gateway: "gw", address: gateway.address };
  stream = new WorkerStream({ lease, tls: undefined, clock: systemClock, onHop: () => {}, streamAgeMs: 100 });
});
afterEach(() => {
  stream.stop();
  gateway.stop();
});

const origin: Origin = { source: "publish", abandoned: false, retrying: () => {}, finished: () => {} };
const notification = { data: "1", createdAtMs: undefined, priority: "normal", collapseKey: undefined } as never;

/** Sends one; resolves with how many of its targets it was written to. */
function send(index: number): Promise<number> {
  const content = { notification, notificationId: `n${index}` as NotificationId, publishedAtMs: 0 };
  const delivery = new UserDelivery(origin, user, content);
  delivery.appended(content, `c1_${String(index).padStart(13, "0")}_000000` as Cursor, undefined, false);
  return new Promise((resolve) => {
    delivery.state.located(devices);
    delivery.expect(1, () => resolve(delivery.state.written));
    stream.send(delivery, devices);
  });
}

test("connections of a gateway come and go at their age, and no batch is broken by that, nor one overtaken", async () => {
  const results: Promise<number>[] = [];
  gateway.holdBatch = (go) => void setTimeout(go, 5); // there is always something under way
  await waitFor(
    () => {
      for (let more = 0; more < 10; more++) results.push(send(results.length));
      return gateway.peers.size >= 8;
    },
    { what: "eight connections" },
  );
  const written = await Promise.all(results);
  expect(written.filter((count) => count !== 1)).toEqual([]);
  expect(gateway.deliveries.map((delivery) => delivery.notificationId)).toEqual(written.map((_, index) => `n${index}`));
  expect(stream.silentSinceMs).toBeUndefined();
});

test("a stream that nothing is sent on is given up too, which is no break, and opened when there is something", async () => {
  expect(await send(0)).toBe(1);
  await waitFor(() => gateway.ended === 1, { what: "the stream to be given up" });
  expect(stream.silentSinceMs).toBeUndefined();
  expect([await send(1), gateway.streams]).toEqual([1, 2]);
});
