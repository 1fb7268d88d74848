import { execFile } from "node:child_process";
import { promises as dns } from "node:dns";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { serveClusterDns } from "./cluster-dns.js";
import { type LoopbackNetwork, nameServerPort, takeNetwork } from "./kubelet/loopback-network.js";
import type { Pod, Service } from "./kubelet/objects.js";

const service = (name: string, spec: Service["spec"]): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name, namespace: "default" },
  spec: { selector: { app: "demo" }, ...spec },
});

const pod = (name: string, podIP: string, ready: "True" | "False", rest: Partial<Pod["metadata"]> = {}): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "default", labels: { app: "demo" }, ...rest },
  spec: { containers: [], hostname: name, subdomain: "pods" },
  status: { podIP, conditions: [{ type: "Ready", status: ready }] },
});

const services = [
  service("pods", { clusterIP: "None" }),
  service("all", { clusterIP: "None", publishNotReadyAddresses: true }),
  service("one", { clusterIP: "10.0.0.7" }),
  service("nobody", { clusterIP: "None", selector: { app: "other" } }),
];
const pods = [
  pod("b", "127.20.1.2", "True"),
  pod("a", "127.20.1.1", "True"),
  pod("late", "127.20.1.3", "False"),
  pod("going", "127.20.1.4", "True", { deletionTimestamp: "2026-01-01T00:00:00Z" }),
];

let network: LoopbackNetwork;
let resolver: dns.Resolver;

beforeAll(async () => {
  network = await takeNetwork();
  serveClusterDns(network.socket, { services: () => services, pods: () => pods });
  resolver = new dns.Resolver();
  resolver.setServers([`${network.prefix}.0.1:${nameServerPort}`]);
});
afterAll(() => network.socket.close());

test.each([
  ["pods.default.svc.cluster.local", ["127.20.1.1", "127.20.1.2"]],
  ["pods.default.svc", ["127.20.1.1", "127.20.1.2"]],
  ["all.default.svc", ["127.20.1.1", "127.20.1.4", "127.20.1.3", "127.20.1.2"].sort()],
  ["one.default.svc", ["127.20.1.1"]],
  ["b.pods.default.svc", ["127.20.1.2"]],
  ["127-20-1-2.pods.default.svc", ["127.20.1.2"]],
])("%s is %j", async (name, expected) => {
  expect((await resolver.resolve4(name)).sort()).toEqual(expected);
});

test.each(["nobody.default.svc", "pods.other.svc", "x.pods.default.svc", "example.org"])("%s is not there", async (name) => {
  await expect(resolver.resolve4(name)).rejects.toMatchObject({ code: "ENOTFOUND" });
});

test("a name has no other records", async () => {
  await expect(resolver.resolve6("pods.default.svc")).rejects.toMatchObject({ code: "ENODATA" });
});

test("a node process with the preload asks that server for cluster names only, each way there is", async () => {
  const script = `
    import dns, { lookup } from "node:dns";
    import { promisify } from "node:util";
    const name = "pods.default.svc";
    const failure = await dns.promises.lookup("gone.default.svc").catch((error) => error.code);
    console.log(JSON.stringify([
      await dns.promises.lookup(name, { all: true }), await dns.promises.lookup(name), await promisify(lookup)(name),
      await new Promise((done) => dns.lookup(name, { all: true }, (_, all) => done(all.length))),
      await new dns.promises.Resolver().resolve4(name), failure, (await dns.promises.lookup("localhost", 4)).address,
      await fetch("http://" + name + ":2").catch((error) => error.cause.code ?? error.cause.errors?.[0].code),
    ]));`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--import", new URL("cluster-dns-preload.mjs", import.meta.url).href, "--input-type=module", "-e", script],
    { env: { ...process.env, PUSHFLEET_TEST_CLUSTER_DNS: `${network.prefix}.0.1:${nameServerPort}` } },
  );
  const first = { address: "127.20.1.1", family: 4 };
  const both: readonly string[] = ["127.20.1.1", "127.20.1.2"];
  expect(JSON.parse(stdout)).toEqual([
    [first, { address: "127.20.1.2", family: 4 }],
    first,
    first,
    2,
    both,
    "ENOTFOUND",
    "127.0.0.1",
    "ECONNREFUSED",
  ]);
});
