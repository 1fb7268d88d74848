import { limits } from "@pushfleet/protocol";
import { ManualClock } from "@pushfleet/service";
import { beforeEach, describe, expect, test } from "vitest";
import { exampleFleet, exampleOperator, firstGrant } from "../../../../test/support/example-fleet.js";
import { StoredObjects } from "../../../../test/support/stored-objects.js";
import { ObjectCache } from "../api/cache.js";
import type { KubernetesObject } from "../api/types.js";
import type { PushGatewayObject } from "./fleet-caches.js";
import { FleetCertificates } from "./fleet-certificates.js";
import { FleetObjects, type Prepared } from "./fleet-objects.js";
import type { Pod } from "./observe-pod.js";
import { OwnedObjects } from "./owned-objects.js";
import { RouterScaler } from "./router-scaler.js";

let stored: StoredObjects;
let clock: ManualClock;
let restored: string[];
let certificates: FleetCertificates;
let objects: FleetObjects;
let object: PushGatewayObject;

beforeEach(() => {
  stored = new StoredObjects();
  clock = new ManualClock();
  restored = [];
  startOperator();
  object = pushGateway(1);
});

/** Another process, which remembers nothing. */
function startOperator(caches = stored.caches): void {
  const { api } = stored;
  const onRestored = ({ kind, metadata }: KubernetesObject, what: string) => restored.push(`${kind}/${metadata.name} ${what}`);
  certificates = new FleetCertificates({ api, caches, clock });
  objects = new FleetObjects({
    ...{ api, caches, clock, operator: exampleOperator, onRestored },
    owned: new OwnedObjects({ api, kinds: caches.owned, onRestored }),
    certificates,
    routers: new RouterScaler({ caches, clock, fetchText: () => Promise.reject(new Error("none")) }),
  });
}

/** A fleet that needs a key of its own for resume tokens. */
function pushGateway(generation: number, change: object = {}): PushGatewayObject {
  const { namespace, name, uid, spec } = exampleFleet({ gateway: { auth: { jwksUrl: "https://issuer.example/jwks" } }, ...change });
  return { apiVersion: "pushfleet.dev/v1alpha1", kind: "PushGateway", metadata: { namespace, name, uid, generation }, spec };
}

const prepare = () => objects.prepare(object, []);

/** Whether the first gateway of the fleet may be made now. */
async function buildGateway({ spec }: Prepared) {
  const { name: pool = "", revision = "" } = spec.pools[0] ?? {};
  const pod = `demo-${pool}-0-${revision}`;
  await objects.prepareCreates(object, [], [pod]);
  return objects.buildPod(object, { kind: "createPod", pod, pool, slot: 0, revision, grant: firstGrant, why: "" }, true);
}

const somebodys = (kind: string, name: string, labels?: Readonly<Record<string, string>>): KubernetesObject => ({
  apiVersion: "v1",
  kind,
  metadata: { namespace: "push", name, managedFields: [{ manager: "kubectl" }], ...(labels === undefined ? {} : { labels }) },
});
/** As in a copy of an object of ours. */
const ourLabels = { "app.kubernetes.io/managed-by": "pushfleet-operator", "pushfleet.dev/fleet": "demo" };

