import { limits } from "@pushfleet/protocol";
import { describe, expect, test } from "vitest";
import { unwellEvent, unwellResult } from "./api-result.js";
import { resourcePath } from "./resource-path.js";
import { apiVersionOf, resources } from "./resources.js";

const nowMs = Date.parse("2026-01-01T00:00:00Z");

/** As an API server writes it. */
const statusBody = (code: number, reason: string, details: object = {}) => ({
  kind: "Status",
  apiVersion: "v1",
  metadata: {},
  status: "Failure",
  message: `it is ${reason}`,
  reason,
  details,
  code,
});

describe("an answer that is not well", () => {
  test.each([
    ["a create of what is there", 409, "AlreadyExists", "create", { kind: "exists" }],
    ["an apply that lost a race to create", 409, "AlreadyExists", "other", { kind: "conflict", message: "it is AlreadyExists" }],
    ["a precondition that does not hold", 409, "Conflict", "other", { kind: "conflict", message: "it is Conflict" }],
    ["a create that conflicts with a quota's book-keeping", 409, "Conflict", "create", { kind: "conflict", message: "it is Conflict" }],
    ["an object that is not there", 404, "NotFound", "other", { kind: "notFound", message: "it is NotFound" }],
    ["a resourceVersion that is too old", 410, "Expired", "other", { kind: "expired", message: "it is Expired" }],
    ["RBAC", 403, "Forbidden", "other", { kind: "refused", status: 403, reason: "Forbidden", message: "it is Forbidden" }],
    [
      "a token that is not accepted",
      401,
      "Unauthorized",
      "other",
      { kind: "refused", status: 401, reason: "Unauthorized", message: "it is Unauthorized" },
    ],
    ["an invalid object", 422, "Invalid", "create", { kind: "refused", status: 422, reason: "Invalid", message: "it is Invalid" }],
    ["a bad request", 400, "BadRequest", "other", { kind: "refused", status: 400, reason: "BadRequest", message: "it is BadRequest" }],
    ["a body that is too large", 413, "RequestEntityTooLarge", "other", { kind: "refused", status: 413, reason: "RequestEntityTooLarge" }],
    ["a webhook that fails", 500, "InternalError", "create", { kind: "unavailable", message: "HTTP 500: it is InternalError" }],
    [
      "an API server that starts",
      503,
      "ServiceUnavailable",
      "other",
      { kind: "unavailable", message: "HTTP 503: it is ServiceUnavailable" },
    ],
    ["an etcd that is slow", 504, "Timeout", "other", { kind: "unavailable", message: "HTTP 504: it is Timeout" }],
    ["too many requests", 429, "TooManyRequests", "other", { kind: "unavailable", message: "HTTP 429: it is TooManyRequests" }],
  ] as const)("%s", (_, status, reason, verb, expected) => {
    expect(unwellResult({ status, retryAfter: undefined, body: statusBody(status, reason) }, verb, nowMs)).toMatchObject(expected);
  });

  test("a patch that names another uid than the object has is a conflict, though the API server calls it invalid", () => {
    const body = statusBody(422, "Invalid", { causes: [{ reason: "FieldValueInvalid", field: "metadata.uid", message: "immutable" }] });
    expect(unwellResult({ status: 422, retryAfter: undefined, body }, "other", nowMs)).toMatchObject({ kind: "conflict" });
  });

  test.each([
    ["a page of a proxy", 502, undefined, { kind: "unavailable", message: "HTTP 502: HTTP 502" }],
    ["a path nobody serves", 404, undefined, { kind: "notFound", message: "HTTP 404" }],
    ["a redirect", 302, undefined, { kind: "refused", status: 302, reason: "HTTP302", message: "HTTP 302" }],
    ["a body of other types", 400, { message: 5, reason: null, details: "x", code: "y" }, { kind: "refused", reason: "HTTP400" }],
    ["a list as a body", 503, [1], { kind: "unavailable" }],
  ])("%s, without a Status, is told by its number", (_, status, body, expected) => {
    expect(unwellResult({ status, retryAfter: undefined, body }, "other", nowMs)).toMatchObject(expected);
  });

  test.each([
    ["7", {}, 7_000],
    [" 7 ", {}, 7_000],
    ["0", {}, 0],
    ["Thu, 01 Jan 2026 00:00:05 GMT", {}, 5_000],
    ["Wed, 31 Dec 2025 00:00:05 GMT", {}, 0],
    ["soon", {}, undefined],
    ["-5", {}, undefined],
    [undefined, { retryAfterSeconds: 3 }, 3_000],
    ["1", { retryAfterSeconds: 3 }, 1_000],
    ["999999999", {}, limits.kubernetesRetryAfterMaxMs],
  ])("Retry-After %j with details %j is a wait of %j ms", (retryAfter, details, retryAfterMs) => {
    const result = unwellResult({ status: 429, retryAfter, body: statusBody(429, "TooManyRequests", details) }, "other", nowMs);
    expect(result).toEqual({ kind: "unavailable", message: expect.any(String), ...(retryAfterMs === undefined ? {} : { retryAfterMs }) });
  });

  test("a message is cut to its bound", () => {
    const body = { ...statusBody(403, "Forbidden"), message: "x".repeat(100_000) };
    const result = unwellResult({ status: 403, retryAfter: undefined, body }, "other", nowMs);
    expect(result).toMatchObject({ kind: "refused", message: "x".repeat(limits.kubernetesMessageMax) });
  });

  test.each([
    [{ code: 410, reason: "Expired" }, "expired"],
    [{ reason: "Gone" }, "expired"],
    [{ code: 410 }, "expired"],
    [{ code: 500, reason: "InternalError" }, "unavailable"],
    [{ code: 429 }, "unavailable"],
    [{ code: 403 }, "refused"],
    [{}, "unavailable"],
  ])("an ERROR event %j is %s", (object, kind) => {
    expect(unwellEvent(object, nowMs)).toMatchObject({ kind });
  });
});

describe("the path of", () => {
  test.each([
    [resources.pods, { namespace: "a", name: "b", subresource: "status" }, "/api/v1/namespaces/a/pods/b/status"],
    [resources.pods, {}, "/api/v1/pods"],
    [resources.pods, { namespace: "" }, "/api/v1/pods"],
    [resources.nodes, { namespace: "", name: "n" }, "/api/v1/nodes/n"],
    [resources.nodes, { namespace: "a", name: "n" }, "/api/v1/nodes/n"],
    [resources.deployments, { namespace: "a" }, "/apis/apps/v1/namespaces/a/deployments"],
    [resources.pods, { namespace: "a/../b", name: "c?d" }, "/api/v1/namespaces/a%2F..%2Fb/pods/c%3Fd"],
    [
      resources.pods,
      { query: { labelSelector: "a=b,c in (d)", limit: 5, watch: undefined } },
      "/api/v1/pods?labelSelector=a%3Db%2Cc+in+%28d%29&limit=5",
    ],
  ])("%j %j", (resource, parts, path) => {
    expect(resourcePath(resource, parts)).toBe(path);
  });

  test("an apiVersion has the group but for the core's", () => {
    expect([apiVersionOf(resources.pods), apiVersionOf(resources.pushGateways)]).toEqual(["v1", "pushfleet.dev/v1alpha1"]);
  });
});
