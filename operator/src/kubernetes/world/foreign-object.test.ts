import { expect, test } from "vitest";
import { resources } from "../api/resources.js";
import type { ApiResult, KubernetesApi, KubernetesObject } from "../api/types.js";
import { lookAtPlace } from "./foreign-object.js";

const owner = { apiVersion: "pushfleet.dev/v1alpha1", kind: "PushGateway", name: "demo" };
const service = (uid?: string): KubernetesObject => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { namespace: "push", name: "demo", ...(uid === undefined ? {} : { ownerReferences: [{ ...owner, uid }] }) },
});
const unavailable: ApiResult<never> = { kind: "unavailable", message: "timeout" };

test.each<[string, ApiResult<KubernetesObject>, object]>([
  ["nothing", { kind: "notFound" }, { kind: "free" }],
  ["the fleet's own", { kind: "ok", object: service("ours") }, { kind: "unseen", object: service("ours") }],
  ["one of nobody", { kind: "ok", object: service() }, { kind: "foreign", message: expect.stringMatching(/^a Service demo exists/) }],
  [
    "one of a fleet of that name before",
    { kind: "ok", object: service("former") },
    { kind: "foreign", message: expect.stringContaining("(it belongs to the PushGateway demo with uid former): delete it, or rename it") },
  ],
  [
    "one that somebody wrote",
    {
      kind: "ok",
      object: { ...service(), metadata: { ...service().metadata, managedFields: [{ manager: "kubectl" }, { manager: "kubectl" }] } },
    },
    { kind: "foreign", message: expect.stringContaining("(it has no owner; kubectl wrote it)") },
  ],
  ["what the API server does not say", unavailable, { kind: "unknown", result: unavailable }],
])("where there is %s", async (_name, found, standing) => {
  const api = { get: async () => found } as unknown as Pick<KubernetesApi, "get">;
  expect(await lookAtPlace(api, resources.services, service("ours"))).toMatchObject(standing);
});
