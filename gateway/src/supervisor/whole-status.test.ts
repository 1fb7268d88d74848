import { v1 } from "@pushfleet/service";
import { expect, test } from "vitest";
import type { WorkerReport } from "./messages.js";
import { wholeStatus } from "./whole-status.js";

const totals = [
  "connections",
  "effectiveMaxConnections",
  "handshakes",
  "resumed",
  "resumeAttempts",
  "resumeFailures",
  "reconnectsSent",
  "drainCloses",
  "deliveries",
  "remaining",
] as const;

const report = (first: number): WorkerReport => ({
  status: {
    gateway: "gw-1",
    incarnation: `worker${first}`,
    state: v1.ServingState.STATE_SERVING,
    bindingLimit: "maxConnections",
    epoch: first,
    ...Object.fromEntries(totals.map((name, index) => [name, first + index])),
  },
  readiness: { kind: "ready" },
  rssBytes: 1,
});

test("the totals of a gateway are the sums of its workers', each of them", () => {
  const whole = wholeStatus("gw-1", [report(1), report(100)], 5);
  expect(Object.fromEntries(totals.map((name) => [name, whole[name]]))).toEqual(
    Object.fromEntries(totals.map((name, index) => [name, 101 + 2 * index])),
  );
  expect(whole).toMatchObject({ gateway: "gw-1", state: v1.ServingState.STATE_SERVING, ready: true, epoch: 100, atMs: 5 });
});

test("whatever a status can hold is told of the whole gateway too", () => {
  const names = Object.keys(v1.GatewayStatus.prototype).filter((name) => name !== "toJSON");
  expect(Object.keys(wholeStatus("gw-1", [report(1)], 5)).sort()).toEqual(names.sort());
});
