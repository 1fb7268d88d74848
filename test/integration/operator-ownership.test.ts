import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithPeers } from "../peers/peer.js";
import type { RunningProcess } from "../peers/process.js";
import { waitFor } from "../peers/wait-for.js";
import { DEMO_START_DEADLINE_MS, DemoFleet, place } from "../support/operator-demo.js";
import { ServedFleet } from "../support/operator-served.js";

describeWithPeers(["kubernetes", "redis-server"], "what a fleet owns", () => {
  const kinds = "pods,services,deployments,replicasets,configmaps,secrets,pdb,networkpolicies,serviceaccounts,controllerrevisions";
  const demo = new DemoFleet();
  let operator: RunningProcess;

  beforeAll(async () => {
    await demo.start();
    operator = await demo.cluster.startOperator({ changes: { deployment: "pushfleet-operator" } });
    await demo.make();
  }, DEMO_START_DEADLINE_MS);

  afterAll(() => demo.stop());

  const owned = async () => (await demo.kubectl("get", kinds, "-l", "pushfleet.dev/fleet=demo", "-o", "name")).trim();
  const noFleet = async () => (await demo.cluster.fleet("push", "demo")) === undefined;

  /** What one part of an object is now, by JSON path. */
  const read = (object: string, path: string) => demo.kubectl("get", object, "--ignore-not-found", "-o", `jsonpath=${path}`);

  const isPutBack = async (object: string, path: string, patch: string): Promise<void> => {
    const before = await read(object, path);
    await demo.kubectl("patch", object, "--type=json", "-p", patch);
    await waitFor(async () => (await read(object, path)) === before, { what: `${object} as it was`, deadlineMs: 10_000 });
  };

  test.each([
    ["a port", "service/demo-router", "{.spec.ports[0].port}", '[{"op":"replace","path":"/spec/ports/0/port","value":9999}]'],
    ["a number of replicas", "deployment/demo-router", "{.spec.replicas}", '[{"op":"replace","path":"/spec/replicas","value":3}]'],
    ["a rule", "networkpolicy/demo-gateway", "{.spec.ingress}", '[{"op":"add","path":"/spec/ingress/-","value":{}}]'],
    ["a budget", "poddisruptionbudget/demo-gateways", "{.spec.minAvailable}", '[{"op":"replace","path":"/spec/minAvailable","value":0}]'],
  ])("%s that somebody changed is put back", async (_what, object, path, patch) => await isPutBack(object, path, patch));

  test("so are an object that somebody deleted, a pod's labels, and its certificate; each told once", async () => {
    await demo.kubectl("delete", "service/demo-gateways");
    await waitFor(async () => (await read("service/demo-gateways", "{.metadata.name}")) === "demo-gateways", { what: "the Service" });
    const [pod] = await demo.cluster.gateways("push", "demo");
    const name = pod?.metadata.name ?? expect.unreachable();
    const labels = () => read(`pod/${name}`, "{.metadata.labels}");
    const before = await labels();
    await demo.kubectl(
      "label",
      "pod",
      name,
      "pushfleet.dev/pool-",
      "pushfleet.dev/counted-",
      "app.kubernetes.io/managed-by-",
      "pushfleet.dev/fleet-",
    );
    await waitFor(async () => (await labels()) === before, { what: "the pod's labels", deadlineMs: 15_000 });
    await demo.kubectl("delete", "secret", `${name}-tls`);
    await waitFor(async () => (await read(`secret/${name}-tls`, "{.type}")) === "kubernetes.io/tls", {
      what: "its certificate",
      deadlineMs: 15_000,
    });
    const events = async () =>
      (await demo.kubectl("get", "events", "--field-selector", "reason=PutBack", "-o", "jsonpath={.items[*].message}")) ?? "";
    await waitFor(async () => (await events()).includes(`Pod ${name}`), { what: "the events" });
    expect((await events()).split("Service demo-gateways was deleted")).toHaveLength(2);
    expect((await demo.cluster.gateways("push", "demo")).map((one) => one.metadata.uid)).toContain(pod?.metadata.uid);
    await demo.settled(2);
  }, 60_000);

  test("so is the owner of a gateway, which is told and not made anew", async () => {
    const [, pod] = await demo.cluster.gateways("push", "demo");
    const { name, uid } = pod?.metadata ?? expect.unreachable();
    const owner = () => read(`pod/${name}`, "{.metadata.ownerReferences[0].name} {.metadata.ownerReferences[0].controller}");
    await demo.kubectl("patch", "pod", name, "--type=merge", "-p", '{"metadata":{"ownerReferences":null}}');
    await waitFor(async () => (await owner()) === "demo true", { what: "the pod's owner", deadlineMs: 5_000 });
    const told = () => demo.kubectl("get", "events", "--field-selector", "reason=PutBack", "-o", "jsonpath={.items[*].message}");
    await waitFor(async () => (await told()).includes(`Pod ${name} was changed`), { what: "the event" });
    await demo.settled(2);
    expect((await demo.cluster.gateways("push", "demo")).map((one) => one.metadata.uid)).toContain(uid);
  }, 60_000);

  test.each(["default", "router"])(
    "so is the configuration of revision demo-%s-…, which cannot be edited but replaced; told once",
    async (part) => {
      const names = (
        await demo.kubectl("get", "configmaps", "-l", "pushfleet.dev/fleet=demo", "-o", "jsonpath={.items[*].metadata.name}")
      ).split(" ");
      const name = names.find((one) => one.startsWith(`demo-${part}-`)) ?? expect.unreachable();
      const configMap = JSON.parse(await demo.kubectl("get", "configmap", name, "-o", "json")) as {
        readonly metadata: object;
        readonly data: Readonly<Record<string, string>>;
      };
      const [[file, text] = expect.unreachable()] = Object.entries(configMap.data);
      const metadata = { ...configMap.metadata, resourceVersion: undefined, uid: undefined };
      const content = JSON.stringify({ ...configMap, metadata, data: { [file]: `${text}\n# by hand` } });
      const path = "/api/v1/namespaces/push/configmaps";
      const send = (method: string, to: string) => demo.cluster.kubernetes.request(method, to, { type: "application/json", content });
      expect(await send("PUT", `${path}/${name}`)).toMatchObject({ status: 422 });
      // The operator is nearly as fast in making it again.
      const replace = async (): Promise<boolean> => {
        await demo.cluster.kubernetes.request("DELETE", `${path}/${name}`);
        return (await send("POST", path)).status === 201;
      };
      await waitFor(replace, { what: "another in its place", deadlineMs: 10_000 });
      const now = async () =>
        JSON.parse((await demo.kubectl("get", "configmap", name, "--ignore-not-found", "-o", "json")) || "{}") as typeof configMap;
      await waitFor(async () => (await now()).data?.[file] === text, { what: "the configuration as it was", deadlineMs: 10_000 });
      const told = `ConfigMap ${name} was changed by somebody else`;
      const events = async () =>
        await demo.kubectl("get", "events", "--field-selector", "reason=PutBack", "-o", "jsonpath={.items[*].message}");
      await waitFor(async () => (await events()).includes(told), { what: "the event" });
      expect((await events()).split(told)).toHaveLength(2);
      await demo.settled(2);
    },
  );

  // After those that look for events: of one object no more than a number of normal ones are written.
  test.each([
    ["a label in a selector", "service/demo", "{.spec.selector}", '[{"op":"add","path":"/spec/selector/by","value":"hand"}]'],
    [
      "a label in a budget's selector",
      "poddisruptionbudget/demo-gateways",
      "{.spec.selector}",
      '[{"op":"add","path":"/spec/selector/matchLabels/by","value":"hand"}]',
    ],
    [
      "a label in a policy's selector",
      "networkpolicy/demo-gateway",
      "{.spec.podSelector}",
      '[{"op":"add","path":"/spec/podSelector/matchLabels/by","value":"hand"}]',
    ],
    [
      "a field of a template",
      "deployment/demo-router",
      "{.spec.template.spec}",
      '[{"op":"add","path":"/spec/template/spec/nodeSelector","value":{"by":"hand"}}]',
    ],
  ])("%s, which somebody added, is taken away", async (_what, object, path, patch) => await isPutBack(object, path, patch));

  test("an annotation that `kubectl rollout restart` writes stays", async () => {
    const at = () => read("deployment/demo-router", "{.spec.template.metadata.annotations.kubectl\\.kubernetes\\.io/restartedAt}");
    await demo.kubectl("rollout", "restart", "deployment/demo-router");
    const restartedAt = await at();
    expect(restartedAt).not.toBe("");
    await demo.kubectl("patch", "service/demo-router", "--type=json", "-p", '[{"op":"replace","path":"/spec/ports/0/port","value":9999}]');
    await waitFor(async () => (await read("service/demo-router", "{.spec.ports[0].port}")) !== "9999", { what: "a turn of the fleet" });
    expect(await at()).toBe(restartedAt);
  });

  test("goes with the fleet: clients are told to try again later, then nothing is left; the name can be used again", async () => {
    const served = await ServedFleet.connect(demo.cluster, place, 6);
    await demo.kubectl("delete", "pgw", "demo", "--wait=false");
    const isToldLater = (state: (typeof served.devices)[number]["client"]["state"]): boolean =>
      state.kind === "connecting" && state.inMs > 10_000;
    await waitFor(() => served.devices.every(({ client }) => isToldLater(client.state)), {
      what: "1013 at every client",
      deadlineMs: 30_000,
    });
    await waitFor(noFleet, { what: "the PushGateway to be gone", deadlineMs: 60_000 });
    await waitFor(async () => (await owned()) === "", { what: "nothing to be left", deadlineMs: 60_000, intervalMs: 200 });
    await served.close();
    await demo.make();
  }, 180_000);

  test("can be deleted without an operator when that was uninstalled first, and not when it merely stopped", async () => {
    const deployment = {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "pushfleet-operator", namespace: "pushfleet-system" },
    };
    const labels = { app: "operator" };
    const template = { metadata: { labels }, spec: { containers: [{ name: "operator", image: "none" }] } };
    await demo.cluster.apply({ ...deployment, spec: { replicas: 0, selector: { matchLabels: labels }, template } });
    const finalizers = async () => (await demo.cluster.fleet("push", "demo"))?.metadata.finalizers ?? [];
    expect((await operator.stop()).code).toBe(0);
    expect(await finalizers()).toContain("pushfleet.dev/drain");
    const added = { template: { spec: { nodeSelector: { by: "hand" } } } };
    await demo.kubectl("patch", "deployment/demo-router", "--type=merge", "-p", JSON.stringify({ spec: added }));
    operator = await demo.cluster.startOperator({ changes: { deployment: "pushfleet-operator" } });
    await operator.waitForLine((line) => line.includes('"msg":"leads"'), { what: "to lead", deadlineMs: 30_000 });
    const nodeSelector = () => read("deployment/demo-router", "{.spec.template.spec.nodeSelector}");
    await waitFor(async () => (await nodeSelector()) === "", { what: "what was added without an operator to be taken away" });
    await demo.cluster.kubectl(["-n", "pushfleet-system", "delete", "deployment", "pushfleet-operator"]);
    expect((await operator.stop()).code).toBe(0);
    expect(await finalizers()).toEqual([]);
    expect((await demo.cluster.gateways("push", "demo")).length).toBe(2);
    await demo.kubectl("delete", "pgw", "demo", "--wait=false");
    await waitFor(noFleet, { what: "the PushGateway to be gone", deadlineMs: 30_000 });
    await waitFor(async () => (await owned()) === "", { what: "nothing to be left", deadlineMs: 120_000, intervalMs: 200 });
  }, 240_000);

  test("goes with its namespace, and the operator serves others", async () => {
    operator = await demo.cluster.startOperator();
    // Kubernetes looks at a namespace again after half of the time that its pods may take to end.
    await demo.make({ drain: { reconnectsPerSecond: 200, deadlineSeconds: 20, stragglerGraceSeconds: 1 } });
    await demo.cluster.kubectl(["delete", "namespace", "push", "--wait=false"]);
    const isGone = async () => (await demo.cluster.kubernetes.request("GET", "/api/v1/namespaces/push")).status === 404;
    await demo.createNamespace("other");
    await demo.apply({ namespace: "other" });
    await demo.cluster.waitForFleet("other", "demo", "serving 2", ({ status }) => status?.pods?.serving === 2);
    await waitFor(isGone, { what: "the namespace to be gone", deadlineMs: 150_000, intervalMs: 500 });
  }, 240_000);
});
