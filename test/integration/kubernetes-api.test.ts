import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { KubeConfig } from "@kubernetes/client-node";
import { createLogger, systemClock } from "@pushfleet/service";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createKubernetesApi } from "../../operator/src/kubernetes/api/api.js";
import { ObjectCache } from "../../operator/src/kubernetes/api/cache.js";
import { EventRecorder } from "../../operator/src/kubernetes/api/events.js";
import { LeaderElection } from "../../operator/src/kubernetes/api/leader-election.js";
import { Reflector } from "../../operator/src/kubernetes/api/reflector.js";
import { resources } from "../../operator/src/kubernetes/api/resources.js";
import type { ApiResult, KubernetesApi, KubernetesObject, ObjectList, WatchEvent } from "../../operator/src/kubernetes/api/types.js";
import { KUBERNETES_START_DEADLINE_MS, type KubernetesServer, startKubernetes } from "../peers/kubernetes.js";
import { describeWithPeers } from "../peers/peer.js";
import { waitFor } from "../peers/wait-for.js";

const logger = createLogger("test", "silent");
const namespace = "default";
const configMap = (name: string, data: Record<string, string> = {}, metadata: object = {}) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace, labels: { test: "yes" }, ...metadata },
  data,
});
const key = (name: string) => ({ namespace, name });

function objectOf<T>(result: ApiResult<T>): T {
  if (result.kind !== "ok") throw new Error(`not ok: ${JSON.stringify(result)}`);
  return result.object;
}

