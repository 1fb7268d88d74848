import { expect, test } from "vitest";
import { firstGrant } from "../../../../test/support/example-fleet.js";
import { formatGrant, type PodGrant } from "../../core/index.js";
import { wantedGate } from "./mark-pods.js";
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
