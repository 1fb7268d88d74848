import { expect, test } from "vitest";
import { firstGrant } from "../../../../test/support/example-fleet.js";
import { type FleetStatus, formatGrant, type PodGrant } from "../../core/index.js";
import type { KubernetesApi } from "../api/types.js";
import { countedLabel, markPods, wantedGate } from "./mark-pods.js";
import type { Pod } from "./observe-pod.js";

function pod(purpose: PodGrant["purpose"] | undefined): Pod {
  const annotations = purpose === undefined ? {} : { "pushfleet.dev/grant": formatGrant({ ...firstGrant, purpose }) };
  const labels = { "pushfleet.dev/pool": "default", "pushfleet.dev/slot": "0", "pushfleet.dev/revision": "1a2b3c4d" };
  return { apiVersion: "v1", kind: "Pod", metadata: { name: "demo-default-0-1a2b3c4d", uid: "u1", labels, annotations } };
}

test.each([
  ["serve", "serving", "True"],
  ["serve", "starting", "False"],
  ["serve", "cordoned", "False"],
  ["serve", undefined, undefined],
  ["cordon", "serving", "False"],
  ["cordon", undefined, "False"],
  ["drain", "draining", "False"],
  [undefined, "serving", "True"],
] as const)("a pod that is to %s and says it is %s has the gate at %s", (purpose, state, gate) => {
  expect(wantedGate(pod(purpose), state)).toBe(gate);
});

test("a pod made after the plan keeps the label it was made with, one that the plan knows gets what it says", async () => {
  const made = pod("serve");
  const young = { ...made, metadata: { ...made.metadata, labels: { ...made.metadata.labels, [countedLabel]: "true" } } };
  const written: object[] = [];
  const patch = async (_: unknown, __: unknown, body: object) => {
    written.push(body);
    return { kind: "ok", object: young };
  };
  const parts = { api: { patch } as unknown as KubernetesApi, cache: { overlay: () => undefined }, streamOf: () => undefined, nowMs: 0 };
  const planned = (pods: readonly object[]) => ({ pods }) as unknown as FleetStatus;
  expect(await markPods([young], planned([]), parts)).toBe(true);
  expect(written).toEqual([]);
  await markPods([young], planned([{ name: young.metadata.name, counted: false }]), parts);
  expect(written).toMatchObject([{ metadata: { labels: { [countedLabel]: null } } }]);
});

test("a pod that is being deleted loses the label when it does not count any more, and its gate is left alone", async () => {
  const made = pod("drain");
  const labels = { ...made.metadata.labels, [countedLabel]: "true" };
  const going = { ...made, metadata: { ...made.metadata, labels, deletionTimestamp: "2026-11-24T12:00:00Z" } };
  const written: object[] = [];
  const patch = async (_: unknown, __: unknown, body: object) => {
    written.push(body);
    return { kind: "ok", object: going };
  };
  const parts = { api: { patch } as unknown as KubernetesApi, cache: { overlay: () => undefined }, streamOf: () => undefined, nowMs: 0 };
  const planned = (counted: boolean) => ({ pods: [{ name: going.metadata.name, counted }] }) as unknown as FleetStatus;
  await markPods([going], planned(true), parts);
  expect(written).toEqual([]);
  expect(await markPods([going], planned(false), parts)).toBe(true);
  expect(written).toEqual([{ metadata: { uid: "u1", labels: { [countedLabel]: null } } }]);
});