describeWithPeers(["kubernetes"], "the client on a real API server", () => {
  let kubernetes: KubernetesServer;
  let api: KubernetesApi;
  const opened: KubernetesApi[] = [];

  const connect = (load: (kubeConfig: KubeConfig) => void): KubernetesApi => {
    const kubeConfig = new KubeConfig();
    load(kubeConfig);
    const connected = createKubernetesApi({ kubeConfig, fieldManager: "pushfleet-operator", logger, clock: systemClock });
    opened.push(connected);
    return connected;
  };

  beforeAll(async () => {
    kubernetes = await startKubernetes({ controllerManager: false });
    api = connect((kubeConfig) => kubeConfig.loadFromFile(kubernetes.kubeconfigFile));
  }, KUBERNETES_START_DEADLINE_MS);
  afterAll(async () => {
    await Promise.all(opened.map((one) => one.close()));
    await kubernetes?.stop();
  });

  test("creates once, and tells what is there, what is not, and what is wrong", async () => {
    expect(await api.create(resources.configMaps, configMap("once"))).toMatchObject({ kind: "ok" });
    expect(await api.create(resources.configMaps, configMap("once"))).toEqual({ kind: "exists" });
    expect(await api.get(resources.configMaps, key("never"))).toMatchObject({ kind: "notFound" });
    const elsewhere = await api.create(resources.configMaps, configMap("a", {}, { namespace: "nowhere" }));
    expect(elsewhere).toEqual({ kind: "notFound", message: 'namespaces "nowhere" not found' });
    expect(await api.create(resources.configMaps, configMap("Not_A_Name"))).toMatchObject({
      kind: "refused",
      status: 422,
      reason: "Invalid",
    });
    expect(await api.delete(resources.configMaps, key("once"))).toMatchObject({ kind: "ok", object: { kind: "Status" } });
    expect(await api.delete(resources.configMaps, key("once"))).toMatchObject({ kind: "notFound" });
  });

  test("every write keeps its preconditions", async () => {
    const first = objectOf(await api.create(resources.configMaps, configMap("guarded", { x: "1" })));
    const second = objectOf(await api.replace(resources.configMaps, { ...first, data: { x: "2" } }));
    const { uid = "", resourceVersion = "" } = second.metadata;
    const stale = { uid, resourceVersion: first.metadata.resourceVersion ?? "" };
    const other = { uid: "another", resourceVersion };
    expect(await api.replace(resources.configMaps, first)).toMatchObject({ kind: "conflict" });
    for (const metadata of [stale, other]) {
      expect(await api.patch(resources.configMaps, key("guarded"), { metadata, data: { y: "1" } })).toMatchObject({ kind: "conflict" });
      expect(await api.apply(resources.configMaps, configMap("guarded", { z: "1" }, metadata))).toMatchObject({ kind: "conflict" });
      expect(await api.delete(resources.configMaps, key("guarded"), metadata)).toMatchObject({ kind: "conflict" });
    }
    expect(objectOf(await api.get(resources.configMaps, key("guarded"))).data).toEqual({ x: "2" });
    expect(await api.delete(resources.configMaps, key("guarded"), { uid, resourceVersion })).toMatchObject({ kind: "ok" });
  });

  test("applies what is ours and leaves the rest; an apply that changes nothing keeps the version", async () => {
    const applied = objectOf(await api.apply(resources.configMaps, configMap("shared", { ours: "1", gone: "1" })));
    objectOf(await api.patch(resources.configMaps, key("shared"), { data: { theirs: "1" } }));
    const again = objectOf(await api.apply(resources.configMaps, configMap("shared", { ours: "2" })));
    expect(again.data).toEqual({ ours: "2", theirs: "1" });
    const same = objectOf(await api.apply(resources.configMaps, configMap("shared", { ours: "2" })));
    expect(same.metadata.resourceVersion).toBe(again.metadata.resourceVersion);
    expect(same.metadata.uid).toBe(applied.metadata.uid);
    const tried = objectOf(await api.apply(resources.configMaps, configMap("shared", { ours: "3" }), { dryRun: true }));
    expect(tried.data).toMatchObject({ ours: "3" });
    expect(objectOf(await api.get(resources.configMaps, key("shared"))).data).toMatchObject({ ours: "2" });
  });

  test("merges a pod's conditions by their type, and writes a status apart from the rest", async () => {
    const containers = [{ name: "a", image: "a" }];
    const spec = { containers, automountServiceAccountToken: false };
    const metadata = { name: "conditions", namespace };
    const condition = (type: string) => ({ status: { conditions: [{ type, status: "True" }] } });
    // Without a controller manager there is no default service account until somebody makes it.
    await api.create(resources.serviceAccounts, { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default", namespace } });
    objectOf(await api.create<KubernetesObject>(resources.pods, { apiVersion: "v1", kind: "Pod", metadata, spec } as KubernetesObject));
    const how = { subresource: "status", strategic: true } as const;
    objectOf(await api.patch(resources.pods, key("conditions"), condition("a/b"), how));
    const both = objectOf(await api.patch(resources.pods, key("conditions"), condition("c/d"), how));
    expect(both.status?.conditions?.map(({ type }) => type).sort()).toEqual(["a/b", "c/d"]);
    const gone = await api.delete(resources.pods, key("conditions"), { gracePeriodSeconds: 0 });
    expect(gone).toMatchObject({ kind: "ok" });
  });

  test("lists page by page; a token and a version that are too old are expired", async () => {
    const names = Array.from({ length: 7 }, (_, index) => `page-${index}`);
    await Promise.all(names.map((name) => api.create(resources.configMaps, configMap(name, {}, { labels: { page: "yes" } }))));
    const list = async (token?: string): Promise<ObjectList<KubernetesObject>> =>
      objectOf(
        await api.list(resources.configMaps, {
          namespace,
          labelSelector: "page=yes",
          limit: 3,
          ...(token === undefined ? {} : { continueToken: token }),
        }),
      );
    const first = await list();
    const seen = [...first.items];
    for (let token = first.metadata.continue; token !== undefined; ) {
      const next = await list(token);
      expect(next.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
      seen.push(...next.items);
      token = next.metadata.continue;
    }
    expect(seen.map(({ kind, apiVersion, metadata: { name } }) => `${apiVersion} ${kind} ${name}`)).toEqual(
      names.map((name) => `v1 ConfigMap ${name}`),
    );

    await kubernetes.compact();
    const tokenResult = await api.list(resources.configMaps, { limit: 3, continueToken: first.metadata.continue ?? "" });
    expect(tokenResult).toMatchObject({ kind: "expired" });
    const watch = { resourceVersion: first.metadata.resourceVersion, timeoutSeconds: 5, signal: new AbortController().signal };
    expect(await api.watch(resources.configMaps, watch, () => undefined)).toMatchObject({ kind: "expired" });
  });

  test("watches with bookmarks until the time it asked for", async () => {
    const { metadata } = objectOf(await api.list(resources.configMaps));
    const events: WatchEvent<KubernetesObject>[] = [];
    const watch = { namespace, resourceVersion: metadata.resourceVersion, timeoutSeconds: 3, signal: new AbortController().signal };
    const result = api.watch<KubernetesObject>(resources.configMaps, watch, (event) => events.push(event));
    const { metadata: made } = objectOf(await api.create(resources.configMaps, configMap("watched")));
    await api.patch(resources.configMaps, key("watched"), { data: { x: "1" } });
    await api.delete(resources.configMaps, key("watched"));
    expect(await result).toEqual({ kind: "ok", object: "ended" });
    const changes = events.filter(({ type }) => type !== "BOOKMARK");
    expect(changes.map(({ type }) => type)).toEqual(["ADDED", "MODIFIED", "DELETED"]);
    expect(events.at(-1)?.type).toBe("BOOKMARK");
    const versions = changes.map((event) => (event.type === "ERROR" ? 0 : Number(event.object.metadata.resourceVersion)));
    expect(versions).toEqual([...versions].sort((a, b) => a - b));
    expect(versions[0]).toBe(Number(made.resourceVersion));
    expect(versions[2]).toBeGreaterThan(versions[1] ?? 0); // a deletion has a version of its own
  });

  test("a user is told what RBAC does not let him do, a service account is let in by the token of its file, also a new one", async () => {
    const annFile = await kubernetes.kubeconfigFor("ann");
    const ann = connect((kubeConfig) => kubeConfig.loadFromFile(annFile));
    expect(await ann.list(resources.pods)).toMatchObject({ kind: "refused", status: 403, reason: "Forbidden" });

    objectOf(
      await api.create(resources.serviceAccounts, { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "reader", namespace } }),
    );
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/reader/token`;
    const content = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: {} };
    const answer = await kubernetes.request("POST", path, { type: "application/json", content });
    const { token } = (answer.body as { readonly status: { readonly token: string } }).status;
    const tokenFile = join(kubernetes.folder, "reader.token");
    await writeFile(tokenFile, "not a token");
    const admin = new KubeConfig();
    admin.loadFromFile(kubernetes.kubeconfigFile);
    const cluster = admin.getCurrentCluster();
    if (cluster === null) throw new Error("no cluster");
    const account = () =>
      connect((kubeConfig) => {
        kubeConfig.loadFromClusterAndUser(cluster, { name: "reader", authProvider: { name: "tokenFile", config: { tokenFile } } });
      });
    expect(await account().list(resources.pods)).toMatchObject({ kind: "refused", status: 401 });
    await writeFile(tokenFile, `${token}\n`);
    const refused = await account().list(resources.pods);
    expect(refused).toMatchObject({ kind: "refused", status: 403, message: expect.stringContaining("serviceaccount:default:reader") });
  });

  test("a reflector lives through a frozen, a killed and a forgetful API server, and tells every change once", async () => {
    const cache = new ObjectCache<KubernetesObject>({ label: ({ metadata }) => Object.values(metadata.labels ?? {}) });
    const told: string[] = [];
    const reflector = new Reflector<KubernetesObject>({
      api,
      resource: resources.configMaps,
      namespace,
      labelSelector: "reflected",
      cache,
      onChange: (change) => told.push(`${change.kind} ${(change.kind === "deleted" ? change.before : change.after).metadata.name}`),
      clock: systemClock,
      random: Math.random,
      logger,
    });
    const reflected = (name: string, data: Record<string, string> = {}) => configMap(name, data, { labels: { reflected: "yes" } });
    const write = async (name: string, data: Record<string, string>) =>
      objectOf(await api.apply(resources.configMaps, reflected(name, data)));
    await write("r-1", {});
    reflector.start();
    await reflector.synced;
    cache.overlay(await write("r-2", {}));
    expect(cache.get(key("r-2"))?.metadata.managedFields).toBeUndefined();
    await waitFor(() => told.length === 2, { what: "both to be told" });

    kubernetes.apiServer.pause();
    const ask = async () => (await api.get(resources.configMaps, key("r-1"), { timeoutMs: 300 })).kind;
    await waitFor(async () => (await ask()) === "unavailable", { what: "a frozen API server to be unavailable" });
    kubernetes.apiServer.resume();
    await write("r-3", {});
    await waitFor(() => told.length === 3, { what: "r-3 to be told" });

    await kubernetes.apiServer.kill();
    expect(await api.get(resources.configMaps, key("r-1"))).toMatchObject({ kind: "unavailable" });
    await kubernetes.apiServer.start();
    await write("r-1", { x: "1" });
    objectOf(await api.delete(resources.configMaps, key("r-2")));
    await waitFor(() => told.length === 5, { what: "both changes to be told", deadlineMs: 30_000 });

    await kubernetes.compact(); // what it knows is forgotten: it has to list again
    await write("r-4", {});
    await waitFor(() => told.length === 6, { what: "r-4 to be told", deadlineMs: 30_000 });
    await reflector.stop();
    expect(told).toEqual(["added r-1", "added r-2", "added r-3", "changed r-1", "deleted r-2", "added r-4"]);
    expect(
      cache
        .byIndex("label", "yes")
        .map(({ metadata }) => metadata.name)
        .sort(),
    ).toEqual(["r-1", "r-3", "r-4"]);
  });

  test("two candidates hand a Lease over, with epochs that rise", async () => {
    const timing = { leaseMs: 3_000, renewDeadlineMs: 2_000, retryMs: 300 };
    const told: string[] = [];
    const candidate = (identity: string) => {
      const onStarted = (epoch: number) => void told.push(`${identity} leads in epoch ${epoch}`);
      const onStopped = (reason: string) => void told.push(`${identity} ${reason}`);
      return new LeaderElection({
        api,
        namespace,
        name: "election",
        identity,
        onStarted,
        onStopped,
        clock: systemClock,
        random: Math.random,
        logger,
        timing,
      });
    };
    const [one, two] = [candidate("one"), candidate("two")];
    one.start();
    await waitFor(() => one.isLeading(), { what: "one to lead" });
    two.start();
    expect(await one.raiseEpochAbove(6)).toEqual({ kind: "raised", epoch: 7 });
    objectOf(await api.delete(resources.leases, key("election")));
    await waitFor(async () => (await api.get(resources.leases, key("election"))).kind === "ok", { what: "the Lease to be made again" });
    await one.stop();
    await waitFor(() => two.isLeading(), { what: "two to lead" });
    expect(told).toEqual(["one leads in epoch 1", "one stopped", "two leads in epoch 8"]);
    await two.stop();
    expect(objectOf(await api.get(resources.leases, key("election"))).spec).toMatchObject({ holderIdentity: "", leaseTransitions: 7 });
  });

  test("an event that comes again is one event with a count", async () => {
    const regarding = objectOf(await api.create(resources.configMaps, configMap("eventful")));
    const recorder = new EventRecorder({
      api,
      reportingController: "pushfleet-operator",
      reportingInstance: "test-0",
      clock: systemClock,
      logger,
    });
    const events = async () =>
      objectOf(await api.list(resources.events, { namespace })).items.filter((event) => event.regarding?.name === "eventful");
    for (let count = 1; count <= 3; count += 1) {
      recorder.record({ regarding, type: "Warning", reason: "DrainBlocked", action: "Drain", note: "it would take too long" });
      await waitFor(async () => (await events()).some((event) => (event.series?.count ?? 1) === count), { what: `a count of ${count}` });
    }
    await recorder.stop();
    expect(await events()).toEqual([expect.objectContaining({ reason: "DrainBlocked", note: "it would take too long", type: "Warning" })]);
  });
});
