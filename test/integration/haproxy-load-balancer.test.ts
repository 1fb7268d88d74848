import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { haproxyConfiguration } from "../../operator/src/kubernetes/objects/index.js";
import { freePorts } from "../peers/free-port.js";
import { checkHaproxyConfig, startHaproxy } from "../peers/haproxy.js";
import { describeWithPeers } from "../peers/peer.js";
import { waitFor } from "../peers/wait-for.js";
import { type ClusterNames, serveClusterDns } from "../support/cluster-dns.js";
import { exampleFleet, exampleOperator } from "../support/example-fleet.js";
import type { Pod, Service } from "../support/kubelet/objects.js";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const auth = { hs256SecretRef: { name: "jwt", key: "key" } };
const loadBalancer = { kind: "HAProxy" };
const pool = { name: "default", minReplicas: 1, maxReplicas: 3, softConnections: 100, hardConnections: 200 };

interface TestPorts {
  readonly first: number;
  readonly second: number;
  readonly health: number;
  readonly admin: number;
}

/** What a gateway is to its load balancer: it sends its address to each connection, and says whether it takes more. */
class FakeGateway {
  readonly address: string;
  isReady = true;
  readonly sockets = new Set<Socket>();

  constructor(address: string) {
    this.address = address;
  }

  async start({ first, second, health }: TestPorts): Promise<void> {
    for (const port of [first, second]) {
      await this.#listen(
        createServer((socket) => {
          this.sockets.add(socket);
          socket.on("error", () => {});
          socket.on("close", () => this.sockets.delete(socket));
          socket.on("data", (data) => socket.write(data));
          socket.write(`${this.address}:${port}`);
        }),
        port,
      );
    }
    await this.#listen(
      createHttpServer((_, response) => response.writeHead(this.isReady ? 200 : 503).end()),
      health,
    );
  }

  async #listen(server: Server, port: number): Promise<void> {
    server.listen(port, this.address);
    await once(server, "listening");
    cleanups.push(() => {
      for (const socket of this.sockets) socket.destroy();
      server.close();
    });
  }
}

const service: Service = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "demo-gateways", namespace: "push" },
  spec: { clusterIP: "None", publishNotReadyAddresses: true, selector: { app: "gateway" } },
};

const podOf = ({ address }: FakeGateway): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: `gateway-${address}`, namespace: "push", labels: { app: "gateway" } },
  status: { podIP: address, phase: "Running" },
});

async function startDns(gateways: readonly FakeGateway[]): Promise<number> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  cleanups.push(() => socket.close());
  const names: ClusterNames = { services: () => [service], pods: () => gateways.map(podOf) };
  serveClusterDns(socket, names);
  return (socket.address() as AddressInfo).port;
}

/** The operator's haproxy.cfg with the ports and the name server of a test in the place of a cluster's. */
function testConfiguration(clientPort: number, dnsPort: number, ports: TestPorts): string {
  const fleet = exampleFleet({ gateway: { auth, extraPorts: [8081] }, loadBalancer, pools: [pool] });
  return haproxyConfiguration(fleet, exampleOperator)
    .replace("parse-resolv-conf", `nameserver dns 127.0.0.1:${dnsPort}`)
    .replace("hold obsolete 10s", "hold obsolete 1s")
    .replace("bind :8080", `bind 127.0.0.1:${clientPort}`)
    .replace("bind :9093", `bind 127.0.0.1:${ports.admin}`)
    .replaceAll("check port 9091", `check port ${ports.health}`)
    .replaceAll("cluster.local:8080", `cluster.local:${ports.first}`)
    .replaceAll("cluster.local:8081", `cluster.local:${ports.second}`);
}

/** Connects and returns the socket with the gateway and port it came to; `undefined`: HAProxy closed or refused it. */
async function open(port: number): Promise<{ readonly socket: Socket; readonly server: string } | undefined> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  cleanups.push(() => socket.destroy());
  const server = await Promise.race([once(socket, "data").then(String), once(socket, "close").then(() => undefined)]).catch(
    () => undefined,
  );
  return server === undefined ? undefined : { socket, server };
}