describe("an object of somebody else's with a name the fleet needs", () => {
  const configMap = async () => `demo-default-${(await prepareElsewhere()).spec.pools[0]?.revision ?? ""}`;
  const ownTls = async () => `${(await configMap()).replace("demo-default-", "demo-default-0-")}-tls`;

  /** What names the fleet will use; nothing is made. */
  async function prepareElsewhere(): Promise<Prepared> {
    return await objects.prepare({ ...object, spec: { ...object.spec, dryRun: true } }, []);
  }

  test.each<[string, string, () => Promise<string>, Readonly<Record<string, string>> | undefined]>([
    ["the key of resume tokens", "Secret", async () => "demo-resume", undefined],
    ["the key of resume tokens, labelled as ours", "Secret", async () => "demo-resume", ourLabels],
    ["the authority", "Secret", async () => "demo-ca", undefined],
    ["the authority, labelled as ours", "Secret", async () => "demo-ca", ourLabels],
    ["a gateway's certificate", "Secret", ownTls, undefined],
    ["a gateway's configuration", "ConfigMap", configMap, undefined],
    ["a gateway's configuration, labelled as ours", "ConfigMap", configMap, ourLabels],
    ["a gateway's account", "ServiceAccount", async () => "demo-gateway", undefined],
  ])("is not used, not written to, and told: %s", async (_what, kind, nameOf, labels) => {
    const name = await nameOf();
    const theirs = stored.put(somebodys(kind, name, labels));
    const prepared = await prepare();
    const built = await buildGateway(prepared);
    expect(built.kind).toMatch(/refused|unavailable/);
    const told = [...prepared.refusals, ...(built.kind === "refused" ? [built.message] : [])].join();
    expect(told).toContain(`a ${kind} ${name} exists and is not the fleet's (it has no owner; kubectl wrote it): delete it`);
    expect(stored.get(kind, name)).toEqual({ kind: "ok", object: theirs });

    stored.take(kind, name);
    clock.advance(limits.createRefusedMaxMs);
    const healed = await prepare();
    expect([healed.refusals, (await buildGateway(healed)).kind]).toEqual([[], "ok"]);
  });

  test.each(["demo-router-tls", "demo-ca"])("keeps the routers from being made: %s", async (name) => {
    stored.put(somebodys("Secret", name));
    expect((await prepare()).refusals).toHaveLength(1);
    expect(stored.get("Deployment", "demo-router").kind).toBe("notFound");
    expect(stored.get("Service", "demo").kind).toBe("ok");
  });
});

test("a Secret of ours that has lost its labels gets them back and keeps what is in it", async () => {
  await prepare();
  for (const name of ["demo-resume", "demo-router-tls"]) {
    const found = stored.get("Secret", name);
    if (found.kind !== "ok") return expect.unreachable();
    const { labels: _, ...metadata } = found.object.metadata;
    stored.put({ ...found.object, metadata });
    objects.changed();
    await prepare();
    const now = stored.get("Secret", name);
    expect(now).toMatchObject({ kind: "ok", object: { data: (found.object as { readonly data?: object }).data } });
    expect(now).toHaveProperty("object.metadata.labels", found.object.metadata.labels);
  }
  expect((await buildGateway(await prepare())).kind).toBe("ok");
});

test("with dryRun a new process knows the fleet's authority, so that it sees its gateways, and writes nothing", async () => {
  await prepare();
  startOperator();
  stored.writes.length = 0;
  object = { ...object, spec: { ...object.spec, dryRun: true } };
  const gateway = { uid: "uid", pod: "demo-default-0-1", address: "127.0.0.1:1" };
  expect(() => certificates.connect(gateway)).toThrow("no certificate authority");
  await prepare();
  expect(() => certificates.connect(gateway)).not.toThrow();
  expect(stored.writes).toEqual([]);
});

