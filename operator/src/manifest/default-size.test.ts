import { expect, test } from "vitest";
import { fleet, now, pod } from "../../../test/support/observed-fleet.js";
import { plan } from "../core/index.js";
import { parseManifest } from "./parse-manifest.js";
import { toFleetSpec } from "./to-fleet-spec.js";

/** The fleet of a manifest that says nothing: what its planner does with three gateways of `connections` each. */
function planned(connections: number): readonly string[] {
  const parsed = parseManifest("apiVersion: pushfleet.dev/v1alpha1\nkind: PushGateway\nmetadata: { name: demo }\nspec: {}");
  if (parsed.kind !== "manifest") throw new Error(JSON.stringify(parsed.faults));
  const spec = toFleetSpec(parsed.manifest);
  const revision = spec.pools[0]?.revision ?? "";
  const pods = [0, 1, 2].map((slot) => pod(slot, { revision, connections }));
  return plan({ ...fleet({ pods }), spec }, now).actions.flatMap((action) => (action.kind === "createPod" ? [action.pod] : []));
}

test("a fleet that says nothing of its size grows before a server would have to hold more than 500,000 connections", () => {
  // The room under 500,000 of all must be what one server has, for the loss of it: 3 x (500,000 - n) >= n.
  expect(planned(375_000)).toHaveLength(0);
  expect(planned(375_001)).toHaveLength(1);
  expect(planned(499_999).length).toBeGreaterThanOrEqual(1);
});