/** As `open`; `undefined` too when it came to another server than one that begins with `wanted`. */
async function openTo(port: number, wanted: string) {
  const opened = await open(port);
  return opened?.server.startsWith(wanted) === true ? opened : undefined;
}

async function echo({ socket }: { readonly socket: Socket }): Promise<string | undefined> {
  if (socket.destroyed) return undefined;
  socket.write("still there");
  const [data] = await once(socket, "data");
  return String(data);
}

async function statusOf(port: number, path: string): Promise<number> {
  return (await fetch(`http://127.0.0.1:${port}${path}`)).status;
}

describeWithPeers(["haproxy"], "the HAProxy of a fleet", () => {
  test.each<[string, object]>([
    ["the defaults", { loadBalancer }],
    [
      "17 client ports and pools of thousands",
      {
        loadBalancer,
        gateway: { auth, extraPorts: [...Array(16).keys()].map((i) => 8081 + i) },
        pools: [{ name: "a", minReplicas: 1, maxReplicas: 1000 }],
      },
    ],
    ["a CPU limit", { loadBalancer: { kind: "HAProxy", haproxy: { replicas: 1, resources: { limits: { cpu: "2500m" } } } } }],
  ])("haproxy -c takes the configuration with %s", async (_, spec) => {
    expect(await checkHaproxyConfig(haproxyConfiguration(exampleFleet(spec), exampleOperator))).toEqual({ kind: "valid" });
  });

  test("connections go to the gateway with the fewest, gateways come by DNS, and a cordoned one keeps what it has, as does a stopping HAProxy", async () => {
    const [first, second = 0, health = 0, admin = 0] = await freePorts(4);
    const ports = { first, second, health, admin };
    const [one, two] = [new FakeGateway("127.91.0.1"), new FakeGateway("127.91.0.2")];
    const gateways: FakeGateway[] = [];
    await Promise.all([one.start(ports), two.start(ports)]);
    const dnsPort = await startDns(gateways);
    const haproxy = await startHaproxy((port) => testConfiguration(port, dnsPort, ports));
    cleanups.push(() => haproxy.stop());

    expect(await statusOf(admin, "/healthz")).toBe(200);
    expect(await statusOf(admin, "/readyz")).toBe(503);
    expect(await open(haproxy.port)).toBeUndefined();

    gateways.push(one);
    await waitFor(async () => (await statusOf(admin, "/readyz")) === 200, { what: "the first gateway to be found" });
    const held = [first, second].map((port) =>
      waitFor(() => openTo(haproxy.port, `${one.address}:${port}`), { what: `a connection to port ${port} of the first gateway` }),
    );
    await Promise.all(held);

    gateways.push(two);
    await waitFor(() => openTo(haproxy.port, two.address), { what: "the second gateway to be used, without a reload" });

    one.isReady = false;
    const backendsOf = (what: string): readonly string[] => [
      ...new Set(haproxy.process.lines().flatMap((line) => (line.includes(what) ? /gateways-\d+/.exec(line) : null)?.[0] ?? [])),
    ];
    await waitFor(() => backendsOf("is DOWN").length === 2, { what: "both ports of the cordoned gateway to be left" });
    const later = await Promise.all(Array.from({ length: 6 }, () => open(haproxy.port)));
    expect(later.map((opened) => opened?.server.split(":")[0])).toEqual(later.map(() => two.address));
    for (const opened of held) expect(await echo(await opened)).toBe("still there");

    gateways.splice(gateways.indexOf(one), 1);
    await waitFor(() => backendsOf("enters maintenance").length === 2, { what: "the gateway to be gone from the names" });
    for (const opened of held) expect(await echo(await opened)).toBe("still there");

    haproxy.process.signal("SIGUSR1"); // the stop signal of its images
    await waitFor(async () => (await open(haproxy.port)) === undefined, { what: "the stopping HAProxy to take no more" });
    for (const opened of held) expect(await echo(await opened)).toBe("still there");
  });
});
