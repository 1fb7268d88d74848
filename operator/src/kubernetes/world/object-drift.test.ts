import fc from "fast-check";
import { expect, test } from "vitest";
import type { KubernetesObject } from "../api/types.js";
import { atPathsOf, keptOf, mergePatch, whatOthersAdded } from "./object-drift.js";

test.each([
  [
    "a default of the server is no change",
    { spec: { port: 80 } },
    { spec: { port: 80, type: "ClusterIP" }, status: {} },
    { spec: { port: 80 } },
  ],
  ["a field of ours that is gone is", { spec: { port: 80 } }, { spec: {} }, { spec: { port: null } }],
  [
    "and so is one more in a list",
    { ports: [{ port: 80 }] },
    { ports: [{ port: 80, x: 1 }, { port: 81 }] },
    { ports: [{ port: 80 }, { port: 81 }] },
  ],
  ["a list that became something else", { ports: [1] }, { ports: "none" }, { ports: null }],
  ["a label of somebody else's", { labels: { a: "1" } }, { labels: { a: "1", b: "2" } }, { labels: { a: "1" } }],
  ["an object that became a text", { a: { b: 1 } }, { a: "x" }, { a: { b: null } }],
])("of a live object %s", (_name, wanted, live, seen) => {
  expect(atPathsOf(wanted, live)).toEqual(seen);
});

test("an object has itself at its own paths", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const json: unknown = JSON.parse(JSON.stringify(value));
      expect(atPathsOf(json, json)).toEqual(json);
    }),
  );
});

const metadata = { name: "demo", namespace: "push" };
const service = { apiVersion: "v1", kind: "Service", metadata, spec: { selector: { app: "a" } } };
const deployment = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata,
  spec: { template: { metadata: { labels: { app: "a" } }, spec: { x: 1 } } },
};
const changed = (object: object, spec: object) => ({ ...object, spec }) as unknown as KubernetesObject;

test.each([
  ["a label in a selector", service, { selector: { app: "a", b: "c" } }, { spec: { selector: { b: null } } }],
  [
    "a field of a pod",
    deployment,
    { template: { metadata: { labels: { app: "a" } }, spec: { x: 1, hostNetwork: true } } },
    { spec: { template: { spec: { hostNetwork: null } } } },
  ],
  [
    "the annotation of a rollout restart",
    deployment,
    { template: { metadata: { labels: { app: "a" }, annotations: { at: "now" } }, spec: { x: 1 } } },
    undefined,
  ],
  ["the address that a load balancer was given", service, { selector: { app: "a" }, loadBalancerIP: "192.0.2.1" }, undefined],
])("%s that was added is taken back, or left", (_what, wanted, spec, change) => {
  const [before, live] = [wanted as KubernetesObject, changed(wanted, spec)];
  expect(mergePatch(keptOf(before, live), keptOf(before, before))).toEqual(change);
});

const spec = {
  ports: [{ port: 80 }],
  selector: { app: "a" },
  template: { metadata: { labels: {} }, spec: { containers: [{ name: "c" }] } },
};
const leaf = {};

test.each<[string, string, object, object | undefined]>([
  ["nothing where nobody else wrote", "pushfleet-operator", { "f:more": leaf }, undefined],
  ["a field", "kubectl-edit", { "f:externalIPs": leaf }, { externalIPs: null }],
  [
    "a field deep in a template",
    "kubectl-patch",
    { "f:template": { "f:spec": { "f:hostNetwork": leaf } } },
    { template: { spec: { hostNetwork: null } } },
  ],
  ["an object whole", "kubectl", { "f:strategy": { ".": leaf, "f:type": leaf } }, { strategy: null }],
  ["what else is in an object of ours", "kubectl", { "f:selector": { "f:app": leaf, "f:by": leaf } }, { selector: { by: null } }],
  ["nothing where it wrote the same as we", "kubectl", { "f:selector": { ".": leaf, "f:app": leaf } }, undefined],
  [
    "what it wrote in a list, by the whole list",
    "kubectl",
    { "f:ports": { 'k:{"port":80,"protocol":"TCP"}': { "f:nodePort": leaf } } },
    { ports: [{ port: 80 }] },
  ],
  ["not a list that it wrote just as we", "kubectl", { "f:ports": leaf }, undefined],
  [
    "not a rollout restart",
    "kubectl-rollout",
    { "f:template": { "f:metadata": { "f:annotations": { "f:restartedAt": leaf } } } },
    undefined,
  ],
  ["not the address of a load balancer", "cloud", { "f:loadBalancerIP": leaf }, undefined],
  ["nothing of one who is nobody", "before-first-apply", { "f:clusterIP": leaf }, undefined],
])("of what others have added to a spec is taken away %s", (_what, manager, owned, taken) => {
  const status = { manager: "kube-controller-manager", subresource: "status", fieldsV1: { "f:spec": { "f:replicas": leaf } } };
  const managedFields = [status, { manager, operation: "Update", fieldsV1: { "f:metadata": { "f:labels": leaf }, "f:spec": owned } }];
  const wanted = { apiVersion: "v1", kind: "Service", metadata, spec } as KubernetesObject;
  const live = { ...wanted, metadata: { ...metadata, managedFields } };
  expect(whatOthersAdded(wanted, live)).toEqual(taken === undefined ? undefined : { spec: taken });
});

/** RFC 7396, as its pseudo-code. */
function applyPatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const fields = new Map(Object.entries(typeof target === "object" && target !== null && !Array.isArray(target) ? target : {}));
  for (const [name, value] of Object.entries(patch))
    value === null ? fields.delete(name) : fields.set(name, applyPatch(fields.get(name), value));
  return Object.fromEntries(fields);
}

test("a merge patch makes one object of another, and there is none between equals", () => {
  const leaf = fc.oneof(fc.string(), fc.integer(), fc.array(fc.integer()));
  const object = fc.letrec((tie) => ({
    any: fc.oneof({ maxDepth: 3 }, leaf, fc.dictionary(fc.constantFrom("a", "b", "c"), tie("any"), { noNullPrototype: true })),
  })).any;
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom("a", "b", "c"), object, { noNullPrototype: true }),
      fc.dictionary(fc.constantFrom("a", "b", "c"), object, { noNullPrototype: true }),
      (from, to) => {
        const patch = mergePatch(from, to);
        expect(patch === undefined ? from : applyPatch(from, patch)).toEqual(to);
        expect(mergePatch(to, structuredClone(to))).toBeUndefined();
      },
    ),
  );
});
