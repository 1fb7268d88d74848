import { expect, test } from "vitest";
import { resources } from "../api/resources.js";
import type { ApiResult, KubernetesApi, KubernetesObject } from "../api/types.js";
import { lookAtPlace, yieldTo } from "./foreign-object.js";

const owner = { apiVersion: "pushfleet.dev/v1alpha1", kind: "PushGateway", name: "demo" };
const service = (uid?: string): KubernetesObject => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { namespace: "push", name: "demo", ...(uid === undefined ? {} : { ownerReferences: [{ ...owner, uid }] }) },
});
const unavailable: ApiResult<never> = { kind: "unavailable", message: "timeout" };
const barred = (message: unknown) => ({ kind: "barred", outcome: { kind: "refused", message } });

test.each<[string, ApiResult<KubernetesObject>, object]>([
  ["nothing", { kind: "notFound" }, { kind: "free" }],
  ["the fleet's own", { kind: "ok", object: service("ours") }, { kind: "unseen", object: service("ours") }],
  ["one of nobody", { kind: "ok", object: service() }, barred(expect.stringMatching(/^a Service demo exists/))],
  [
    "one of a fleet of that name before",
    { kind: "ok", object: service("former") },
    barred(expect.stringContaining("(it belongs to the PushGateway demo with uid former): delete it, or rename it")),
  ],
  [
    "one that somebody wrote",
    {
      kind: "ok",
      object: { ...service(), metadata: { ...service().metadata, managedFields: [{ manager: "kubectl" }, { manager: "kubectl" }] } },
    },
    barred(expect.stringContaining("(it has no owner; kubectl wrote it)")),
  ],
  ["what the API server does not say", unavailable, { kind: "barred", outcome: { kind: "not_done", message: "Service demo: timeout" } }],
])("where there is %s", async (_name, found, standing) => {
  const api = { get: async () => found } as unknown as Pick<KubernetesApi, "get">;
  expect(await lookAtPlace(api, resources.services, service("ours"))).toMatchObject(standing);
});

test.each<[string, ApiResult<KubernetesObject>, object, readonly string[]]>([
  ["the fleet's own is shown again", { kind: "ok", object: service("ours") }, { kind: "ensured" }, ["demo"]],
  ["somebody else's is left alone", { kind: "ok", object: service("former") }, { kind: "refused" }, []],
  ["one that is gone already may be made next time", { kind: "notFound" }, { kind: "not_done" }, []],
  ["one that is not known is left alone", unavailable, { kind: "not_done" }, []],
])("of an object whose place is taken: %s", async (_name, found, outcome, shown) => {
  const api = { get: async () => found, patch: async () => found } as unknown as Pick<KubernetesApi, "get" | "patch">;
  const seen: string[] = [];
  const cache = { overlay: ({ metadata }: KubernetesObject) => void seen.push(metadata.name) };
  expect(await yieldTo({ resource: resources.services, cache }, service("ours"), api)).toMatchObject(outcome);
  expect(seen).toEqual(shown);
});
