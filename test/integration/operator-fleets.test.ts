import { parseDeviceId, parseUserId, type UserId } from "@pushfleet/protocol";
import { createRedisRegistry } from "@pushfleet/registry";
import { systemClock, type TlsPem } from "@pushfleet/service";
import { Redis } from "ioredis";
import { type Admin, Kafka, logLevel, type Producer } from "kafkajs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { issueLeaf, readAuthority } from "../../operator/src/kubernetes/certificates/index.js";
import { KAFKA_START_DEADLINE_MS, type KafkaServer, startKafka } from "../peers/kafka.js";
import { KUBERNETES_START_DEADLINE_MS } from "../peers/kubernetes.js";
import { describeWithPeers } from "../peers/peer.js";
import type { RunningProcess } from "../peers/process.js";
import { type RedisServer, startRedis } from "../peers/redis.js";
import { waitFor } from "../peers/wait-for.js";
import { type FleetDevice, FleetInCluster } from "../support/fleet-in-cluster.js";
import { onePool } from "../support/fleet-manifest.js";
import { conditionOf, type OperatorCluster, startOperatorCluster } from "../support/operator-cluster.js";
import { codeOfCall, gatewayMethods, routerMethods } from "../support/uninvited-caller.js";

const topic = "notifications.in_app";
const partitions = 2;

