import { expect, test } from "vitest";
import { exampleFleet, exampleOperator } from "../../../../test/support/example-fleet.js";
import { buildControllerRevision, type Fleet, type OperatorFacts } from "../objects/index.js";
import { FleetRevisionsMemory, fleetRevisions } from "./fleet-revisions.js";
import type { Pod } from "./observe-pod.js";

const newer: OperatorFacts = { ...exampleOperator, images: { ...exampleOperator.images, gateway: "example/gateway@sha256:9" } };

/** What is stored after a first look at `fleet`. */
function storedBy(fleet: Fleet, operator = exampleOperator) {
  const { inForce } = fleetRevisions(fleet, operator, { stored: [], pods: [], isBlocked: false });
  return inForce.map((choice) => buildControllerRevision(fleet, choice.inForce));
}

function podOf(pool: string, revision: string): Pod {
  const labels = { "pushfleet.dev/pool": pool, "pushfleet.dev/revision": revision };
  return { apiVersion: "v1", kind: "Pod", metadata: { name: `demo-${pool}-0-${revision}`, labels } };
}

const fleet = exampleFleet();
const edited = exampleFleet({ gateway: { auth: { hs256SecretRef: { name: "jwt", key: "key" } }, heartbeat: { intervalSeconds: 20 } } });
const revisionOf = (one: Fleet) =>
  fleetRevisions(one, exampleOperator, { stored: [], pods: [], isBlocked: false }).spec.pools[0]?.revision ?? "";

test("a new operator goes on with the template that is stored, and says that it would make another", () => {
  const revisions = fleetRevisions(fleet, newer, { stored: storedBy(fleet), pods: [], isBlocked: false });
  expect(revisions.spec.pools[0]?.revision).toBe(revisionOf(fleet));
  expect(revisions.inForce.every((choice) => !choice.isNew)).toBe(true);
  expect(revisions.templateOutdated).toBe(true);
});

test("a spec that cannot be followed rolls nothing: pods that die are made again as they were", () => {
  const pods = [podOf("default", revisionOf(fleet))];
  const revisions = fleetRevisions(edited, exampleOperator, { stored: storedBy(fleet), pods, isBlocked: true });
  expect(revisionOf(edited)).not.toBe(revisionOf(fleet));
  expect(revisions.spec.pools[0]?.revision).toBe(revisionOf(fleet));
  expect(revisions.heldPools.size).toBe(0);
});

test("a pool without pods gets none from a spec that cannot be followed", () => {
  const revisions = fleetRevisions(edited, exampleOperator, { stored: [], pods: [], isBlocked: true });
  expect([...revisions.heldPools]).toEqual(["default"]);
});

test("what a pod is still of is kept, what nobody is of any more is not", () => {
  const stored = storedBy(fleet);
  const old = revisionOf(fleet);
  const kept = (pods: readonly Pod[]) =>
    fleetRevisions(edited, exampleOperator, { stored, pods, isBlocked: false })
      .kept.filter((one) => one.pool === "default")
      .map((one) => one.revision);
  expect(kept([podOf("default", old)])).toContain(old);
  expect(kept([])).toEqual([revisionOf(edited)]);
});

test("revisions are chosen again exactly when the spec, what is stored, or what pods are of has changed", () => {
  const memory = new FleetRevisionsMemory(exampleOperator);
  const [stored, pods] = [storedBy(fleet), [podOf("default", revisionOf(fleet))]];
  const numbered = stored.map((one) => ({ ...one, metadata: { ...one.metadata, uid: one.metadata.name, resourceVersion: "1" } }));
  const seen = { stored: numbered, pods, isBlocked: false };
  const first = memory.choose(fleet, seen);
  expect(memory.choose(fleet, { ...seen, pods: [...pods, ...pods] })).toBe(first);
  const changes: readonly (readonly [Fleet, typeof seen])[] = [
    [{ ...fleet, generation: fleet.generation + 1 }, seen],
    [{ ...fleet, uid: "another" }, seen],
    [fleet, { ...seen, isBlocked: true }],
    [fleet, { ...seen, pods: [] }],
    [fleet, { ...seen, stored: [] }],
    [fleet, { ...seen, stored: numbered.map((one) => ({ ...one, metadata: { ...one.metadata, resourceVersion: "2" } })) }],
  ];
  for (const [of, changed] of changes) {
    const before = memory.choose(fleet, seen);
    const after = memory.choose(of, changed);
    expect(after).not.toBe(before);
    expect(after).toEqual(fleetRevisions(of, exampleOperator, changed));
  }
});

test("what a pod is of is kept, also when somebody took its labels", () => {
  const old = revisionOf(fleet);
  const pod: Pod = { apiVersion: "v1", kind: "Pod", metadata: { name: `${fleet.name}-default-0-${old}`, labels: {} } };
  const { kept } = fleetRevisions(edited, exampleOperator, { stored: storedBy(fleet), pods: [pod], isBlocked: false });
  expect(kept.filter((one) => one.pool === "default").map((one) => one.revision)).toContain(old);
});
