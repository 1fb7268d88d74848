import { createLogger } from "@pushfleet/service";
import { expect, test } from "vitest";
import type { ApiResult, KubernetesObject, ObjectKey } from "./api/types.js";
import { releaseAll } from "./release-fleets.js";
import { drainFinalizer } from "./world/fleet-finalizer.js";

const deployment = (deletionTimestamp?: string): ApiResult<KubernetesObject> => {
  const metadata = { name: "pushfleet-operator", ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }) };
  return { kind: "ok", object: { apiVersion: "apps/v1", kind: "Deployment", metadata } };
};

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
    isWatched: (namespace: string) => namespace === "ours",
  };
  await releaseAll({ namespace: "pushfleet-system", name: "pushfleet-operator" }, parts as unknown as Parameters<typeof releaseAll>[1]);
  expect(patched).toEqual(released);
});
