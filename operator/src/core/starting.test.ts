import { expect, test } from "vitest";
import { fleet, now, pod } from "../../../test/support/observed-fleet.js";
import { plan } from "./index.js";
import type { ObservedPod } from "./types.js";

const target = (...pods: readonly ObservedPod[]) => plan(fleet({ pool: { minReplicas: 2 }, pods }), now).status.pools[0]?.target;
/** Let in by the operator; its kubelet has not said Ready yet. */
const letIn = (slot: number, handshakes = 0) =>
  pod(slot, { ready: false, hasAccepted: true, createdAtMs: now - 1_000, report: { state: "serving", handshakes } });

test("between the operator's word and the kubelet's a new pod counts as room that is coming", () => {
  expect(target(letIn(0), letIn(1))).toBe(2);
});

test("one that had clients and is not ready any more does not", () => {
  expect(target(letIn(0, 1), letIn(1, 1))).toBe(3);
});
