import { limits } from "@pushfleet/protocol";
import { describe, expect, test } from "vitest";
import { exampleFleet } from "../../../../test/support/example-fleet.js";
import type { EventToRecord } from "../api/events.js";
import type { ApiResult } from "../api/types.js";
import type { PushGatewayObject } from "./fleet-caches.js";
import { addFinalizer, drainFinalizer, type FinalizerParts, giveFree, isFinalizerOverdue, releaseFleet } from "./fleet-finalizer.js";

const deletedAt = "2026-01-01T00:00:00Z";
const drain = { reconnectsPerSecond: 10, deadlineSeconds: 100, stragglerGraceSeconds: 20 };

function fleet(metadata: object = {}): PushGatewayObject {
  const { namespace, name, uid, spec } = exampleFleet({ drain });
  const own = { namespace, name, uid, resourceVersion: "7", finalizers: ["somebody/else", drainFinalizer] };
  return { apiVersion: "pushfleet.dev/v1alpha1", kind: "PushGateway", metadata: { ...own, ...metadata }, spec };
}

function open(answer: ApiResult<unknown> = { kind: "ok", object: {} }) {
  const events: EventToRecord[] = [];
  const patches: unknown[] = [];
  const api = {
    patch: async (_resource: unknown, _key: unknown, patch: unknown) => {
      patches.push(patch);
      return answer;
    },
  };
  const parts = {
    ...{ api, caches: { pushGateways: { overlay: () => undefined } } },
    events: { record: (event: EventToRecord) => events.push(event) },
  } as unknown as FinalizerParts;
  return { events, patches, parts };
}

describe("a deleted fleet's finalizer", () => {
  test.each([
    ["not before deadline and grace", deletedAt, 120_000 + limits.finalizerSlackMs - 1, false],
    ["once they are over", deletedAt, 120_000 + limits.finalizerSlackMs, true],
    ["never while nobody deletes it", undefined, Number.MAX_SAFE_INTEGER, false],
  ])("is dropped whatever is left: %s", (_when, deletionTimestamp, afterMs, isOverdue) => {
    const metadata = deletionTimestamp === undefined ? {} : { deletionTimestamp };
    expect(isFinalizerOverdue(fleet(metadata), Date.parse(deletedAt) + afterMs)).toBe(isOverdue);
  });

  test("goes with an event that names what is left, and with nobody else's finalizer", async () => {
    const { events, patches, parts } = open();
    const left = Array.from({ length: limits.podNamesTold + 1 }, (_, index) => `pod-${index}`);
    expect(await releaseFleet(fleet(), left, parts)).toBe(true);
    expect(patches).toEqual([{ metadata: { uid: fleet().metadata.uid, resourceVersion: "7", finalizers: ["somebody/else"] } }]);
    expect(events).toMatchObject([{ type: "Warning", reason: "DrainGivenUp", regarding: { metadata: { name: "demo" } } }]);
    expect(events[0]?.note).toContain(`${left.length} pods are left (${left.slice(0, limits.podNamesTold).join(", ")})`);
  });

  test("goes without a word when all pods are gone", async () => {
    const { events, parts } = open();
    expect(await releaseFleet(fleet(), [], parts)).toBe(true);
    expect(events).toEqual([]);
  });

  test.each<[string, ApiResult<unknown>, string, readonly string[]]>([
    ["is gone with the fleet", { kind: "notFound" }, "there", ["DrainGivenUp"]],
    ["stays for now where somebody else wrote meanwhile, without a word", { kind: "conflict", message: "" }, "later", []],
    [
      "stays for now where it is refused",
      { kind: "refused", status: 403, reason: "Forbidden", message: "" },
      "refused",
      ["ReleaseRefused"],
    ],
  ])("%s", async (_what, answer, released, told) => {
    const { events, parts } = open(answer);
    expect(await giveFree(fleet(), ["pod-0"], parts)).toBe(released);
    expect(events.map(({ reason }) => reason)).toEqual(told);
  });
});

test.each<[string, object, ApiResult<unknown>, object, number]>([
  ["is there already", {}, { kind: "ok", object: {} }, { kind: "there" }, 0],
  ["is written beside those of others", { finalizers: ["somebody/else"] }, { kind: "ok", object: {} }, { kind: "there" }, 1],
  [
    "is refused",
    { finalizers: [] },
    { kind: "refused", status: 403, reason: "Forbidden", message: "no" },
    { kind: "refused", message: "no" },
    1,
  ],
  ["is tried again soon", { finalizers: [] }, { kind: "conflict", message: "" }, { kind: "later" }, 1],
])("a fleet's finalizer %s", async (_what, metadata, answer, outcome, writes) => {
  const { patches, parts } = open(answer);
  expect(await addFinalizer(fleet(metadata), parts)).toEqual(outcome);
  expect(patches).toHaveLength(writes);
});
