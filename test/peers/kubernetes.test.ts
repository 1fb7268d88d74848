import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { KUBERNETES_START_DEADLINE_MS, type KubernetesAnswer, type KubernetesServer, startKubernetes } from "./kubernetes.js";
import { describeWithPeers } from "./peer.js";
import { isProcessAlive } from "./process-alive.js";
import { waitFor } from "./wait-for.js";

const FLEETS = "/apis/pushfleet.dev/v1alpha1/namespaces/default/pushgateways";
const CONFIG_MAPS = "/api/v1/namespaces/default/configmaps";

describeWithPeers(["kubernetes"], "a Kubernetes of our own", () => {
  let kubernetes: KubernetesServer;
  beforeAll(async () => {
    kubernetes = await startKubernetes();
  }, KUBERNETES_START_DEADLINE_MS);
  afterAll(() => kubernetes.stop());

  const metadata = (answer: KubernetesAnswer): { readonly uid: string; readonly resourceVersion: string } =>
    (answer.body as { readonly metadata: { readonly uid: string; readonly resourceVersion: string } }).metadata;
  const create = async (path: string, content: object): Promise<KubernetesAnswer> => {
    const answer = await kubernetes.request("POST", path, { type: "application/json", content });
    expect(answer.status, JSON.stringify(answer.body)).toBe(201);
    return answer;
  };
  const createFleet = (name: string): Promise<KubernetesAnswer> =>
    create(FLEETS, { apiVersion: "pushfleet.dev/v1alpha1", kind: "PushGateway", metadata: { name }, spec: {} });
  const createConfigMap = (name: string, more: object = {}): Promise<KubernetesAnswer> =>
    create(CONFIG_MAPS, { metadata: { name, ...more }, data: { a: "1" } });
  const statusOf = async (path: string): Promise<number> => (await kubernetes.request("GET", path)).status;

  test("is the version that is pinned, and kubectl speaks to it", async () => {
    const { status, stdout } = await kubernetes.kubectl(["version", "--output=json"]);
    expect(status).toBe(0);
    const { clientVersion, serverVersion } = JSON.parse(stdout);
    expect([clientVersion.gitVersion, serverVersion.gitVersion]).toEqual(["v1.34.4", "v1.34.4"]);
  });

  test("has the PushGateway API, established, with a manual that kubectl explain prints", async () => {
    const established = ["wait", "--for=condition=Established", "--timeout=10s", "crd/pushgateways.pushfleet.dev"];
    await expect(kubernetes.kubectl(established)).resolves.toMatchObject({ status: 0 });
    const manual = await waitFor(
      async () => {
        const { stdout } = await kubernetes.kubectl(["explain", "pushgateway.spec.pools"]);
        return stdout.includes("minReplicas") && stdout;
      },
      { what: "kubectl explain" },
    );
    expect(manual).toContain("Pools of gateways, 1 to 16, each scaled by itself.");
    expect(manual).toMatch(/minReplicas\s+<integer>\n\s+Gateways the pool never goes below/);
    const { stdout } = await kubernetes.kubectl(["get", "pgw", "--output=wide"]);
    expect(stdout).toBe("");
  });

  test("a user may do what RBAC allows him and nothing else", async () => {
    const file = await kubernetes.kubeconfigFor("ann", ["readers"]);
    const asAnn = (...args: readonly string[]): ReturnType<KubernetesServer["kubectl"]> =>
      kubernetes.kubectl([...args, `--kubeconfig=${file}`]);
    const { status, stderr } = await asAnn("get", "configmaps");
    expect({ status, stderr }).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('User "ann" cannot list resource "configmaps"'),
    });
    const bind = ["create", "clusterrolebinding", "readers", "--clusterrole=view", "--group=readers"];
    await expect(kubernetes.kubectl(bind)).resolves.toMatchObject({ status: 0 });
    await waitFor(async () => (await asAnn("get", "configmaps")).status === 0, { what: "the binding to count" });
    await expect(asAnn("get", "secrets")).resolves.toMatchObject({ status: 1 });
  });

  test("Pod Security refuses what a namespace's label forbids, and service accounts get tokens", async () => {
    const namespace = { metadata: { name: "restricted", labels: { "pod-security.kubernetes.io/enforce": "restricted" } } };
    await create("/api/v1/namespaces", namespace);
    await waitFor(async () => (await statusOf("/api/v1/namespaces/restricted/serviceaccounts/default")) === 200, {
      what: "the default service account",
    });
    const pod = { metadata: { name: "root" }, spec: { containers: [{ name: "main", image: "none" }] } };
    const refused = await kubernetes.request("POST", "/api/v1/namespaces/restricted/pods", { type: "application/json", content: pod });
    expect(refused).toMatchObject({ status: 403, body: { message: expect.stringContaining('violates PodSecurity "restricted:latest"') } });
    const token = await kubernetes.kubectl(["create", "token", "default", "--namespace=restricted"]);
    expect(token.stdout.split(".")).toHaveLength(3);
  });

  test.concurrent(
    "objects of an owner that is deleted are collected, and a namespace goes with what is in it",
    async () => {
      const { uid } = metadata(await createFleet("owner"));
      const owner = { apiVersion: "pushfleet.dev/v1alpha1", kind: "PushGateway", name: "owner", uid };
      await createConfigMap("owned", { ownerReferences: [owner] });
      await create("/api/v1/namespaces", { metadata: { name: "doomed" } });
      await create("/api/v1/namespaces/doomed/configmaps", { metadata: { name: "inside" } });
      await kubernetes.request("DELETE", `${FLEETS}/owner`);
      await kubernetes.request("DELETE", "/api/v1/namespaces/doomed");
      await waitFor(async () => (await statusOf(`${CONFIG_MAPS}/owned`)) === 404, { what: "the garbage collector", deadlineMs: 30_000 });
      await waitFor(async () => (await statusOf("/api/v1/namespaces/doomed")) === 404, { what: "the namespace to go", deadlineMs: 30_000 });
    },
    KUBERNETES_START_DEADLINE_MS,
  );

  test.concurrent(
    "a second one beside it has its own data; flags are taken, and one that is refused is an error with its words",
    async () => {
      const [second, refused] = await Promise.allSettled([
        startKubernetes({ controllerManager: false, crd: false, apiServerFlags: ["--watch-cache=false"] }),
        startKubernetes({ apiServerFlags: ["--unheard-of"] }),
      ]);
      expect(refused).toMatchObject({ status: "rejected", reason: { message: expect.stringContaining("unknown flag: --unheard-of") } });
      if (second.status === "rejected") throw second.reason;
      const { body } = await second.value.request("GET", "/api/v1/namespaces");
      expect(JSON.stringify(body)).not.toContain("restricted");
      await expect(second.value.request("GET", FLEETS)).resolves.toMatchObject({ status: 404 });
      expect(second.value.controllerManager.isRunning).toBe(false);
      await second.value.stop();
    },
    KUBERNETES_START_DEADLINE_MS,
  );

  test("a frozen API server answers nothing, and everything once it goes on", async () => {
    kubernetes.apiServer.pause();
    const answered = { value: false };
    const asked = statusOf(FLEETS).finally(() => {
      answered.value = true;
    });
    await delay(100);
    expect(answered.value).toBe(false);
    kubernetes.apiServer.resume();
    await expect(asked).resolves.toBe(200);
  });

  test(
    "data stays when the API server is stopped or killed and started again, and when etcd is restarted",
    async () => {
      await createConfigMap("kept");
      await kubernetes.apiServer.stop();
      expect(kubernetes.apiServer.isRunning).toBe(false);
      await expect(statusOf(`${CONFIG_MAPS}/kept`)).rejects.toThrow(/ECONNREFUSED|ECONNRESET|socket hang up/);
      await kubernetes.apiServer.start();
      await expect(statusOf(`${CONFIG_MAPS}/kept`)).resolves.toBe(200);
      await kubernetes.etcd.restart();
      await waitFor(async () => (await statusOf(`${CONFIG_MAPS}/kept`)) === 200, { what: "the API server to find etcd again" });
    },
    KUBERNETES_START_DEADLINE_MS,
  );

  test(
    "after compact a watch from an older version is told 410, and so is the next page of an older list",
    async () => {
      const { resourceVersion } = metadata(await createConfigMap("watched"));
      const page = await kubernetes.request("GET", `${CONFIG_MAPS}?limit=1`);
      const next = (page.body as { readonly metadata: { readonly continue: string } }).metadata.continue;
      const watch = `${CONFIG_MAPS}?watch=1&timeoutSeconds=1&resourceVersion=${resourceVersion}`;
      await expect(kubernetes.request("GET", watch)).resolves.toMatchObject({ status: 200, body: "" });
      await kubernetes.compact();
      const { body } = await kubernetes.request("GET", watch);
      expect(body).toMatchObject({ type: "ERROR", object: { code: 410, reason: "Expired" } });
      const nextPage = `${CONFIG_MAPS}?limit=1&continue=${encodeURIComponent(next)}`;
      await expect(kubernetes.request("GET", nextPage)).resolves.toMatchObject({ status: 410 });
    },
    KUBERNETES_START_DEADLINE_MS,
  );

  test("leaves no process and no folder when it is stopped", async () => {
    const pids = [kubernetes.etcd.pid, kubernetes.apiServer.pid, kubernetes.controllerManager.pid];
    expect(pids.filter(isProcessAlive)).toEqual(pids);
    await kubernetes.stop();
    expect(pids.filter(isProcessAlive)).toEqual([]);
    expect(existsSync(kubernetes.folder)).toBe(false);
  });
});