describe("a ConfigMap of ours that somebody changed", () => {
  type ConfigMap = KubernetesObject & { readonly data: Readonly<Record<string, string>> };
  const configMaps = () => (stored.caches.owned.get("ConfigMap")?.cache.list() ?? []) as readonly ConfigMap[];

  test.each<[string, (configMap: ConfigMap) => ConfigMap, readonly RegExp[]]>([
    [
      "its contents, by replacing it",
      (one) => ({ ...one, data: { ...one.data, "router.yaml": "http: {}" } }),
      [/^delete ConfigMap/, /^apply ConfigMap/],
    ],
    ["one entry more", (one) => ({ ...one, data: { ...one.data, more: "1" } }), [/^delete ConfigMap/, /^apply ConfigMap/]],
    [
      "a label",
      (one) => ({ ...one, metadata: { ...one.metadata, labels: { ...one.metadata.labels, "pushfleet.dev/fleet": "other" } } }),
      [/^patch ConfigMap/],
    ],
  ])("is put back, once, and told: %s", async (_what, change, writes) => {
    await prepare();
    const before = configMaps().find(({ metadata }) => metadata.name.startsWith("demo-router-")) ?? expect.unreachable();
    stored.put(change(before));
    stored.writes.length = 0;
    for (let turn = 0; turn < 3; turn += 1) {
      objects.changed();
      expect((await prepare()).refusals).toEqual([]);
    }
    const now = configMaps().find(({ metadata }) => metadata.name === before.metadata.name);
    expect(now).toMatchObject({ data: before.data, metadata: { labels: before.metadata.labels } });
    expect(Object.keys(now?.data ?? {})).toEqual(Object.keys(before.data));
    expect(stored.writes).toEqual(writes.map((write) => expect.stringMatching(write)));
    expect(restored).toEqual([`ConfigMap/${before.metadata.name} changed`]);
  });
});

describe("an owned object that the API server refuses", () => {
  const quota = 'services "demo" is forbidden: exceeded quota: few';

  /** Turns of a fleet that is not settled, for so long; answers when each attempt was, in milliseconds from the beginning. */
  async function attemptsAt(write: string, durationMs: number): Promise<readonly number[]> {
    const startMs = clock.monotonicMs();
    const attempts: number[] = [];
    for (let nowMs = 0; nowMs < durationMs; nowMs += limits.planMovingMs) {
      stored.writes.length = 0;
      const { refusals, isPartial } = await prepare();
      expect([refusals.join(), isPartial]).toEqual([expect.stringContaining(quota), true]);
      for (const one of stored.writes) if (one === write) attempts.push(clock.monotonicMs() - startMs);
      clock.advance(limits.planMovingMs);
    }
    return attempts;
  }

  test.each([
    "apply Service/demo",
    "apply ConfigMap/demo-router-",
    "create Secret/demo-resume",
    "create Secret/demo-router-tls",
    "create Secret/demo-ca",
  ])("is tried again ever more slowly, stays told, and is tried at once after an edit of the spec: %s", async (refused) => {
    stored.refusal = (write) => (write.startsWith(refused) ? quota : undefined);
    await prepare();
    const write = stored.writes.find((one) => one.startsWith(refused)) ?? expect.unreachable();
    stored.writes.length = 0;
    expect(await attemptsAt(write, 36_000)).toEqual([1_000, 3_000, 7_000, 15_000, 25_000, 35_000]);

    object = { ...object, metadata: { ...object.metadata, generation: 2 } };
    expect(await attemptsAt(write, 8_000)).toEqual([0, 1_000, 3_000, 7_000]);

    stored.refusal = () => undefined;
    clock.advance(limits.createRefusedMaxMs);
    expect(await prepare()).toMatchObject({ refusals: [] });
    expect((await buildGateway(await prepare())).kind).toBe("ok");
  });

  test("does not keep another from being put back", async () => {
    stored.refusal = (write) => (write === "apply Service/demo" ? quota : undefined);
    for (let turn = 0; turn < 20; turn += 1) {
      await prepare();
      clock.advance(limits.planMovingMs);
    }
    stored.take("Service", "demo-router");
    objects.changed();
    await prepare();
    expect(restored).toEqual(["Service/demo-router deleted"]);
  });

  test("is told with what helps", async () => {
    stored.refusal = (write) => (write === "apply Service/demo" ? quota : undefined);
    expect((await prepare()).refusals).toEqual([expect.stringMatching(/^Service demo: .*exceeded quota: few: raise the ResourceQuota/)]);
  });
});

