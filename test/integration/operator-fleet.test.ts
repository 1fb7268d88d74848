import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { findProgram } from "../peers/find-program.mjs";
import { KUBERNETES_START_DEADLINE_MS } from "../peers/kubernetes.js";
import { describeWithPeers } from "../peers/peer.js";
import { type RedisServer, startRedis } from "../peers/redis.js";
import { waitFor } from "../peers/wait-for.js";
import { Device, signToken } from "../support/device.js";
import { conditionOf, fleetImages, type OperatorCluster, startOperatorCluster } from "../support/operator-cluster.js";

const images = { ...fleetImages, "haproxy:test": [findProgram("haproxy") ?? "haproxy"] };
const jwtSecret = "a-key-for-trying-things-out-only-2f6b1c";

describeWithPeers(["kubernetes", "redis-server", "haproxy"], "a PushGateway on a real API server", () => {
  let cluster: OperatorCluster;
  let redis: RedisServer;

  beforeAll(async () => {
    [redis, cluster] = await Promise.all([startRedis(), startOperatorCluster({ images })]);
    await cluster.createNamespace("push", jwtSecret);
    await cluster.startOperator();
  }, 2 * KUBERNETES_START_DEADLINE_MS);

  afterAll(async () => {
    await cluster?.stop();
    await redis?.stop();
  });

  /** Fields that the example leaves to its reader: where Redis is, and what fits a test of 60 clients. */
  const changes = () => ({
    registry: { kind: "Redis", url: redis.url },
    drain: { reconnectsPerSecond: 200, deadlineSeconds: 60, stragglerGraceSeconds: 5 },
    rollout: { soakSeconds: 1 },
    loadBalancer: { kind: "HAProxy", service: { type: "ClusterIP" }, haproxy: { replicas: 1 } },
  });

  /** The objects of examples/kubernetes.yaml, with `gateway` over the fleet's own. */
  function example(gateway: object = {}): readonly object[] {
    const text = readFileSync(new URL("../../examples/kubernetes.yaml", import.meta.url), "utf8");
    return parseAllDocuments(text).map((document) => {
      const object = document.toJS() as { readonly kind: string; readonly metadata: object; readonly spec?: { readonly gateway: object } };
      const metadata = { ...object.metadata, namespace: "push" };
      if (object.kind !== "PushGateway") return { ...object, metadata };
      return { ...object, metadata, spec: { ...object.spec, gateway: { ...object.spec?.gateway, ...gateway }, ...changes() } };
    });
  }

  const podAddress = async (component: string): Promise<string> => {
    const address = await cluster.kubectl([
      ...["-n", "push", "get", "pod", "-l", `app.kubernetes.io/component=${component}`],
      ...["-o", "jsonpath={.items[0].status.podIP}"],
    ]);
    if (address === "") throw new Error(`no ${component} has an address yet`);
    return address;
  };

  /** Publishes one notification to each user; they are accepted. */
  async function publish(id: string, users: readonly string[]): Promise<void> {
    const answer = await fetch(`http://${await podAddress("router")}:8081/v1/notifications`, {
      method: "POST",
      headers: { authorization: "Bearer a-token-for-trying-things-out-only-9d41", "content-type": "application/json" },
      body: JSON.stringify({ user_ids: users, notification_id: id, data: { text: "hello" } }),
    });
    expect(answer.status, await answer.text()).toBe(202);
  }

  async function connectAll(users: readonly string[]): Promise<readonly Device[]> {
    const url = `ws://${await podAddress("haproxy")}:8080/connect`;
    const connected = await Promise.all(
      users.map(async (user) => new Device({ url, user, device: "phone", token: await signToken(user, jwtSecret, 300) })),
    );
    await waitFor(() => connected.every(({ client }) => client.state.kind === "live"), {
      what: "all devices to be live",
      deadlineMs: 20_000,
    });
    return connected;
  }

  const users = Array.from({ length: 60 }, (_, index) => `usr_${index}`);
  const ids: string[] = [];
  let devices: readonly Device[] = [];

  async function tellAll(id: string): Promise<void> {
    ids.push(id);
    await publish(id, users);
  }

  /** Each device has each notification once, and its connection never broke: it was handed over. */
  async function expectNothingFelt(): Promise<void> {
    const complete = (): boolean => devices.every(({ received }) => ids.every((id) => received.some((one) => one.id === id)));
    await waitFor(complete, { what: "every notification on every device", deadlineMs: 20_000 });
    for (const { received, losses, user } of devices) {
      expect(received.map(({ id }) => id).sort(), user).toEqual([...ids].sort());
      expect(losses, user).toBe(0);
    }
  }

  test("kubectl apply -f examples/kubernetes.yaml makes gateways behind a HAProxy that deliver to clients", async () => {
    await cluster.apply(...example());
    await cluster.waitForFleet("push", "demo", "serving three", ({ status }) => status?.pods?.serving === 3);
    await waitFor(
      () =>
        podAddress("router")
          .then(() => podAddress("haproxy"))
          .catch(() => undefined),
      { what: "router and HAProxy" },
    );
    devices = await connectAll(users);
    await tellAll("applied");
    await expectNothingFelt();
    const shown = await cluster.waitForFleet("push", "demo", "counting its clients", ({ status }) => status?.connections === users.length);
    expect(conditionOf(shown, "Available").status).toBe("True");
    expect(shown.status?.replicas).toBe(3);
  }, 60_000);

  test("an edit of what gateways are made of rolls them, and no client feels it", async () => {
    const before = new Set((await cluster.gateways("push", "demo")).map((pod) => pod.metadata.name));
    await cluster.apply(...example({ heartbeat: { intervalSeconds: 25 } }));
    await cluster.waitForFleet("push", "demo", "rolling", ({ status }) => (status?.pods?.draining ?? 0) > 0, 30_000);
    await tellAll("rolling");
    await cluster.waitForFleet(
      "push",
      "demo",
      "rolled",
      (one) => one.status?.pods?.serving === 3 && conditionOf(one, "Progressing").status === "False",
      60_000,
    );
    await tellAll("rolled");
    await expectNothingFelt();
    const living = (await cluster.gateways("push", "demo")).filter((pod) => pod.metadata.deletionTimestamp === undefined);
    const after = living.map((pod) => pod.metadata.name);
    expect(after.filter((name) => before.has(name))).toEqual([]);
    expect(devices.every(({ handOvers }) => handOvers > 0)).toBe(true);
  }, 120_000);

  test("a node that is cordoned loses its gateways, and no client feels it", async () => {
    const [first] = await cluster.gateways("push", "demo");
    const node = first?.spec?.nodeName ?? expect.unreachable();
    await cluster.kubectl(["cordon", node]);
    const elsewhere = async (): Promise<boolean> => {
      const pods = await cluster.gateways("push", "demo");
      return pods.length === 3 && pods.every((pod) => pod.spec?.nodeName !== node);
    };
    await tellAll("leaving");
    await waitFor(elsewhere, { what: `no gateway on ${node}`, deadlineMs: 60_000, intervalMs: 200 });
    await tellAll("left");
    await expectNothingFelt();
    await cluster.kubectl(["uncordon", node]);
  }, 90_000);
});
