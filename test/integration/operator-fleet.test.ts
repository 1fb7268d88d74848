import { afterAll, beforeAll, expect, test } from "vitest";
import { KUBERNETES_START_DEADLINE_MS } from "../peers/kubernetes.js";
import { describeWithPeers } from "../peers/peer.js";
import { type RedisServer, startRedis } from "../peers/redis.js";
import { waitFor } from "../peers/wait-for.js";
import { Device, signToken } from "../support/device.js";
import { conditionOf, type OperatorCluster, startOperatorCluster } from "../support/operator-cluster.js";

const jwtSecret = "a secret of thirty-two bytes or so";

describeWithPeers(["kubernetes", "redis-server"], "a PushGateway on a real API server", () => {
  let cluster: OperatorCluster;
  let redis: RedisServer;

  beforeAll(async () => {
    [redis, cluster] = await Promise.all([startRedis(), startOperatorCluster()]);
    await cluster.createNamespace("push", jwtSecret);
    await cluster.startOperator();
  }, 2 * KUBERNETES_START_DEADLINE_MS);

  afterAll(async () => {
    await cluster?.stop();
    await redis?.stop();
  });

  const fleet = (spec: object = {}) => ({
    apiVersion: "pushfleet.dev/v1alpha1",
    kind: "PushGateway",
    metadata: { name: "demo", namespace: "push" },
    spec: {
      gateway: { workers: 1, auth: { hs256SecretRef: { name: "jwt", key: "key" }, maxLifetimeSeconds: 3600 } },
      pools: [{ name: "default", minReplicas: 3, maxReplicas: 6, softConnections: 1000, hardConnections: 1500 }],
      drain: { reconnectsPerSecond: 200, deadlineSeconds: 60, stragglerGraceSeconds: 5 },
      rollout: { soakSeconds: 1 },
      router: { minReplicas: 1, maxReplicas: 1, http: { apiTokensSecretRef: { name: "publishers", key: "tokens" } } },
      registry: { kind: "Redis", url: redis.url },
      store: { kind: "Memory", allowVolatile: true },
      loadBalancer: { service: { type: "ClusterIP" } },
      ...spec,
    },
  });

  test("kubectl apply makes gateways that deliver to clients", async () => {
    await cluster.apply(
      { apiVersion: "v1", kind: "Secret", metadata: { name: "publishers", namespace: "push" }, stringData: { tokens: "tell-me\n" } },
      fleet(),
    );
    await cluster.waitForFleet("push", "demo", "serving three", ({ status }) => status?.pods?.serving === 3);
    const [gateway] = await cluster.gateways("push", "demo");
    const device = new Device({
      url: `ws://${gateway?.status?.podIP}:8080/connect`,
      user: "usr_42",
      device: "phone",
      token: await signToken("usr_42", jwtSecret),
    });
    await waitFor(() => device.client.state.kind === "live", { what: "the device to be live" });
    const router = await cluster.kubectl(["-n", "push", "get", "pod", "-l", "app.kubernetes.io/component=router", "-o", "jsonpath={.items[0].status.podIP}"]);
    const answer = await fetch(`http://${router}:8081/v1/notifications`, {
      method: "POST",
      headers: { authorization: "Bearer tell-me", "content-type": "application/json" },
      body: JSON.stringify({ user_id: "usr_42", notification_id: "n1", data: { text: "hello" } }),
    });
    expect(answer.status, await answer.text()).toBe(202);
    await waitFor(() => device.received.some(({ id }) => id === "n1"), { what: "the notification" });
    device.client.close();
    expect(conditionOf((await cluster.fleet("push", "demo")) ?? expect.unreachable(), "Available").status).toBe("True");
  });
});
