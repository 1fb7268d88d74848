import { expect, test } from "vitest";
import { readMachine } from "./machine.js";
import { Metrics } from "./metrics.js";

const metrics = () => new Metrics({ connections: () => 7, ...readMachine() });
const lines = async (of: Metrics): Promise<readonly string[]> => (await of.registry.metrics()).split("\n");

test("every metric is there from the start, counters at zero", async () => {
  const text = await lines(metrics());
  for (const line of [
    "pushfleet_gateway_connections 7",
    'pushfleet_gateway_handshakes_total{result="accepted"} 0',
    "pushfleet_gateway_heartbeats_total 0",
    "pushfleet_gateway_heartbeat_failures_total 0",
    "pushfleet_gateway_reconnect_seconds_count 0",
    'pushfleet_gateway_closes_total{code="1001"} 0',
    'pushfleet_gateway_closes_total{code="4410"} 0',
    'pushfleet_delivery_seconds_bucket{le="+Inf"} 0',
    "pushfleet_delivery_seconds_count 0",
    "pushfleet_receipt_seconds_count 0",
  ]) {
    expect(text).toContain(line);
  }
  for (const name of ["memory_bytes", "memory_limit_bytes", "open_fds", "max_fds"]) {
    expect(Number(text.find((line) => line.startsWith(`pushfleet_gateway_${name} `))?.split(" ")[1])).toBeGreaterThan(0);
  }
});

test("a code that a client made up is counted as other", async () => {
  const of = metrics();
  of.close(4999, "");
  of.close(1000, "");
  of.close(1006, "Received too big message");
  const text = await lines(of);
  expect(text).toContain('pushfleet_gateway_closes_total{code="other"} 1');
  expect(text).toContain('pushfleet_gateway_closes_total{code="1000"} 1');
  expect(text).toContain('pushfleet_gateway_cuts_total{reason="frame_too_big"} 1');
});

test("a time falls into every bucket that is not below it", async () => {
  const of = metrics();
  for (const seconds of [0.0005, 0.001, 0.2, 1000]) of.delivery.observe(seconds);
  const text = await lines(of);
  expect(text).toContain('pushfleet_delivery_seconds_bucket{le="0.001"} 2');
  expect(text).toContain('pushfleet_delivery_seconds_bucket{le="0.25"} 3');
  expect(text).toContain('pushfleet_delivery_seconds_bucket{le="60"} 3');
  expect(text).toContain('pushfleet_delivery_seconds_bucket{le="+Inf"} 4');
  expect(text).toContain("pushfleet_delivery_seconds_sum 1000.2015");
  expect(of.delivery.count).toBe(4);
});