describeWithPeers(["kubernetes", "redis-server", "kafka-server"], "fleets of one cluster, on one Redis and one topic", () => {
  let cluster: OperatorCluster;
  let redis: RedisServer;
  let kafka: KafkaServer;
  let producer: Producer;
  let admin: Admin;
  let fleets: readonly [FleetInCluster, FleetInCluster, FleetInCluster];
  const operators: RunningProcess[] = [];

  beforeAll(async () => {
    const topics = { [topic]: partitions, "notifications.dead": 1, "notifications.client_events": 1 };
    [redis, kafka, cluster] = await Promise.all([startRedis(), startKafka({ topics }), startOperatorCluster()]);
    const client = new Kafka({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING });
    [producer, admin] = [client.producer(), client.admin()];
    await Promise.all([producer.connect(), admin.connect()]);
    const keys = (place: string) => ({ jwtSecret: `the clients' key of ${place}, 32 bytes`, publishToken: `publisher-of-${place}` });
    const made = (namespace: string, name: string) => new FleetInCluster(cluster, namespace, name, keys(`${namespace}/${name}`));
    fleets = [made("shop", "demo"), made("desk", "demo"), made("shop", "other")];
    for (const namespace of ["shop", "desk"]) await cluster.createNamespace(namespace, "a secret of thirty-two bytes or so");
    operators.push(...(await Promise.all([cluster.startOperator(), cluster.startOperator()])));
    await cluster.apply(...fleets.flatMap((fleet) => [...fleet.secrets, fleet.manifest(redis.url, onTheTopic(fleet))]));
    await Promise.all(fleets.map((fleet) => fleet.waitUntilServing()));
  }, KUBERNETES_START_DEADLINE_MS + KAFKA_START_DEADLINE_MS);

  afterAll(async () => {
    for (const fleet of fleets ?? []) fleet.close();
    await Promise.all([producer?.disconnect(), admin?.disconnect()]);
    await cluster?.stop();
    await Promise.all([kafka?.stop(), redis?.stop()]);
  }, 60_000);

  /** `router` of a spec, beside what the fleet has by itself. */
  const onTheTopic = (fleet: FleetInCluster, spec: object = {}): object => ({
    router: {
      ...{ minReplicas: 1, maxReplicas: 1, kafka: { brokers: kafka.brokers, topic } },
      http: { apiTokensSecretRef: { name: `${fleet.name}-publishers`, key: "tokens" } },
    },
    ...spec,
  });

  async function publishToTopic(users: readonly string[], ids: readonly string[]): Promise<void> {
    const messages = users.flatMap((user) =>
      ids.map((id) => ({ key: user, value: JSON.stringify({ user_id: user, notification_id: `${user}-${id}`, data: { id } }) })),
    );
    await producer.send({ topic, messages });
  }

  const has = (device: FleetDevice, ...ids: readonly string[]): boolean => ids.every((id) => device.notified.includes(id));

  test("what is published to the topic reaches the user's devices in every fleet, each once", async () => {
    const users = ["usr_1", "usr_2", "usr_3"];
    const ids = Array.from({ length: 20 }, (_, index) => `n${index}`);
    // The same device in all three: none takes the place of another.
    const devices = (
      await Promise.all(
        fleets.flatMap((fleet) => users.map((user) => Promise.all([fleet.connect(user, "phone"), fleet.connect(user, "web")]))),
      )
    ).flat();
    await publishToTopic(users, ids);
    await waitFor(() => devices.every((one) => has(one, ...ids.map((id) => `${one.user}-${id}`))), {
      what: "all of it on every device",
      deadlineMs: 20_000,
    });
    // Each group has the whole topic, and has done with it: what would come twice has come.
    const ends = await admin.fetchTopicOffsets(topic);
    const groups = fleets.map(({ namespace, name }) => `pushfleet-router.${namespace}.${name}`);
    for (const groupId of groups) {
      const isDone = async (): Promise<boolean> => {
        const [committed] = await admin.fetchOffsets({ groupId, topics: [topic] });
        const at = (partition: number) => committed?.partitions.find((one) => one.partition === partition)?.offset ?? "-1";
        return ends.every(({ partition, high }) => high === "0" || at(partition) === high);
      };
      await waitFor(isDone, { what: `${groupId} to have committed all`, deadlineMs: 20_000 });
    }
    expect((await admin.listGroups()).groups.map(({ groupId }) => groupId).sort()).toEqual([...groups].sort());
    for (const { user, notified, losses } of devices) {
      expect(notified.toSorted(), user).toEqual(ids.map((id) => `${user}-${id}`).sort());
      expect(losses).toBe(0);
    }
  });

  test("I7: every key in Redis is its fleet's, and the fleets have the same keys behind their prefixes", async () => {
    const client = new Redis(redis.url);
    const keys = await client.keys("*").finally(() => client.disconnect());
    const users = fleets.map(({ place }) =>
      keys.flatMap((key) => (key.startsWith(`${place}:conn:`) ? [key.slice(place.length + 1)] : [])).sort(),
    );
    const known = (key: string): boolean => fleets.some(({ place }) => key.startsWith(`${place}:`));
    expect(keys.filter((key) => !known(key))).toEqual([]);
    expect(users[0]).toEqual(["conn:{usr_1}", "conn:{usr_2}", "conn:{usr_3}"]);
    expect(users).toEqual([users[0], users[0], users[0]]);
  });

  test("I7: what is published over HTTP to one fleet reaches its devices only, and its publishers' token opens no other", async () => {
    const [one, other] = fleets;
    const [here, there] = [await one.connect("usr_http", "phone"), await other.connect("usr_http", "phone")];
    expect(await one.publish("usr_http", "only-here")).toBe(202);
    expect(await other.publish("usr_http", "only-there")).toBe(202);
    await waitFor(() => here.notified.length > 0 && there.notified.length > 0, { what: "each its own" });
    expect([here.notified, there.notified]).toEqual([["only-here"], ["only-there"]]);
    expect(await other.publish("usr_http", "intruder", "publisher-of-shop/demo")).toBe(401);
  });

  test("I7: a client's token of one fleet is refused by another", async () => {
    const refused = await fleets[1].open("usr_1", "phone", "the clients' key of shop/demo, 32 bytes");
    await waitFor(() => refused.client.state.kind === "closed", { what: "the refusal" });
    expect(refused.client.state).toMatchObject({ kind: "closed", why: expect.stringMatching(/token/i) });
  });

  test("I7: what a user has read in one fleet is unread in another", async () => {
    const [one, other] = fleets;
    const [phone, web, elsewhere] = [
      await one.connect("usr_read", "phone"),
      await one.connect("usr_read", "web"),
      await other.connect("usr_read", "phone"),
    ];
    await publishToTopic(["usr_read"], ["r1"]);
    await waitFor(() => [phone, web, elsewhere].every((device) => has(device, "usr_read-r1")), {
      what: "r1 everywhere",
      deadlineMs: 20_000,
    });
    phone.client.ack(["usr_read-r1"]);
    await waitFor(() => web.marked.length > 0, { what: "the mark on the user's other device" });
    const late = await other.connect("usr_read", "tablet"); // its sync asks the store of its fleet
    await waitFor(() => late.unread.length > 0, { what: "r1 from the sync" });
    expect([web.marked, late.unread, late.marked, elsewhere.marked]).toEqual([["usr_read-r1"], ["usr_read-r1"], [], []]);
  });

  test("I7: a user revoked in one fleet, and his devices there, are nothing to another", async () => {
    const [one, other] = fleets;
    const user = userId("usr_revoked");
    await one.connect(user, "phone");
    const open = (place: string) => createRedisRegistry({ url: redis.url, keyPrefix: `${place}:`, clock: systemClock });
    const [registry, elsewhere] = [open(one.place), open(other.place)];
    try {
      await Promise.all([registry.start(), elsewhere.start()]);
      expect(await registry.lookUp([user])).toMatchObject([{ kind: "located", devices: [{ device: parseDeviceId("phone") }] }]);
      expect(await elsewhere.lookUp([user])).toEqual([{ kind: "located", devices: [] }]);
      const soonMs = Date.now() + 3_600_000;
      expect(await registry.revoke({ user, what: { kind: "user", notBeforeMs: soonMs }, expiresAtMs: soonMs })).toBe("revoked");
    } finally {
      await Promise.all([registry.stop(), elsewhere.stop()]);
    }
    const revoked = await one.open(user, "web");
    await waitFor(() => revoked.client.state.kind === "closed", { what: "the revoked user to be refused" });
    const there = await other.connect(user, "web");
    expect(there.client.state).toMatchObject({ kind: "live", registered: true });
  });

  describe("I7: by gRPC", () => {
    /** The certificates of a fleet's processes; the operator's, which it holds in memory, as its authority would sign it. */
    async function certificatesOf(fleet: FleetInCluster, as = fleet): Promise<readonly (readonly [string, TlsPem])[]> {
      const secret = await fleet.readSecret(`${fleet.name}-ca`);
      const read = readAuthority(secret["tls.crt"] ?? "", secret["tls.key"] ?? "");
      if (read.kind === "invalid") throw new Error(read.reason);
      const signed = async (role: "gateway" | "router" | "operator", id: string): Promise<TlsPem> => {
        const wish = { namespace: as.namespace, fleet: as.name, role, id, dnsNames: [], nowMs: Date.now() };
        return { ...issueLeaf(read.authority, wish), ca: secret["ca.crt"] ?? "" };
      };
      const [gateway] = await as.podsOf("gateway");
      return [
        ["gateway", as === fleet ? await fleet.certificateOf("gateway") : await signed("gateway", gateway?.metadata.name ?? "")],
        ["router", as === fleet ? await fleet.certificateOf("router") : await signed("router", `${as.name}-router`)],
        ["operator", await signed("operator", "operator")],
      ];
    }

    /** "gateway Drain UNAVAILABLE" for each certificate and each method of the fleet's gateway and router. */
    async function codesAt(
      fleet: FleetInCluster,
      shown: readonly (readonly [string, TlsPem])[],
      trust?: string,
    ): Promise<readonly string[]> {
      const [gateway, router] = [`${await fleet.addressOf("gateway")}:9101`, `${await fleet.addressOf("router")}:9200`];
      const calls = [
        ...gatewayMethods.map((method) => ({ address: gateway, method })),
        ...routerMethods.map((method) => ({ address: router, method })),
      ];
      const codes = shown.flatMap(([who, tls]) =>
        calls.map(async ({ address, method }) => `${who} ${method.path.split("/")[2]} ${await codeOfCall(address, method, tls, trust)}`),
      );
      return await Promise.all(codes);
    }

    test("each certificate opens in its own fleet what is its role's", async () => {
      const opened = (await codesAt(fleets[1], await certificatesOf(fleets[1]))).filter((one) => !one.endsWith("PERMISSION_DENIED"));
      expect(opened.map((one) => one.split(" ").slice(0, 2).join(" "))).toEqual([
        "gateway Disconnect",
        "gateway Sync",
        "gateway Acknowledge",
        "gateway Emit",
        "router Deliver",
        "router Publish",
        "operator Drain",
        "operator AbortDrain",
        "operator WatchStatus",
        "operator Publish",
      ]);
      // The drain above was of this test: it is taken back.
      await waitFor(() => fleets[1].addressOf("gateway").catch(() => undefined), { what: "the gateway to serve", deadlineMs: 20_000 });
    });

    test("no certificate of one fleet opens anything in another, whatever it says it is", async () => {
      const [b] = [fleets[1]];
      const authority = (await b.readSecret(`${b.name}-ca`))["ca.crt"] ?? "";
      for (const a of [fleets[0], fleets[2]]) {
        for (const shown of [await certificatesOf(a), await certificatesOf(a, b)]) {
          const codes = await codesAt(b, shown, authority); // he knows the authority of the one he calls
          expect(codes.filter((one) => !/ (UNAVAILABLE|PERMISSION_DENIED|UNAUTHENTICATED)$/.test(one))).toEqual([]);
        }
        // Even one that B's own authority has signed, for a process of A.
        const foreign = await codesAt(b, await certificatesOf(b, a), authority);
        expect(foreign.filter((one) => !one.endsWith("PERMISSION_DENIED"))).toEqual([]);
      }
      const answer = await fetch(`http://${await b.addressOf("gateway")}:9091/metrics`);
      expect(await answer.text()).toMatch(/^pushfleet_gateway_connections [1-9]/m);
    });

    test("the authority of one fleet verifies no process of another", async () => {
      const [a, b] = fleets;
      // Shows what B lets in, and trusts A only.
      const codes = await codesAt(b, await certificatesOf(b), (await a.readSecret(`${a.name}-ca`))["ca.crt"]);
      expect(codes.filter((one) => !one.endsWith(" UNAVAILABLE"))).toEqual([]);
    });
  });

  test("an object of somebody else's that has a name the fleet needs is left as it is, and the fleet says so", async () => {
    const labels = { app: "somebody-elses" };
    const service = { apiVersion: "v1", kind: "Service", metadata: { name: "taken", namespace: "desk" } };
    await cluster.apply({ ...service, spec: { selector: labels, ports: [{ port: 5432 }] } });
    const taken = new FleetInCluster(cluster, "desk", "taken", { jwtSecret: "a secret of thirty-two bytes or so", publishToken: "t" });
    const secret = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "taken-router-tls", namespace: "desk" },
      stringData: { mine: "1" },
    };
    await cluster.apply(secret, ...taken.secrets, taken.manifest(redis.url));
    await cluster.waitForFleet("desk", "taken", "telling of the Secret", (fleet) =>
      /a Secret taken-router-tls exists and is not the fleet's/.test(conditionOf(fleet, "Degraded").message),
    );
    expect(await taken.readSecret("taken-router-tls")).toEqual({ mine: "1" });
    await cluster.kubectl(["-n", "desk", "delete", "secret", "taken-router-tls"]);
    await cluster.waitForFleet("desk", "taken", "telling", (fleet) =>
      /a Service taken exists and is not the fleet's/.test(conditionOf(fleet, "Degraded").message),
    );
    await taken.waitUntilServing(); // the rest is made all the same
    const { body } = await cluster.kubernetes.request("GET", "/api/v1/namespaces/desk/services/taken");
    expect(body).toMatchObject({ spec: { selector: labels, ports: [{ port: 5432 }] } });
    expect(body).not.toHaveProperty("metadata.ownerReferences");
    await cluster.kubectl(["-n", "desk", "delete", "service", "taken"]);
    await cluster.waitForFleet("desk", "taken", "well", (fleet) => conditionOf(fleet, "Degraded").message === "nothing is wrong");
    await cluster.kubectl(["-n", "desk", "delete", "pushgateway", "taken", "--wait=false"]);
  });

  test("a Secret of somebody else's in the place of the resume tokens' key is not read by any gateway", async () => {
    const keyed = new FleetInCluster(cluster, "desk", "keyed", { jwtSecret: "a secret of thirty-two bytes or so", publishToken: "t" });
    const secret = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "keyed-resume", namespace: "desk" },
      stringData: { key: "theirs" },
    };
    const gateway = { workers: 1, auth: { jwksUrl: "https://issuer.example/jwks" } };
    await cluster.apply(secret, ...keyed.secrets, keyed.manifest(redis.url, { gateway }));
    const fleet = await cluster.waitForFleet("desk", "keyed", "telling of the Secret", (one) =>
      /a Secret keyed-resume exists and is not the fleet's \(it has no owner; kubectl.* wrote it\)/.test(
        conditionOf(one, "Degraded").message,
      ),
    );
    expect(conditionOf(fleet, "Available").status).toBe("False");
    expect(await cluster.gateways("desk", "keyed")).toEqual([]);
    await cluster.kubectl(["-n", "desk", "delete", "secret", "keyed-resume"]);
    await keyed.waitUntilServing();
    const { key = "" } = await keyed.readSecret("keyed-resume");
    expect(key).toMatch(/^[\w-]{43}$/);
    const edit = { type: "application/merge-patch+json", content: JSON.stringify({ stringData: { key: "by hand" } }) } as const;
    const edited = await cluster.kubernetes.request("PATCH", "/api/v1/namespaces/desk/secrets/keyed-resume", edit);
    expect(edited).toMatchObject({ status: 422, body: { message: expect.stringContaining("immutable") } });
    await cluster.kubectl(["-n", "desk", "delete", "pushgateway", "keyed", "--wait=false"]);
  });

  test("when the operator that leads stops, the other one goes on with all fleets", async () => {
    const leads = (operator: RunningProcess): boolean => operator.logs().some(({ msg }) => msg === "leads");
    expect(operators.map(leads).toSorted()).toEqual([false, true]);
    await operators.find(leads)?.stop();
    await cluster.apply(...fleets.map((fleet) => fleet.manifest(redis.url, onTheTopic(fleet, { pools: [onePool({ minReplicas: 2 })] }))));
    await Promise.all(fleets.map((fleet) => fleet.waitUntilServing(2)));
    for (const { devices } of fleets) expect(devices.map(({ losses }) => losses)).toEqual(devices.map(() => 0));
  }, 90_000);
});

function userId(text: string): UserId {
  const user = parseUserId(text);
  if (user === undefined) throw new Error(`${text} is no user`);
  return user;
}
