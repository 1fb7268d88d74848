import { v1 } from "@pushfleet/service";
import { afterEach, beforeEach, expect, test } from "vitest";
import { waitFor } from "../../../test/peers/wait-for.js";
import { ExampleGateway } from "../example-gateway.test-suite.js";

/** The seven metrics of the founding document's table, each worked out as a dashboard would, from what a gateway serves at /metrics. */
let example: ExampleGateway;
beforeEach(async () => {
  example = await ExampleGateway.start({ config: { heartbeat: { intervalMs: 100, timeoutMs: 300 } } });
});
afterEach(async () => await example?.stop());

async function scrape(): Promise<(series: string) => number> {
  const text = await (await fetch(`http://${example.gateway.addresses.admin}/metrics`)).text();
  const values = new Map(text.split("\n").map((line): [string, number] => [line.replace(/ \S+$/, ""), Number(line.split(" ").at(-1))]));
  return (series) => values.get(series) ?? Number.NaN;
}

test("the connections of a server are told", async () => {
  for (const device of ["a", "b", "c"]) await example.connect("usr_42", device);
  expect((await scrape())("pushfleet_gateway_connections")).toBe(3);
});

test("the rate at which connections are established is that of a counter", async () => {
  const accepted = 'pushfleet_gateway_handshakes_total{result="accepted"}';
  const before = (await scrape())(accepted);
  for (const device of ["a", "b"]) await example.connect("usr_42", device);
  expect((await scrape())(accepted) - before).toBe(2);
});

test("the share of heartbeats that failed is that of two counters", async () => {
  await example.connect();
  const silent = example.open(`?token=${example.token()}&device=silent`, { autoPong: false });
  await silent.closed;
  const metric = await scrape();
  expect(metric("pushfleet_gateway_heartbeat_failures_total")).toBe(1);
  const share = metric("pushfleet_gateway_heartbeat_failures_total") / metric("pushfleet_gateway_heartbeats_total");
  expect(share).toBeGreaterThan(0);
  expect(share).toBeLessThan(1);
});

test("how long a delivery took is a histogram, which tells what was faster than 50 ms, 100 ms, 500 ms and 2 s", async () => {
  await example.connect();
  const connection = (await example.entryOf("usr_42", "phone"))?.entry.connection ?? "";
  const targets = [{ connection, user: "usr_42", device: "phone" }];
  const frame = Buffer.from('{"type":"notification","notification_id":"n1","cursor":"c1_1700000000000_000001","data":1}');
  const agesMs = [0, 60, 300, 3000];
  const deliveries = agesMs.map((ageMs, index) => ({ frame, targets, notificationId: `n${index}`, createdAtMs: Date.now() - ageMs }));
  expect(await example.deliveries().send({ deliveries })).toEqual(agesMs.map(() => v1.Outcome.OUTCOME_WRITTEN));
  const metric = await scrape();
  const within = (seconds: string): number => metric(`pushfleet_delivery_seconds_bucket{le="${seconds}"}`);
  expect(metric("pushfleet_delivery_seconds_count")).toBe(4);
  expect(within("0.05")).toBeLessThanOrEqual(1);
  expect(within("0.1")).toBeLessThanOrEqual(2);
  expect(within("0.5")).toBeLessThanOrEqual(3);
  expect(within("+Inf") - within("2")).toBe(1); // the alert of the document
});

test("the share of memory and of file descriptors in use can be worked out, for the whole server", async () => {
  const metric = await scrape();
  for (const [used, limit] of [
    ["memory_bytes", "memory_limit_bytes"],
    ["open_fds", "max_fds"],
  ]) {
    const share = metric(`pushfleet_gateway_${used}`) / metric(`pushfleet_gateway_${limit}`);
    expect([used, share > 0 && share <= 1]).toEqual([used, true]);
  }
});

test("how long clients were away is a histogram of what they say, which tells what was faster than 5 s and 30 s", async () => {
  for (const [device, downMs] of [
    ["a", 1_200],
    ["b", 9_000],
    ["c", 45_000],
  ] as const) {
    await example.connect("usr_42", device, `&down_ms=${downMs}`);
  }
  await waitFor(async () => (await scrape())("pushfleet_gateway_reconnect_seconds_count") === 3, { what: "three reconnects" });
  const metric = await scrape();
  expect(metric('pushfleet_gateway_reconnect_seconds_bucket{le="5"}')).toBe(1);
  expect(metric('pushfleet_gateway_reconnect_seconds_bucket{le="30"}')).toBe(2);
  expect(metric("pushfleet_gateway_reconnect_seconds_sum") / metric("pushfleet_gateway_reconnect_seconds_count")).toBeCloseTo(18.4, 5);
});
