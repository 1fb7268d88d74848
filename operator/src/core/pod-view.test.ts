import { expect, test } from "vitest";
import { drainingPod, fleet, now, pendingPod, pod } from "../../../test/support/observed-fleet.js";
import { plan } from "./index.js";
import type { ObservedPod } from "./types.js";

const unready = { ready: false, createdAtMs: now, report: { state: "starting", handshakes: 0 } } as const;
const held = { grant: { purpose: "cordon", reason: "rollout" }, report: { state: "cordoned" }, ready: false } as const;

test.each<[string, string, ObservedPod]>([
  ["Pending", "whose process has not started", pendingPod(0)],
  ["Warming", "whose process starts", pod(0, unready)],
  ["Serving", "that is ready", pod(0)],
  ["Serving", "that was ready and is not, but was asked nothing", pod(0, { ...unready, hasAccepted: true })],
  ["Cordoned", "that takes no new clients", pod(0, { ...held, connections: 5 })],
  ["Cordoned", "whose drain is paused", drainingPod(0, { rate: 0, connections: 5 })],
  ["Draining", "that moves its clients", drainingPod(0, { rate: 5, connections: 5 })],
  ["Draining", "that says drained and has clients", drainingPod(0, { rate: 5, connections: 1, report: { state: "drained" } })],
  ["Drained", "that has none left", drainingPod(0, { rate: 5, report: { state: "drained", remaining: 0 } })],
  ["Draining", "that is drained but does not say so", drainingPod(0, { rate: 5, report: "none" })],
  ["Terminating", "that was deleted", pod(0, { terminating: true, connections: 5 })],
  ["Terminating", "that stops by itself", pod(0, { report: { state: "stopping" }, connections: 5 })],
  ["Terminating", "that ended", pod(0, { phase: "gone", ready: false, report: "none" })],
  ["Serving", "whose drain was taken back", pod(0, { connections: 5, grant: { heldPerSecond: 5 }, report: { state: "draining" } })],
])("is %s: a pod %s", (state, _, given) => {
  expect(plan(fleet({ pods: [given] }), now).status.pods[0]?.state).toBe(state);
});
