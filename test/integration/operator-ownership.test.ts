import { afterAll, beforeAll, expect, test } from "vitest";
import { KUBERNETES_START_DEADLINE_MS } from "../peers/kubernetes.js";
import { describeWithPeers } from "../peers/peer.js";
import type { RunningProcess } from "../peers/process.js";
import { type RedisServer, startRedis } from "../peers/redis.js";
import { waitFor } from "../peers/wait-for.js";
import { type OperatorCluster, startOperatorCluster } from "../support/operator-cluster.js";
import { clientSecret, fleetManifest, publishersSecret, ServedFleet } from "../support/operator-served.js";

describeWithPeers(["kubernetes", "redis-server"], "what a fleet owns", () => {
  const place = { namespace: "push", name: "demo" };
  const kinds = "pods,services,deployments,replicasets,configmaps,secrets,pdb,networkpolicies,serviceaccounts,controllerrevisions";
  let cluster: OperatorCluster;
  let redis: RedisServer;
  let operator: RunningProcess;

  beforeAll(async () => {
    [redis, cluster] = await Promise.all([startRedis(), startOperatorCluster()]);
    await cluster.createNamespace("push", clientSecret);
    operator = await cluster.startOperator({ changes: { deployment: "pushfleet-operator" } });
    await cluster.apply(publishersSecret("push"), fleetManifest(place, redis.url));
    await serving();
  }, 3 * KUBERNETES_START_DEADLINE_MS);

  afterAll(async () => {
    await cluster?.stop();
    await redis?.stop();
  });

  const serving = () => cluster.waitForFleet("push", "demo", "serving 2", ({ status }) => status?.pods?.serving === 2);
  const push = (...args: readonly string[]) => cluster.kubectl(["-n", "push", ...args]);
  const owned = async () => (await push("get", kinds, "-l", "pushfleet.dev/fleet=demo", "-o", "name")).trim();
  const noFleet = async () => (await cluster.fleet("push", "demo")) === undefined;

  /** What one part of an object is now, by JSON path. */
  const read = (object: string, path: string) => push("get", object, "--ignore-not-found", "-o", `jsonpath=${path}`);

  test.each([
    ["a port", "service/demo-router", "{.spec.ports[0].port}", '[{"op":"replace","path":"/spec/ports/0/port","value":9999}]'],
    ["a number of replicas", "deployment/demo-router", "{.spec.replicas}", '[{"op":"replace","path":"/spec/replicas","value":3}]'],
    ["a rule", "networkpolicy/demo-gateway", "{.spec.ingress}", '[{"op":"add","path":"/spec/ingress/-","value":{}}]'],
    ["a budget", "poddisruptionbudget/demo-gateways", "{.spec.minAvailable}", '[{"op":"replace","path":"/spec/minAvailable","value":0}]'],
  ])("%s that somebody changed is put back", async (_what, object, path, patch) => {
    const before = await read(object, path);
    await push("patch", object, "--type=json", "-p", patch);
    await waitFor(async () => (await read(object, path)) === before, { what: `${object} as it was`, deadlineMs: 10_000 });
  });

  test("so are an object that somebody deleted, a pod's labels, and its certificate; each told once", async () => {
    await push("delete", "service/demo-gateways");
    await waitFor(async () => (await read("service/demo-gateways", "{.metadata.name}")) === "demo-gateways", { what: "the Service" });
    const [pod] = await cluster.gateways("push", "demo");
    const name = pod?.metadata.name ?? expect.unreachable();
    const labels = () => read(`pod/${name}`, "{.metadata.labels}");
    const before = await labels();
    await push(
      "label",
      "pod",
      name,
      "pushfleet.dev/pool-",
      "pushfleet.dev/counted-",
      "app.kubernetes.io/managed-by-",
      "pushfleet.dev/fleet-",
    );
    await waitFor(async () => (await labels()) === before, { what: "the pod's labels", deadlineMs: 15_000 });
    await push("delete", "secret", `${name}-tls`);
    await waitFor(async () => (await read(`secret/${name}-tls`, "{.type}")) === "kubernetes.io/tls", {
      what: "its certificate",
      deadlineMs: 15_000,
    });
    const events = async () =>
      (await push("get", "events", "--field-selector", "reason=PutBack", "-o", "jsonpath={.items[*].message}")) ?? "";
    await waitFor(async () => (await events()).includes(`Pod ${name}`), { what: "the events" });
    expect((await events()).split("Service demo-gateways was deleted")).toHaveLength(2);
    expect((await cluster.gateways("push", "demo")).map((one) => one.metadata.uid)).toContain(pod?.metadata.uid);
    await serving();
  }, 60_000);

  test.each(["default", "router"])(
    "so is the configuration of revision demo-%s-…, which cannot be edited but replaced; told once",
    async (part) => {
      const names = (await push("get", "configmaps", "-l", "pushfleet.dev/fleet=demo", "-o", "jsonpath={.items[*].metadata.name}")).split(
        " ",
      );
      const name = names.find((one) => one.startsWith(`demo-${part}-`)) ?? expect.unreachable();
      const configMap = JSON.parse(await push("get", "configmap", name, "-o", "json")) as {
        readonly metadata: object;
        readonly data: Readonly<Record<string, string>>;
      };
      const [[file, text] = expect.unreachable()] = Object.entries(configMap.data);
      const metadata = { ...configMap.metadata, resourceVersion: undefined, uid: undefined };
      const content = JSON.stringify({ ...configMap, metadata, data: { [file]: `${text}\n# by hand` } });
      const path = "/api/v1/namespaces/push/configmaps";
      const send = (method: string, to: string) => cluster.kubernetes.request(method, to, { type: "application/json", content });
      expect(await send("PUT", `${path}/${name}`)).toMatchObject({ status: 422 });
      // The operator is nearly as fast in making it again.
      const replace = async (): Promise<boolean> => {
        await cluster.kubernetes.request("DELETE", `${path}/${name}`);
        return (await send("POST", path)).status === 201;
      };
      await waitFor(replace, { what: "another in its place", deadlineMs: 10_000 });
      const now = async () =>
        JSON.parse((await push("get", "configmap", name, "--ignore-not-found", "-o", "json")) || "{}") as typeof configMap;
      await waitFor(async () => (await now()).data?.[file] === text, { what: "the configuration as it was", deadlineMs: 10_000 });
      const told = `ConfigMap ${name} was changed by somebody else`;
      const events = async () => await push("get", "events", "--field-selector", "reason=PutBack", "-o", "jsonpath={.items[*].message}");
      await waitFor(async () => (await events()).includes(told), { what: "the event" });
      expect((await events()).split(told)).toHaveLength(2);
      await serving();
    },
  );

  test("goes with the fleet: clients are told to try again later, then nothing is left; the name can be used again", async () => {
    const served = await ServedFleet.connect(cluster, place, 6);
    await push("delete", "pgw", "demo", "--wait=false");
    const isToldLater = (state: (typeof served.devices)[number]["client"]["state"]): boolean =>
      state.kind === "connecting" && state.inMs > 10_000;
    await waitFor(() => served.devices.every(({ client }) => isToldLater(client.state)), {
      what: "1013 at every client",
      deadlineMs: 30_000,
    });
    await waitFor(noFleet, { what: "the PushGateway to be gone", deadlineMs: 60_000 });
    await waitFor(async () => (await owned()) === "", { what: "nothing to be left", deadlineMs: 60_000, intervalMs: 200 });
    await served.close();
    await cluster.apply(fleetManifest(place, redis.url));
    await serving();
  }, 180_000);

  test("can be deleted without an operator when that was uninstalled first, and not when it merely stopped", async () => {
    const deployment = {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "pushfleet-operator", namespace: "pushfleet-system" },
    };
    const labels = { app: "operator" };
    const template = { metadata: { labels }, spec: { containers: [{ name: "operator", image: "none" }] } };
    await cluster.apply({ ...deployment, spec: { replicas: 0, selector: { matchLabels: labels }, template } });
    const finalizers = async () => (await cluster.fleet("push", "demo"))?.metadata.finalizers ?? [];
    expect((await operator.stop()).code).toBe(0);
    expect(await finalizers()).toContain("pushfleet.dev/drain");
    operator = await cluster.startOperator({ changes: { deployment: "pushfleet-operator" } });
    await operator.waitForLine((line) => line.includes('"msg":"leads"'), { what: "to lead", deadlineMs: 30_000 });
    await cluster.kubectl(["-n", "pushfleet-system", "delete", "deployment", "pushfleet-operator"]);
    expect((await operator.stop()).code).toBe(0);
    expect(await finalizers()).toEqual([]);
    expect((await cluster.gateways("push", "demo")).length).toBe(2);
    await push("delete", "pgw", "demo", "--wait=false");
    await waitFor(noFleet, { what: "the PushGateway to be gone", deadlineMs: 30_000 });
    await waitFor(async () => (await owned()) === "", { what: "nothing to be left", deadlineMs: 120_000, intervalMs: 200 });
  }, 240_000);

  test("goes with its namespace, and the operator serves others", async () => {
    operator = await cluster.startOperator();
    await cluster.apply(fleetManifest(place, redis.url));
    await serving();
    await cluster.kubectl(["delete", "namespace", "push", "--wait=false"]);
    const isGone = async () => (await cluster.kubernetes.request("GET", "/api/v1/namespaces/push")).status === 404;
    await cluster.createNamespace("other", clientSecret);
    await cluster.apply(publishersSecret("other"), fleetManifest({ namespace: "other", name: "demo" }, redis.url));
    await cluster.waitForFleet("other", "demo", "serving 2", ({ status }) => status?.pods?.serving === 2);
    await waitFor(isGone, { what: "the namespace to be gone", deadlineMs: 150_000, intervalMs: 500 });
  }, 240_000);
});
