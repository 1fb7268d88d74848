import { type Clock, createLogger, ManualClock } from "@pushfleet/service";
import { expect, test } from "vitest";
import type { ApiResult, KubernetesObject, ObjectKey } from "./api/types.js";
import { releaseAll } from "./release-fleets.js";
import { drainFinalizer } from "./world/fleet-finalizer.js";

const deployment = (deletionTimestamp?: string): ApiResult<KubernetesObject> => {
  const metadata = { name: "pushfleet-operator", ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }) };
  return { kind: "ok", object: { apiVersion: "apps/v1", kind: "Deployment", metadata } };
};

/** Waits for nothing. */
const clock: Clock = Object.assign(new ManualClock(), {
  after: (_delayMs: number, task: () => void) => {
    const soon = setImmediate(task);
    return () => clearImmediate(soon);
  },
});

test.each<[string, ApiResult<KubernetesObject>, readonly string[]]>([
  ["once its Deployment is gone", { kind: "notFound" }, ["ours/one"]],
  ["once its Deployment is going", deployment("2026-01-01T00:00:00Z"), ["ours/one"]],
  ["not while its Deployment is there", deployment(), []],
  ["not where that is not known", { kind: "unavailable", message: "503" }, []],
])("an operator that stops gives its own fleets free, and nobody else's: %s", async (_when, found, released) => {
  const fleet = (namespace: string, name: string, finalizers: readonly string[]) => ({ metadata: { namespace, name, finalizers } });
  const fleets = [
    fleet("ours", "one", [drainFinalizer]),
    fleet("ours", "without", ["somebody/else"]),
    fleet("of-another-operator", "two", [drainFinalizer]),
  ];
  const patched: string[] = [];
  const api = {
    get: async () => found,
    patch: async (_resource: unknown, { namespace, name }: ObjectKey) => {
      patched.push(`${namespace}/${name}`);
      return { kind: "ok", object: {} };
    },
  };
  const parts = {
    ...{ api, caches: { pushGateways: { list: () => fleets, overlay: () => undefined } } },
    events: { record: () => undefined },
    logger: createLogger("test", "silent"),
    clock,
    isWatched: (namespace: string) => namespace === "ours",
  };
  await releaseAll({ namespace: "pushfleet-system", name: "pushfleet-operator" }, parts as unknown as Parameters<typeof releaseAll>[1]);
  expect(patched).toEqual(released);
});

test.each<[string, readonly ApiResult<KubernetesObject>[], readonly ApiResult<object>[]]>([
  ["was edited a moment ago", [deployment("2026-01-01T00:00:00Z")], [{ kind: "conflict", message: "modified" }]],
  ["cannot be written at first", [deployment("2026-01-01T00:00:00Z")], [{ kind: "unavailable", message: "429" }]],
  ["is of an operator whose Deployment cannot be read at first", [{ kind: "unavailable", message: "503" }, { kind: "notFound" }], []],
])("a fleet that %s is given free all the same: nobody would do it later", async (_fleet, reads, refusals) => {
  const gets = [...reads];
  const answers = [...refusals];
  let finalizers: readonly string[] = [drainFinalizer];
  const api = {
    get: async () => (gets.length > 1 ? gets.shift() : gets[0]),
    patch: async (_resource: unknown, _key: ObjectKey, patch: { readonly metadata: { readonly finalizers: readonly string[] } }) => {
      const refused = answers.shift();
      if (refused !== undefined) return refused;
      finalizers = patch.metadata.finalizers;
      return { kind: "ok", object: {} };
    },
  };
  const list = () => [{ metadata: { namespace: "ours", name: "one", finalizers } }];
  const parts = {
    ...{ api, clock, caches: { pushGateways: { list, overlay: () => undefined } }, events: { record: () => undefined } },
    ...{ logger: createLogger("test", "silent"), isWatched: () => true },
  };
  await releaseAll({ namespace: "pushfleet-system", name: "pushfleet-operator" }, parts as unknown as Parameters<typeof releaseAll>[1]);
  expect(finalizers).toEqual([]);
});
