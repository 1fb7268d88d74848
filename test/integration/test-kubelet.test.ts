import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { parse } from "yaml";
import { findProgram } from "../peers/find-program.mjs";
import { KUBERNETES_START_DEADLINE_MS, type KubernetesServer, startKubernetes } from "../peers/kubernetes.js";
import { describeWithPeers } from "../peers/peer.js";
import { isProcessAlive } from "../peers/process-alive.js";
import { type RedisServer, startRedis } from "../peers/redis.js";
import { type TemporaryFolder, temporaryFolder } from "../peers/temporary-folder.js";
import { waitFor } from "../peers/wait-for.js";
import { Device, signToken } from "../support/device.js";
import { KubeletApi } from "../support/kubelet/api.js";
import { balancerYaml, fleetYaml, jwtSecret, podYaml, serverSource } from "../support/kubelet/example-pods.js";
import { conditionOf, isConditionTrue, type Pod } from "../support/kubelet/objects.js";
import { startTestKubelet, type TestKubelet } from "../support/test-kubelet.js";

const gate = '  readinessGates: [{ conditionType: "pushfleet.dev/accepting" }]';

describeWithPeers(["kubernetes", "redis-server", "haproxy"], "a test kubelet on a real API server", () => {
  let folder: TemporaryFolder;
  let kubernetes: KubernetesServer;
  let api: KubeletApi;
  let kubelet: TestKubelet;
  let redis: RedisServer;

  beforeAll(async () => {
    folder = await temporaryFolder("test-kubelet");
    writeFileSync(join(folder.path, "server.mjs"), serverSource);
    redis = await startRedis();
    kubernetes = await startKubernetes({ crd: false });
    api = new KubeletApi(kubernetes.kubeconfigFile);
    kubelet = await startTestKubelet({
      kubeconfigFile: kubernetes.kubeconfigFile,
      nodes: [{ name: "node-a" }, { name: "node-b", labels: { disk: "ssd" } }],
      images: {
        demo: [process.execPath, join(folder.path, "server.mjs")],
        gateway: [process.execPath, "gateway/bin/pushfleet-gateway.js"],
        haproxy: [findProgram("haproxy") ?? "haproxy"],
        router: [process.execPath, "router/bin/pushfleet-router.js"],
      },
    });
    await create("secrets", "{ metadata: { name: demo }, stringData: { password: geheim } }");
    await create("configmaps", '{ metadata: { name: demo }, data: { config.yaml: "port: 1, file: /etc/demo/x" } }');
    await create("services", "{ metadata: { name: demo }, spec: { clusterIP: None, selector: { app: demo }, ports: [{ port: 8080 }] } }");
    await waitFor(async () => (await api.get("/api/v1/namespaces/default/serviceaccounts/default")).status === 200, {
      what: "the account",
    });
  }, KUBERNETES_START_DEADLINE_MS);

  afterAll(async () => {
    await kubelet?.stop();
    await api?.close();
    await kubernetes?.stop();
    await redis?.stop();
    await folder?.remove();
  });

  const path = (plural: string, name = ""): string => `/api/v1/namespaces/default/${plural}${name === "" ? "" : `/${name}`}`;

  async function create(plural: string, yaml: string): Promise<void> {
    const { status, body } = await api.post(path(plural), parse(yaml) as object);
    expect(status, JSON.stringify(body)).toBe(201);
  }

  async function getPod(name: string): Promise<Pod | undefined> {
    const { status, body } = await api.get(path("pods", name));
    return status === 200 ? (body as Pod) : undefined;
  }

  const podThat = (name: string, what: string, matches: (pod: Pod) => unknown): Promise<Pod> =>
    waitFor(
      async () => {
        const pod = await getPod(name);
        return pod !== undefined && matches(pod) ? pod : undefined;
      },
      { what: `pod ${name} ${what}`, deadlineMs: 20_000, intervalMs: 50 },
    );

  const ready = (name: string): Promise<Pod> => podThat(name, "is ready", (pod) => isConditionTrue(pod, "Ready"));

  /** As the operator does. */
  const openGate = (name: string) => {
    const conditions = [{ type: "pushfleet.dev/accepting", status: "True" }];
    return api.patch(`${path("pods", name)}/status`, "strategic-merge", { status: { conditions } });
  };

  async function ask(pod: Pod, target: string): Promise<string> {
    return (await fetch(`http://${pod.status?.podIP}:8080${target}`)).text();
  }

  const remove = (name: string, options: object = {}) => api.delete(path("pods", name), options);
  const gone = (name: string): Promise<unknown> =>
    waitFor(async () => (await getPod(name)) === undefined, { what: `pod ${name} to be gone`, deadlineMs: 20_000 });

  test("runs a pod at its own address, ready once its containers and its gate are", async () => {
    await create("pods", podYaml("gated", gate));
    const waiting = await podThat("gated", "has ready containers", (pod) => isConditionTrue(pod, "ContainersReady"));
    expect(waiting.status?.phase).toBe("Running");
    expect(conditionOf(waiting, "Ready")).toMatchObject({ status: "False", reason: "ReadinessGatesNotReady" });
    await openGate("gated");
    const pod = await ready("gated");
    expect(isConditionTrue(pod, "pushfleet.dev/accepting")).toBe(true);
    expect(await ask(pod, "/healthz")).toBe("ok");
    const env = JSON.parse(await ask(pod, "/env"));
    expect(env).toMatchObject({ NAME: "gated", ADDRESS: pod.status?.podIP, PASSWORD: "geheim", PORT: "8080" });
    expect(await ask(pod, "/config")).toMatch(/^port: 1, file: \/tmp\/.+\/config\/x$/);
    expect(kubelet.process("gated")?.lines()).toContain(`listening on ${pod.status?.podIP}`);
  });

  test("starts a killed container again, and says so", async () => {
    const before = kubelet.process("gated")?.pid;
    await kubelet.kill("gated");
    const pod = await podThat("gated", "has restarted", ({ status }) => status?.containerStatuses?.[0]?.restartCount === 1);
    expect(pod.status?.containerStatuses?.[0]?.lastState?.terminated).toMatchObject({ exitCode: 137 });
    await ready("gated");
    expect(kubelet.process("gated")?.pid).not.toBe(before);
  });

  test("gives a changed ConfigMap to a running pod", async () => {
    const pod = await ready("gated");
    await api.patch(path("configmaps", "demo"), "merge", { data: { "config.yaml": "port: 2" } });
    await waitFor(async () => (await ask(pod, "/config")) === "port: 2", { what: "the new file" });
  });

  test("answers the names of a headless service with its ready pods, in the pods", async () => {
    await create("pods", podYaml("second"));
    const pods = [await ready("gated"), await ready("second")];
    const addresses = pods.map(({ status }) => status?.podIP ?? "").sort();
    const [pod = pods[1]] = pods;
    const lookUp = async (name: string): Promise<string> => (pod === undefined ? "" : ask(pod, `/lookup?name=${name}`));
    await waitFor(async () => (await lookUp("demo.default.svc.cluster.local")) === JSON.stringify(addresses), { what: "both addresses" });
    expect(await lookUp("nothing.default.svc")).toBe("ENOTFOUND");
    expect(new Set(pods.map(({ spec }) => spec?.nodeName)).size).toBe(2);
  });

  test("a container that keeps failing backs off", async () => {
    await create("pods", podYaml("crashing").replace("0.0.0.0", "no-such-host.invalid"));
    const pod = await podThat(
      "crashing",
      "backs off",
      ({ status }) => status?.containerStatuses?.[0]?.state?.waiting?.reason === "CrashLoopBackOff",
    );
    expect(pod.status?.containerStatuses?.[0]).toMatchObject({ ready: false, lastState: { terminated: { exitCode: 1 } } });
    expect(pod.status?.containerStatuses?.[0]?.lastState?.terminated?.message).toContain("ENOTFOUND");
    await remove("crashing");
    await gone("crashing");
  });

  test("waits for a secret, names a missing key, and goes on when it is there", async () => {
    await create("pods", podYaml("keyless").replace("name: demo, key", "name: later, key"));
    const reason = (what: string) => (pod: Pod) => pod.status?.containerStatuses?.[0]?.state?.waiting?.reason === what;
    await podThat("keyless", "lacks its secret", reason("CreateContainerConfigError"));
    await create("secrets", "{ metadata: { name: later }, stringData: { password: x } }");
    await ready("keyless");
    await remove("keyless", { gracePeriodSeconds: 0 });
  });

  test("says of an image it does not have that it cannot be pulled", async () => {
    await create("pods", podYaml("imageless").replace("image: demo", "image: nothing"));
    const waiting = (pod: Pod) => pod.status?.containerStatuses?.[0]?.state?.waiting?.reason === "ErrImagePull";
    const pod = await podThat("imageless", "cannot be pulled", waiting);
    expect(pod.status?.phase).toBe("Pending");
    await remove("imageless", { gracePeriodSeconds: 0 });
  });

  test("ends a pod whose sysctl its kubelet does not allow", async () => {
    const sysctls = (name: string): string => `  securityContext: { sysctls: [{ name: ${name}, value: "1" }] }`;
    await create("pods", podYaml("unsafe", sysctls("net.core.somaxconn")));
    const pod = await podThat("unsafe", "has failed", ({ status }) => status?.phase === "Failed");
    expect(pod.status).toMatchObject({ reason: "SysctlForbidden" });
    await create("pods", podYaml("safe", sysctls("net.ipv4.tcp_fin_timeout")));
    await ready("safe");
    await Promise.all(["safe", "unsafe"].map((name) => remove(name, { gracePeriodSeconds: 0 })));
  });

  test("says why no node takes a pod, and places it when one does", async () => {
    await create("pods", podYaml("picky", "  nodeSelector: { disk: ssd }"));
    await ready("picky");
    await kubelet.setUnschedulable("node-b");
    await create("pods", podYaml("homeless", "  nodeSelector: { disk: ssd }"));
    const pod = await podThat("homeless", "is not placed", (one) => conditionOf(one, "PodScheduled")?.status === "False");
    expect(conditionOf(pod, "PodScheduled")).toMatchObject({
      reason: "Unschedulable",
      message: expect.stringContaining("1 node(s) were unschedulable"),
    });
    await kubelet.setUnschedulable("node-b", false);
    await ready("homeless");
    await Promise.all(["picky", "homeless"].map((name) => remove(name, { gracePeriodSeconds: 0 })));
  });

  test("ends a deleted pod with its preStop and SIGTERM, then its object", async () => {
    await ready("second");
    const process = kubelet.process("second");
    const beganMs = Date.now();
    await remove("second");
    await gone("second");
    expect(Date.now() - beganMs).toBeGreaterThan(900);
    expect(process?.lines()).toContain("terminating");
    expect(await process?.exited).toMatchObject({ code: 0 });
  });

  test("kills at the end of the grace period what does not answer", async () => {
    await create("pods", podYaml("frozen"));
    await ready("frozen");
    const process = kubelet.process("frozen");
    kubelet.freeze("frozen");
    await podThat("frozen", "is not ready", (pod) => !isConditionTrue(pod, "Ready"));
    await remove("frozen", { gracePeriodSeconds: 2 });
    await gone("frozen");
    expect(await process?.exited).toMatchObject({ signal: "SIGKILL" });
  });

  test("evicts, unless a disruption budget forbids it", async () => {
    await create("pods", podYaml("evicted"));
    await ready("evicted");
    const budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    const spec = { minAvailable: 1_000, selector: { matchLabels: { app: "demo" } } };
    await api.post(budgets, { apiVersion: "policy/v1", kind: "PodDisruptionBudget", metadata: { name: "never" }, spec });
    await waitFor(async () => (await api.get(`${budgets}/never`)).status === 200, { what: "the budget" });
    expect((await kubelet.evict("evicted")).status).toBe(429);
    expect(isConditionTrue(await ready("evicted"), "Ready")).toBe(true);
    await api.delete(`${budgets}/never`, {});
    const isGranted = async (): Promise<boolean> => (await kubelet.evict("evicted")).status === 201;
    await waitFor(isGranted, { what: "the eviction to be granted", intervalMs: 100 });
    await gone("evicted");
  });

  test("a killed node's processes end, its pods stay until they are deleted by force, and start again when it is back", async () => {
    await create("pods", podYaml("stranded", "  nodeName: node-b"));
    const { metadata } = await ready("stranded");
    const pid = kubelet.process("stranded")?.pid ?? 0;
    await kubelet.killNode("node-b");
    expect(isProcessAlive(pid)).toBe(false);
    await podThat("stranded", "is not ready", (pod) => !isConditionTrue(pod, "Ready"));
    expect((await getPod("stranded"))?.metadata.uid).toBe(metadata.uid);
    await kubelet.reviveNode("node-b");
    const back = await ready("stranded");
    expect(back.status?.containerStatuses?.[0]?.restartCount).toBe(1);
    const again = kubelet.process("stranded")?.pid ?? 0;
    await remove("stranded", { gracePeriodSeconds: 0 });
    await waitFor(() => !isProcessAlive(again), { what: "its process to be killed" });
  });

  test("runs real gateways and a router, which find each other by the names and addresses of their pods", async () => {
    for (const [plural, yaml] of fleetYaml(redis.url)) await create(plural, yaml);
    const [router, first, second] = await Promise.all(["router", "gateway-1", "gateway-2"].map(ready));
    const device = async (gateway: Pod | undefined, user: string): Promise<Device> => {
      const url = `ws://${gateway?.status?.podIP}:8080/connect`;
      return new Device({ url, user, device: "phone", token: await signToken(user, jwtSecret, 300) });
    };
    const devices = [await device(first, "usr_1"), await device(second, "usr_2")];
    onTestFinished(() => {
      for (const { client } of devices) client.close();
    });
    await waitFor(() => devices.every(({ isLive }) => isLive), { what: "both devices to be live" });
    const response = await fetch(`http://${router?.status?.podIP}:8081/v1/notifications`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ user_ids: ["usr_1", "usr_2"], notification_id: "n1", data: { text: "hello" } }),
    });
    expect(response.status, await response.text()).toBe(202);
    await waitFor(() => devices.every(({ received }) => received.some(({ id }) => id === "n1")), { what: "n1 on both devices" });
  });

  test("an HAProxy in a pod follows the ready pods of a headless service", async () => {
    for (const [plural, yaml] of balancerYaml) await create(plural, yaml);
    const balancer = await ready("balancer");
    const askThrough = async (): Promise<string> => JSON.parse(await ask(balancer, "/env"))["NAME"];
    await waitFor(async () => (await askThrough()) === "gated", { what: "an answer of the pod that is there" });
    await create("pods", podYaml("third"));
    await waitFor(async () => (await askThrough()) === "third", { what: "an answer of the pod that came" });
  });

  test("goes on after the API server was away", async () => {
    await kubernetes.apiServer.restart();
    await create("pods", podYaml("after"));
    await ready("after");
  });

  test("leaves no process when it stops", async () => {
    const pids = ["gated", "after", "gateway-1", "balancer"].map((name) => kubelet.process(name)?.pid ?? 0);
    expect(pids.filter(isProcessAlive)).toEqual(pids);
    await kubelet.stop();
    expect(pids.filter(isProcessAlive)).toEqual([]);
  });

  test("with status only, pods run at once with nothing behind them, follow their gates, and go when they are deleted", async () => {
    const seen: string[] = [];
    const note =
      (what: string) =>
      (pod: Pod): unknown =>
        seen.push(`${pod.metadata.name} ${what}`);
    const many = await startTestKubelet({
      kubeconfigFile: kubernetes.kubeconfigFile,
      nodes: [{ name: "node-c", labels: { disk: "none" } }],
      statusOnly: true,
      statusStreams: { started: note("started"), changed: () => {}, ended: note("ended") },
    });
    onTestFinished(() => many.stop());
    const names = Array.from({ length: 20 }, (_, index) => `only-${index}`);
    for (const name of names) await create("pods", podYaml(name, `${gate}\n  nodeSelector: { disk: none }`));
    for (const name of names)
      await podThat(name, "runs", (pod) => isConditionTrue(pod, "ContainersReady") && !isConditionTrue(pod, "Ready"));
    await openGate("only-0");
    expect((await ready("only-0")).status?.phase).toBe("Running");
    expect(many.process("only-0")).toBeUndefined();
    for (const name of names) await remove(name);
    for (const name of names) await gone(name);
    await waitFor(() => seen.length === 40, { what: "the end of each" });
    expect(new Set(seen)).toEqual(new Set(names.flatMap((name) => [`${name} started`, `${name} ended`])));
  });
});
