import { expect, test } from "vitest";
import { fleet, now, pod } from "../../../../test/support/observed-fleet.js";
import { plan } from "../../core/index.js";
import type { PushGatewayObject } from "./fleet-caches.js";
import { objectStatus } from "./fleet-object-status.js";
import { rememberedStatus } from "./status-writer.js";

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
  const { memory, epoch } = rememberedStatus(told(), rolling.spec, 7) ?? {};
  expect(epoch).toBe(6);
  expect(memory?.pools["default"]?.target).toBe(3);
  expect(memory?.pausedRevisions).toEqual({ default: "r2" });
});

test("of a fleet on which nothing was done it reads no wish that somebody might have acted on", () => {
  expect(rememberedStatus(told(), { ...rolling.spec, dryRun: true }, 7)?.memory.pools["default"]?.target).toBeUndefined();
});

test("of an object without a status it reads nothing", () => {
  expect(rememberedStatus({ ...told(), status: undefined } as unknown as PushGatewayObject, rolling.spec, 7)).toBeUndefined();
});
