import { createLogger, ManualClock } from "@pushfleet/service";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { waitFor } from "../../../test/peers/wait-for.js";
import { exampleFleet, exampleOperator } from "../../../test/support/example-fleet.js";
import { StoredObjects } from "../../../test/support/stored-objects.js";
import type { EventRecorder } from "./api/events.js";
import { ClusterCaches } from "./cluster-caches.js";
import { FleetController } from "./fleet-controller.js";
import type { PushGatewayObject } from "./world/fleet-caches.js";

function pushGateway(uid: string, resourceVersion: number, minReplicas: number): PushGatewayObject {
  const { namespace, name, spec } = exampleFleet({ pools: [{ name: "default", minReplicas, maxReplicas: 10 }] });
  const metadata = { namespace, name, uid, generation: 1, resourceVersion: String(resourceVersion) };
  return { apiVersion: "pushfleet.dev/v1alpha1", kind: "PushGateway", metadata, spec };
}

test("a fleet that was deleted and made again between two looks at it is another fleet: nothing of the first is remembered", async () => {
  const stored = new StoredObjects();
  const unused = () => Promise.reject(new Error("unused"));
  const api = { ...stored.api, list: unused, watch: unused };
  const shared = { api, clock: new ManualClock(), random: () => 0.5, logger: createLogger("test", "silent"), metrics: new Registry() };
  const { pushGateways, pods } = new ClusterCaches({ ...shared, onChange: () => undefined });
  const leading = new AbortController();
  const controller = new FleetController({
    ...{ ...shared, caches: { ...stored.caches, pushGateways, pods } },
    ...{ leading: leading.signal, operator: exampleOperator, isWatched: () => true, requestMs: 5_000 },
    events: { record: () => undefined } as unknown as EventRecorder,
    leadership: { epoch: 1, holder: "a", raiseEpochAbove: async () => ({ kind: "lost" }) },
  });
  const wanted = () => {
    const written = stored.get("PushGateway", "demo");
    const status = written.kind === "ok" ? (written.object as PushGatewayObject).status : undefined;
    return status?.pools?.map(({ desiredReplicas }) => desiredReplicas);
  };
  const first = pushGateway("one", 10, 5);
  stored.put(first);
  pushGateways.observe("ADDED", first);
  controller.start();
  await waitFor(() => wanted() !== undefined, { what: "the status of the first fleet" });
  expect(wanted()).toEqual([5]);

  const second = pushGateway("two", 30, 1);
  stored.take("PushGateway", "demo");
  stored.put(second);
  pushGateways.observe("DELETED", pushGateway("one", 29, 5));
  pushGateways.observe("ADDED", second);
  controller.changed({ namespace: "push", name: "demo" });
  await waitFor(() => wanted() !== undefined, { what: "the status of the second fleet" });
  expect(wanted()).toEqual([1]);
  await controller.stop();
});
