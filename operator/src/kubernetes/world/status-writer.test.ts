import { ManualClock } from "@pushfleet/service";
import { expect, test } from "vitest";
import { fleet, now, pod } from "../../../../test/support/observed-fleet.js";
import { plan } from "../../core/index.js";
import type { PushGatewayStatus } from "../../generated/push-gateway.js";
import type { KubernetesApi } from "../api/types.js";
import type { FleetCaches, PushGatewayObject } from "./fleet-caches.js";
import { objectStatus } from "./fleet-object-status.js";
import { StatusPace } from "./status-pace.js";
import { rememberedStatus, StatusWriter, type StatusWriterParts } from "./status-writer.js";

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

test("what is told of a fleet is not written to another that has come in its place meanwhile", async () => {
  const written: unknown[] = [];
  const object = { metadata: { name: "demo", namespace: "push", uid: "one" } } as unknown as PushGatewayObject;
  const api = {
    apply: async (_: unknown, { metadata }: PushGatewayObject) => {
      written.push(metadata);
      return { kind: "conflict", message: "Precondition failed: UID in precondition: one, UID in object meta: another" };
    },
  } as unknown as KubernetesApi;
  const caches = { pushGateways: { get: () => object, list: () => [object] } } as unknown as FleetCaches;
  const writer = new StatusWriter({ api, caches, clock: new ManualClock(), pace: new StatusPace() });
  expect(await writer.write(object, { connections: 1 }, true)).toBe(false);
  expect(written).toEqual([{ name: "demo", namespace: "push", uid: "one" }]);
});

/** Fleets whose statuses are written to one API server, and when that was. */
class Fleets {
  readonly clock = new ManualClock();
  readonly writtenAtMs: number[] = [];
  readonly #pace = new StatusPace();
  readonly #objects: readonly PushGatewayObject[];
  readonly #writers: readonly StatusWriter[];

  constructor(count: number) {
    const objectOf = (index: number) => ({ metadata: { name: `demo-${index}`, namespace: "push", uid: `${index}` } });
    this.#objects = Array.from({ length: count }, (_, index) => objectOf(index) as unknown as PushGatewayObject);
    this.#writers = this.#objects.map((object) => new StatusWriter(this.#partsOf(object)));
  }

  #partsOf(object: PushGatewayObject): StatusWriterParts {
    let seen = object;
    const overlay = (written: PushGatewayObject): void => {
      seen = written;
    };
    const pushGateways = { get: () => seen, list: () => this.#objects, overlay } as unknown as FleetCaches["pushGateways"];
    const apply = async (_: unknown, written: PushGatewayObject): Promise<unknown> => {
      if (object === this.#objects[0]) this.writtenAtMs.push(this.clock.monotonicMs());
      return { kind: "ok", object: { ...object, status: written.status } };
    };
    return { api: { apply } as unknown as KubernetesApi, caches: { pushGateways }, clock: this.clock, pace: this.#pace };
  }

  /** Each second of a minute one status of each of the first `count` fleets. Answers the ms between those of the first. */
  async minute(count: number, statusAt: (second: number) => PushGatewayStatus, isTelling: boolean): Promise<readonly number[]> {
    for (let second = 1; second <= 60; second += 1) {
      this.clock.advance(1_000);
      for (let index = 0; index < count; index += 1) await this.write(index, statusAt(second), isTelling);
    }
    return this.writtenAtMs.slice(1).map((atMs, index) => atMs - (this.writtenAtMs[index] ?? 0));
  }

  async write(index: number, status: PushGatewayStatus, isTelling: boolean): Promise<boolean> {
    const [object, writer] = [this.#objects[index], this.#writers[index]];
    if (object === undefined || writer === undefined) throw new Error(`there is no fleet ${index}`);
    return await writer.write(object, status, isTelling);
  }
}

test.each([
  { fleets: 1, everyMs: 15_000 },
  { fleets: 180, everyMs: 15_000 },
  { fleets: 240, everyMs: 20_000 },
])("numbers of one of $fleets fleets are written every $everyMs ms", async ({ fleets, everyMs }) => {
  const some = new Fleets(fleets);
  await some.write(0, { connections: 0 }, true);
  const between = await some.minute(1, (second) => ({ connections: second }), false);
  expect(between).toHaveLength(60_000 / everyMs);
  expect(new Set(between)).toEqual(new Set([everyMs]));
});

test.each([
  { telling: 1, everyMs: 1_000 },
  { telling: 20, everyMs: 1_000 },
  { telling: 100, everyMs: 5_000 },
])(
  "where $telling of 200 fleets tell what happens to their pods each second, each does every $everyMs ms",
  async ({ telling, everyMs }) => {
    const between = await new Fleets(200).minute(telling, (second) => ({ pods: { serving: second } }), true);
    expect(new Set(between.slice(1))).toEqual(new Set([everyMs]));
  },
);

test("what could not be told at once is told later, also when nothing new happens", async () => {
  const some = new Fleets(100);
  for (let index = 0; index < 100; index += 1) await some.write(index, { pods: { serving: 1 } }, true);
  some.clock.advance(1_000);
  expect(await some.write(0, { pods: { serving: 2 } }, true)).toBe(false);
  some.clock.advance(4_000);
  expect(await some.write(0, { pods: { serving: 2 } }, false)).toBe(true);
  expect(some.writtenAtMs).toHaveLength(2);
});

test.each<[string, PushGatewayStatus]>([
  ["a condition", { conditions: [{ type: "Degraded", status: "True", reason: "PodsFail", message: "", lastTransitionTime: "" }] }],
  ["how many pods are wanted, which the next leader takes over", { pools: [{ name: "default", desiredReplicas: 7 }] }],
  ["the spec that is followed", { observedGeneration: 2 }],
])("however many fleets tell, this is told at once: %s", async (_what, status) => {
  const some = new Fleets(100);
  for (let index = 0; index < 100; index += 1) await some.write(index, { pods: { serving: 1 } }, true);
  expect(await some.write(0, status, false)).toBe(true);
  expect(some.writtenAtMs).toHaveLength(2);
});

test.each([
  ["what a person should change of the spec is told at once", "SpecAccepted", 2],
  ["numbers in what is wrong wait for their turn", "Degraded", 1],
])("of messages %s", async (_what, type, writes) => {
  const some = new Fleets(1);
  const saying = (message: string): PushGatewayStatus => ({
    conditions: [{ type, status: "True", reason: "Some", message, lastTransitionTime: "" }],
  });
  await some.write(0, saying("one thing"), false);
  await some.write(0, saying("two things"), false);
  expect(some.writtenAtMs).toHaveLength(writes);
});
