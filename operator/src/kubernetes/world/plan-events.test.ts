import { expect, test } from "vitest";
import { firstGrant } from "../../../../test/support/example-fleet.js";
import type { PushGatewayObject } from "./fleet-caches.js";
import type { StatusCondition } from "./fleet-conditions.js";
import { actionEvents, conditionEvents } from "./plan-events.js";

const well = degraded("False", "Healthy");

function degraded(status: "True" | "False", reason: string): StatusCondition {
  return { type: "Degraded", status, reason, message: `because of ${reason}` };
}

test.each([
  ["what begins to be wrong", well, degraded("True", "SecretMissing"), ["Warning SecretMissing"]],
  ["another thing that is wrong", degraded("True", "PodsFail"), degraded("True", "SecretMissing"), ["Warning SecretMissing"]],
  ["that nothing is wrong any more", degraded("True", "PodsFail"), well, ["Normal Healthy"]],
  ["nothing while it goes on", degraded("True", "PodsFail"), degraded("True", "PodsFail"), []],
  ["nothing at a fleet's start", undefined, well, []],
  ["a problem at a fleet's start", undefined, degraded("True", "SecretMissing"), ["Warning SecretMissing"]],
  ["nothing of a refused write, which is an event by itself", well, degraded("True", "WriteRefused"), []],
])("events tell %s", (_what, before, now, told) => {
  const status = before === undefined ? undefined : { conditions: [before] };
  const object = { apiVersion: "v", kind: "PushGateway", metadata: { name: "demo" }, status } as unknown as PushGatewayObject;
  expect(conditionEvents(object, [now]).map(({ type, reason }) => `${type} ${reason}`)).toEqual(told);
});

test("events tell who refused: the API server a write, or a gateway what it was told", () => {
  const reference = { pod: "a", uid: "a", version: "1", why: "so" };
  const refusals = [
    { action: { kind: "writeGrant", ...reference, grant: firstGrant }, message: "no" },
    { action: { kind: "cordon", ...reference, grant: firstGrant }, message: "its gateway says: no" },
  ] as const;
  const object = { apiVersion: "v", kind: "PushGateway", metadata: { name: "demo" } } as PushGatewayObject;
  expect(actionEvents(object, { done: [], refusals })).toMatchObject([
    { type: "Warning", reason: "WriteRefused", action: "Write", note: "a: no" },
    { type: "Warning", reason: "GatewayRefused", action: "Cordon", note: "a: its gateway says: no" },
  ]);
});

test("what was done to many pods for one reason is one event that names the first of them", () => {
  const object = { apiVersion: "v", kind: "PushGateway", metadata: { name: "demo" } } as PushGatewayObject;
  const create = (pod: string, why: string) =>
    ({ kind: "createPod", pod, pool: "p", slot: 0, revision: "r", grant: firstGrant, why }) as const;
  const seven = Array.from({ length: 7 }, (_, slot) => create(`demo-${slot}`, "7 wanted"));
  const cordon = { kind: "cordon", pod: "demo-8", uid: "8", version: "1", grant: firstGrant, why: "7 wanted" } as const;
  expect(actionEvents(object, { done: [...seven, create("demo-7", "a node is lost"), cordon], refusals: [] })).toMatchObject([
    { reason: "GatewayCreated", note: "demo-0, demo-1, demo-2, demo-3, demo-4 and 2 more: 7 wanted" },
    { reason: "GatewayCreated", note: "demo-7: a node is lost" },
    { reason: "GatewayCordoned", note: "demo-8: 7 wanted" },
  ]);
});
