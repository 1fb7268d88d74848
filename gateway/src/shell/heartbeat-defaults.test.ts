import { ManualClock } from "@pushfleet/service";
import { afterEach, expect, test } from "vitest";
import { waitFor } from "../../../test/peers/wait-for.js";
import { ExampleGateway } from "../example-gateway.test-suite.js";

/** A gateway whose configuration says nothing of heartbeats. Time is the test's. */
let example: ExampleGateway;
afterEach(async () => await example?.stop());

const heartbeats = async (): Promise<number> => Number(await example.metric("pushfleet_gateway_heartbeats_total"));

test("by default each connection is sent a WebSocket PING every 30 s, which its library answers with no line of ours", async () => {
  example = await ExampleGateway.start({ clock: new ManualClock() });
  const client = await example.connect();
  for (let minutes = 1; minutes <= 3; minutes += 1) {
    await example.advance(60_000, 1000);
    await waitFor(() => client.pings === 2 * minutes, { what: `${2 * minutes} pings` });
  }
  expect(await heartbeats()).toBe(6);
  expect(client.socket.readyState).toBe(1); // three minutes: without its pongs it were closed
});

test("by default a connection without a pong for 90 s is dead: closed, its entry and its state gone, within 30 s more", async () => {
  example = await ExampleGateway.start({ clock: new ManualClock() });
  const silent = example.open(`?token=${example.token({ exp: example.clock.nowMs() / 1000 + 300 })}&device=phone`, { autoPong: false });
  await silent.frame("hello");
  await example.advance(89_000, 1000);
  expect(silent.socket.readyState).toBe(1);
  expect(await example.entryOf("usr_42", "phone")).toBeDefined();
  await example.advance(31_000, 1000);
  await silent.closed;
  expect(await example.metric("pushfleet_gateway_heartbeat_failures_total")).toBe("1");
  expect(example.gateway.status().connections).toBe(0);
  await waitFor(async () => (await example.entryOf("usr_42", "phone")) === undefined, { what: "the entry to go" });
  const beats = await heartbeats();
  await example.advance(60_000, 1000);
  expect(await heartbeats()).toBe(beats);
});
