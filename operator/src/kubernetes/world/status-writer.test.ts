import { ManualClock } from "@pushfleet/service";
import { expect, test } from "vitest";
import { fleet, now, pod } from "../../../../test/support/observed-fleet.js";
import { plan } from "../../core/index.js";
import type { KubernetesApi } from "../api/types.js";
import type { FleetCaches, PushGatewayObject } from "./fleet-caches.js";
import { objectStatus } from "./fleet-object-status.js";
import { rememberedStatus, StatusWriter } from "./status-writer.js";

const rolling = fleet({
  pool: { revision: "r2", minReplicas: 1, softConnections: 180 },
  pods: [pod(0), pod(1), pod(2), pod(0, { revision: "r2" })],
});

/** What the object says after three pods had been wanted and a rollout began. */
function told(): PushGatewayObject {
  const first = plan({ ...rolling, pods: rolling.pods.slice(0, 3) }, now - 10_000).status;
  const { status } = plan({ ...rolling, status: first, reconnectFailures: { attempted: 500, failed: 50 } }, now);
  const facts = { name: "demo", generation: 1, conditions: [], templateOutdated: false, movesPerSecond: 0, nowMs: now };
  return { status: objectStatus(status, facts, undefined) } as unknown as PushGatewayObject;
}

test("the next leader reads of the object how many pods are wanted, and which rollout stopped itself", () => {
  const { memory, epoch } = rememberedStatus(told(), rolling.spec, 7, now) ?? {};
  expect(epoch).toBe(6);
  expect(memory?.pools["default"]?.target).toBe(3);
  expect(memory?.pausedRevisions).toEqual({ default: "r2" });
});

test("and how many clients of lost gateways were not back, and how many were", () => {
  const first = plan({ ...rolling, pods: [pod(0, { connections: 30 }), pod(1, { connections: 70 })] }, now - 10_000).status;
  const { status } = plan({ ...rolling, pods: [pod(0, { connections: 50 })], status: first }, now);
  const facts = { name: "demo", generation: 1, conditions: [], templateOutdated: false, movesPerSecond: 0, nowMs: now };
  const object = { status: objectStatus(status, facts, undefined) } as unknown as PushGatewayObject;
  expect(rememberedStatus(object, rolling.spec, 7, now)?.memory.forced).toMatchObject({ connectionsBefore: 100, lastSeenMs: now });
  expect(rememberedStatus(told(), rolling.spec, 7, now)?.memory.forced).toBeUndefined();
});

test("of a fleet on which nothing was done it reads no wish that somebody might have acted on", () => {
  expect(rememberedStatus(told(), { ...rolling.spec, dryRun: true }, 7, now)?.memory.pools["default"]?.target).toBeUndefined();
});

test("of an object without a status it reads nothing", () => {
  expect(rememberedStatus({ ...told(), status: undefined } as unknown as PushGatewayObject, rolling.spec, 7, now)).toBeUndefined();
});

test.each([
  { fleets: 1, everyMs: 10_000 },
  { fleets: 120, everyMs: 10_000 },
  { fleets: 240, everyMs: 20_000 },
])("numbers of one of $fleets fleets are written every $everyMs ms", async ({ fleets, everyMs }) => {
  const clock = new ManualClock();
  const writtenAtMs: number[] = [];
  const object = { metadata: { name: "demo", namespace: "push" } } as unknown as PushGatewayObject;
  const api = {
    apply: async (): Promise<unknown> => {
      writtenAtMs.push(clock.monotonicMs());
      return { kind: "ok", object };
    },
  } as unknown as KubernetesApi;
  const list = Array.from({ length: fleets }, () => object);
  const pushGateways = { get: () => object, list: () => list, overlay: () => undefined } as unknown as FleetCaches["pushGateways"];
  const writer = new StatusWriter({ api, caches: { pushGateways }, clock });
  await writer.write(object, { connections: 0 }, true);
  for (let second = 1; second <= 60; second += 1) {
    clock.advance(1_000);
    await writer.write(object, { connections: second }, false);
  }
  const between = writtenAtMs.slice(1).map((atMs, index) => atMs - (writtenAtMs[index] ?? 0));
  expect(between).toHaveLength(60_000 / everyMs);
  expect(new Set(between)).toEqual(new Set([everyMs]));
});
