import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { limits } from "../../protocol/src/index.js";
import { findProgram } from "../peers/find-program.mjs";
import { KUBERNETES_START_DEADLINE_MS } from "../peers/kubernetes.js";
import { describeWithPeers } from "../peers/peer.js";
import { type RedisServer, startRedis } from "../peers/redis.js";
import { type TemporaryFolder, temporaryFolder } from "../peers/temporary-folder.js";
import { waitFor } from "../peers/wait-for.js";
import { AuditLog, grantedRights } from "../support/audit-log.js";
import { FleetInCluster } from "../support/fleet-in-cluster.js";
import { fleetImages, type OperatorCluster, startOperatorCluster } from "../support/operator-cluster.js";
import { OperatorInProcess } from "../support/operator-in-process.js";

const repository = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const manifests = repository("charts/pushfleet/manifests");
const account = "system:serviceaccount:pushfleet-system:pushfleet-operator";

/** Rights that no request shows: what for, and what they are tried with. */
const unseen = {
  "update pushfleet.dev/pushgateways/finalizers": "the plugin OwnerReferencesPermissionEnforcement, which is on here",
};

describeWithPeers(["kubernetes", "redis-server", "haproxy"], "the operator as its manifests install it", () => {
  let folder: TemporaryFolder;
  let cluster: OperatorCluster;
  let redis: RedisServer;
  let audit: AuditLog;
  let kubeconfigFile: string;
  let fleet: FleetInCluster;
  /** For it everything is older than it is: what was made a moment ago is not cleared away. */
  const later = new OperatorInProcess(limits.pruneAgeMs);

  beforeAll(async () => {
    folder = await temporaryFolder("operator-rights");
    audit = await AuditLog.of(account, folder.path);
    const images = {
      "pushfleet/gateway:0.1.0": fleetImages["pushfleet/gateway:test"],
      "pushfleet/router:0.1.0": fleetImages["pushfleet/router:test"],
      "haproxy:3.0": [findProgram("haproxy") ?? "haproxy"],
    };
    const apiServerFlags = [...audit.flags, "--enable-admission-plugins=OwnerReferencesPermissionEnforcement"];
    [redis, cluster] = await Promise.all([startRedis(), startOperatorCluster({ images }, { apiServerFlags })]);
    // Containers have no service account here: its name in a certificate stands for its token.
    const groups = ["system:serviceaccounts", "system:serviceaccounts:pushfleet-system", "system:authenticated"];
    kubeconfigFile = await cluster.kubernetes.kubeconfigFor(account, groups);
    const program = repository("operator/bin/pushfleet-operator.js");
    cluster.kubelet.images.set("pushfleet/operator:0.1.0", ["/usr/bin/env", `KUBECONFIG=${kubeconfigFile}`, process.execPath, program]);
    fleet = new FleetInCluster(cluster, "push", "demo", { jwtSecret: "a secret of thirty-two bytes or so", publishToken: "tell-me" });
    await cluster.createNamespace("push", "a secret of thirty-two bytes or so");
    await cluster.kubectl(["apply", "-f", manifests]);
  }, 2 * KUBERNETES_START_DEADLINE_MS);

  afterAll(async () => {
    fleet?.close();
    await later.stop();
    await cluster?.stop();
    await redis?.stop();
    await folder?.remove();
  });

  const kubectl = (...args: readonly string[]) => cluster.kubectl(["-n", "push", ...args]);
  const names = async (kind: string): Promise<readonly string[]> => (await kubectl("get", kind, "-o", "name")).split("\n").filter(Boolean);
  const withHaproxy = { loadBalancer: { kind: "HAProxy", service: { type: "ClusterIP" }, haproxy: { replicas: 1 } } };

  test("kubectl apply makes two replicas that become ready, and a fleet that delivers", async () => {
    await cluster.kubectl(["-n", "pushfleet-system", "rollout", "status", "deployment/pushfleet-operator", "--timeout=60s"]);
    await cluster.apply(...fleet.secrets, fleet.manifest(redis.url, withHaproxy));
    await fleet.waitUntilServing();
    const device = await fleet.connect("usr_1", "phone");
    expect(await fleet.publish("usr_1", "n1")).toBe(202);
    await waitFor(() => device.notified.includes("n1"), { what: "the notification" });
  }, 120_000);

  test("what is edited, changed by hand and deleted by hand is put right", async () => {
    const uid = async (kind: string): Promise<string> =>
      await kubectl("get", kind, "demo", "-o", "jsonpath={.metadata.uid}", "--ignore-not-found");
    for (let times = 0; times < 2; times += 1) {
      const before = await uid("service");
      await kubectl("delete", "service", "demo");
      await waitFor(async () => ![before, ""].includes(await uid("service")), { what: "the Service to be put back" });
    }
    const series = async (): Promise<string> =>
      await kubectl("get", "events.events.k8s.io", "-o", "jsonpath={.items[?(@.reason=='PutBack')].series.count}");
    await waitFor(async () => (await series()) !== "", { what: "the second of its events to be counted" });

    // The watch does not see a gateway without its label: it is looked at before another one is made.
    const [gateway] = await fleet.podsOf("gateway");
    const label = "app.kubernetes.io/managed-by";
    await kubectl("label", "pod", gateway?.metadata.name ?? "", `${label}-`);
    await waitFor(async () => (await fleet.podsOf("gateway")).every(({ metadata }) => metadata.labels?.[label] !== undefined), {
      what: "the gateway's label to be put back",
    });

    const secret = `${gateway?.metadata.name}-tls`;
    const before = await fleet.readSecret(secret);
    await kubectl("patch", "secret", secret, "-p", JSON.stringify({ stringData: { "tls.crt": "no certificate" } }));
    const isRight = async (): Promise<boolean> =>
      !["no certificate", before["tls.crt"]].includes((await fleet.readSecret(secret))["tls.crt"]);
    await waitFor(isRight, { what: "the gateway's certificate to be made again" });
  });

  test("what is not needed any more is deleted, by the replica that leads next", async () => {
    await cluster.kubectl(["-n", "pushfleet-system", "scale", "deployment/pushfleet-operator", "--replicas=0"]);
    await later.start({ kubeconfig: kubeconfigFile, id: "later", deployment: "pushfleet-operator" });
    fleet.close(); // nobody to move: the roll is short
    const [gateway] = await fleet.podsOf("gateway");
    const { auth } = fleet.spec(redis.url).gateway;
    await cluster.apply(fleet.manifest(redis.url, { gateway: { workers: 1, auth, heartbeat: { intervalSeconds: 25 } } }));
    const left = async (): Promise<readonly string[]> => [
      ...(await names("deployments")),
      ...(await names("secrets")),
      ...(await names("pods")),
    ];
    const old = ["deployment.apps/demo-haproxy", `pod/${gateway?.metadata.name}`, `secret/${gateway?.metadata.name}-tls`];
    await waitFor(async () => !(await left()).some((one) => old.includes(one)), {
      what: `without ${old}`,
      deadlineMs: 60_000,
      intervalMs: 200,
    });
    await kubectl("delete", "pushgateway", "demo", "--wait=false");
    await waitFor(async () => (await names("pushgateways")).length === 0, { what: "the fleet to be gone", deadlineMs: 60_000 });
  }, 120_000);

  test("the operator was refused nothing, and may do nothing that it did not do", async () => {
    await cluster.kubectl(["-n", "pushfleet-system", "delete", "deployment", "pushfleet-operator"]);
    await later.stop(); // looks whether its Deployment is gone
    const { used, forbidden } = await audit.read();
    const granted = grantedRights(await readFile(`${manifests}/rights.yaml`, "utf8"));
    expect(forbidden).toEqual([]);
    expect([...used].filter((right) => !granted.has(right)).sort()).toEqual([]);
    expect([...granted].filter((right) => !used.has(right)).sort()).toEqual(Object.keys(unseen));
  });
});
