import { limits } from "@pushfleet/protocol";
import { ManualClock } from "@pushfleet/service";
import { pino } from "pino";
import { beforeEach, expect, test } from "vitest";
import { exampleFleet, exampleOperator, firstGrant } from "../../../../test/support/example-fleet.js";
import { StoredObjects } from "../../../../test/support/stored-objects.js";
import { formatGrant } from "../../core/index.js";
import { ObjectCache } from "../api/cache.js";
import type { EventToRecord } from "../api/events.js";
import type { ApiResult, KubernetesApi, KubernetesObject } from "../api/types.js";
import { ownerReference } from "../objects/index.js";
import type { PushGatewayObject } from "./fleet-caches.js";
import { FleetCertificates } from "./fleet-certificates.js";
import { drainFinalizer } from "./fleet-finalizer.js";
import { FleetObjects } from "./fleet-objects.js";
import { FleetReconciler } from "./fleet-reconciler.js";
import type { Pod } from "./observe-pod.js";
import { OwnedObjects } from "./owned-objects.js";
import { RouterScaler } from "./router-scaler.js";
import { StatusPace } from "./status-pace.js";

const fleet = exampleFleet();
const { namespace, name, uid } = fleet;

let stored: StoredObjects;
let clock: ManualClock;
let events: EventToRecord[];
let pods: ObjectCache<Pod>;
let reconciler: FleetReconciler;

beforeEach(() => {
  stored = new StoredObjects();
  clock = new ManualClock();
  events = [];
  const controller = ({ metadata }: KubernetesObject) => metadata.ownerReferences?.flatMap((one) => one.uid) ?? [];
  const orphan = (pod: Pod) => (controller(pod).length === 0 ? [`${namespace}/${name}`] : []);
  pods = new ObjectCache<Pod>({ owner: controller, orphan, router: () => [], deployed: () => [] });
  startOperator();
});

/** Another process, which remembers nothing. */
function startOperator(change: Partial<KubernetesApi> = {}): void {
  const caches = { ...stored.caches, pods };
  const api = { ...stored.api, told: [], ...change };
  const onRestored = () => undefined;
  const objects = new FleetObjects({
    ...{ api, caches, clock, operator: exampleOperator, onRestored },
    owned: new OwnedObjects({ api, kinds: caches.owned, onRestored }),
    certificates: new FleetCertificates({ api, caches, clock }),
    routers: new RouterScaler({ caches, clock, fetchText: () => Promise.reject(new Error("none")) }),
  });
  reconciler = new FleetReconciler(
    { namespace, name },
    {
      ...{
        api: api as KubernetesApi & { told: readonly string[] },
        caches,
        clock,
        objects,
        random: () => 0,
        logger: pino({ level: "silent" }),
      },
      events: { record: (event: EventToRecord) => events.push(event) } as never,
      leadership: { epoch: 2, holder: "new", raiseEpochAbove: () => expect.unreachable() },
      pace: new StatusPace(),
      connect: () => expect.unreachable(),
      onChange: () => undefined,
    },
  );
}

function deletedFleet(): void {
  const deletionTimestamp = new Date(clock.nowMs()).toISOString();
  const object = {
    ...{ apiVersion: "pushfleet.dev/v1alpha1", kind: "PushGateway", spec: fleet.spec },
    metadata: { namespace, name, uid, generation: 1, deletionTimestamp, finalizers: [drainFinalizer] },
  };
  const put = stored.put(object) as PushGatewayObject;
  (stored.caches.pushGateways as ObjectCache<PushGatewayObject>).observe("ADDED", { ...put, metadata: { ...put.metadata, uid } });
}

function gateway(slot: number, metadata: object): void {
  const annotations = { "pushfleet.dev/grant": formatGrant(firstGrant) };
  const own = { namespace, name: `${name}-default-${slot}-1a2b3c4d`, annotations, ...metadata };
  pods.observe("ADDED", stored.put({ apiVersion: "v1", kind: "Pod", metadata: own }) as Pod);
}

const secret = (named: string) => ({ apiVersion: "v1", kind: "Secret", metadata: { namespace, name: named } });

/** One that nobody deletes, and that has no finalizer yet. */
function fleetAnew(): void {
  const metadata = { namespace, name, uid, generation: 1 };
  const put = stored.put({ apiVersion: "pushfleet.dev/v1alpha1", kind: "PushGateway", spec: fleet.spec, metadata } as KubernetesObject);
  const object = { ...put, metadata: { ...put.metadata, uid } } as PushGatewayObject;
  (stored.caches.pushGateways as ObjectCache<PushGatewayObject>).observe("ADDED", object);
}

const reconcile = () => reconciler.reconcile(new AbortController().signal);
const releases = () => stored.writes.filter((write) => write === `patch PushGateway/${name}`).length;

test("a deleted fleet is not given free before a gateway whose owner somebody removed is its own again", async () => {
  gateway(0, {});
  deletedFleet();
  stored.refusal = (write) => (/^patch Pod|^apply PushGateway/.test(write) ? "not now" : undefined);
  expect(await reconcile()).toEqual({ kind: "again", afterMs: limits.planMovingMs });
  expect(releases()).toBe(0);

  clock.advance((fleet.spec.drain.deadlineSeconds + fleet.spec.drain.stragglerGraceSeconds) * 1000 + limits.finalizerSlackMs + 1000);
  expect(await reconcile()).toEqual({ kind: "done" });
  expect(releases()).toBe(1);
  expect(events).toMatchObject([{ reason: "DrainGivenUp", note: expect.stringContaining("demo-default-0-1a2b3c4d") }]);
});

test("that a deleted fleet cannot be given free is told, and tried again more slowly", async () => {
  deletedFleet();
  stored.refusal = () => "a policy says no";
  expect(await reconcile()).toEqual({ kind: "again", afterMs: limits.createRefusedMaxMs });
  expect(events).toMatchObject([{ type: "Warning", reason: "ReleaseRefused", note: expect.stringContaining("a policy says no") }]);
  stored.refusal = () => undefined;
  expect(await reconcile()).toEqual({ kind: "done" });
});

test("nothing is made of a deleted fleet, and it is not given free, while a gateway is there", async () => {
  gateway(0, { ownerReferences: [ownerReference(fleet)] });
  deletedFleet();
  await reconcile();
  expect(releases()).toBe(0);
  expect(stored.writes.filter((write) => write.startsWith("create"))).toEqual([]);
});

test.each<[string, ApiResult<never>, boolean]>([
  ["goes on while its finalizer cannot be written", { kind: "unavailable", message: "failed calling webhook" }, true],
  ["is looked at again first where somebody wrote to it meanwhile", { kind: "conflict", message: "" }, false],
])("a fleet %s", async (_what, answer, goesOn) => {
  gateway(0, { ownerReferences: [ownerReference(fleet)] });
  fleetAnew();
  const { patch } = stored.api;
  const patched = ((resource, ...rest) => (resource.kind === "PushGateway" ? answer : patch(resource, ...rest))) as typeof patch;
  startOperator({ patch: patched });
  stored.put({ ...secret("jwt"), data: { key: Buffer.alloc(64).toString("base64") } } as KubernetesObject);
  expect(await reconcile()).toEqual({ kind: "again", afterMs: limits.planMovingMs });
  expect(stored.writes.includes(`patch Pod/${name}-default-0-1a2b3c4d`)).toBe(goesOn);
  expect(JSON.stringify(stored.get("PushGateway", name)).includes("failed calling webhook")).toBe(goesOn);
});