describe("what routers read stays for as long as some do", () => {
  const image2 = { router: { image: "registry.example/router:2", minReplicas: 1, maxReplicas: 1 } };
  const configMaps = () =>
    (stored.caches.owned.get("ConfigMap")?.cache.list() ?? []).map(({ metadata }) => metadata.name).filter((name) => /-router-/.test(name));
  let before: string;

  beforeEach(async () => {
    await prepare();
    before = configMaps()[0] ?? expect.unreachable();
    const found = stored.get("ConfigMap", before);
    if (found.kind !== "ok") return expect.unreachable();
    stored.put({ ...found.object, metadata: { ...found.object.metadata, creationTimestamp: new Date(0).toISOString() } });
    clock.advance(limits.pruneAgeMs + 1);
  });

  test("while their Deployment's update is refused", async () => {
    stored.refusal = (write) => (write.endsWith("Deployment/demo-router") ? "a policy says no" : undefined);
    object = pushGateway(2, image2);
    for (let process = 0; process < 2; process += 1) {
      expect((await prepare()).refusals.join()).toContain("a policy says no");
      expect([configMaps().length, configMaps().includes(before)]).toEqual([2, true]);
      startOperator();
    }
    stored.refusal = () => undefined;
    await prepare();
    expect([configMaps().length, configMaps().includes(before)]).toEqual([1, false]);
  });

  test("while a pod of the update before is there", async () => {
    const pods = new ObjectCache<Pod>({ owner: () => [], deployed: () => ["push/demo"] });
    const labels = { "app.kubernetes.io/component": "router", "pushfleet.dev/revision": before.slice(-8) };
    pods.observe("ADDED", { apiVersion: "v1", kind: "Pod", metadata: { namespace: "push", name: "demo-router-x", uid: "r", labels } });
    startOperator({ ...stored.caches, pods });
    object = pushGateway(2, image2);
    await prepare();
    expect([configMaps().length, configMaps().includes(before)]).toEqual([2, true]);
    startOperator();
    await prepare();
    expect([configMaps().length, configMaps().includes(before)]).toEqual([1, false]);
  });
});

describe("while the spec cannot be followed, a new process tells on and on", () => {
  const broken = { gateway: { auth: { jwksUrl: "https://issuer.example/jwks" }, tls: { secretName: "nowhere" } } };

  async function brokenFleet() {
    const { spec } = await prepare();
    const { name: pool = "", revision = "" } = spec.pools[0] ?? {};
    const name = `demo-${pool}-0-${revision}`;
    await objects.prepareCreates(object, [], [name]);
    object = pushGateway(2, broken);
    const pods = [{ apiVersion: "v1", kind: "Pod", metadata: { namespace: "push", name, uid: "p" } }] as readonly Pod[];
    return { pods, pool, revision, build: (slot: number) => buildSlot(pool, slot, revision, pods) };
  }

  async function buildSlot(pool: string, slot: number, revision: string, pods: readonly Pod[]) {
    const pod = `demo-${pool}-${slot}-${revision}`;
    await objects.prepareCreates(object, pods, [pod]);
    return objects.buildPod(object, { kind: "createPod", pod, pool, slot, revision, grant: firstGrant, why: "" }, true);
  }

  test("that certificates cannot be renewed", async () => {
    const { pods } = await brokenFleet();
    clock.advance(limits.leafLifetimeMs * limits.certificateRenewShare);
    startOperator();
    stored.refusal = (write) => (write.includes("Secret/") ? "a policy says no" : undefined);
    for (let turn = 0; turn < 30; turn += 1) {
      const prepared = await objects.prepare(object, pods);
      expect(prepared.problems.map(({ message }) => message).join()).toContain("nowhere");
      expect(prepared.refusals.join()).toContain("a policy says no");
      clock.advance(limits.planSettledMs);
    }
  });

  test("that a gateway that died cannot be made again without the configuration that somebody deleted", async () => {
    const { pods, build, pool, revision } = await brokenFleet();
    startOperator();
    await objects.prepare(object, pods);
    expect((await build(1)).kind).toBe("ok");
    stored.take("ConfigMap", `demo-${pool}-${revision}`);
    await objects.prepare(object, pods);
    expect(await build(1)).toMatchObject({ kind: "refused", message: expect.stringContaining(`ConfigMap demo-${pool}-${revision}`) });
  });
});
