import { limits } from "@pushfleet/protocol";
import { systemClock } from "@pushfleet/service";
import { afterEach, beforeEach, expect, test } from "vitest";
import { describeWithPeers } from "../../test/peers/peer.js";
import { type RedisServer, startRedis } from "../../test/peers/redis.js";
import { waitFor } from "../../test/peers/wait-for.js";
import { acquire, locate, ownOf } from "./contract.test-suite.js";
import { assumeRegistered, cursor, newLease, newRegistration, newUser } from "./example-registrations.test-suite.js";
import { LossyProxy } from "./lossy-proxy.test-suite.js";
import { createRedisRegistry } from "./redis-registry.js";
import { RedisUnderTest } from "./redis-under-test.test-suite.js";

describeWithPeers(["redis-server"], "the Redis registry when Redis fails", () => {
  let server: RedisServer;
  let proxy: LossyProxy;
  let under: RedisUnderTest;
  let reconnects = 0;
  beforeEach(async () => {
    server = await startRedis();
    proxy = new LossyProxy(server.port);
    under = await new RedisUnderTest(await proxy.listen(), "", server.url).start();
    reconnects = 0;
    under.registry.onReconnected(() => {
      reconnects += 1;
    });
  });
  afterEach(async () => {
    await under?.stop();
    proxy?.stop();
    await server?.stop();
  });
  const reconnected = () => waitFor(() => reconnects > 0, { what: "the registry to reconnect" });

  /** Every method, as what it says of an outage. */
  const askEverything = async () => {
    const { registry } = under;
    const lease = newLease();
    const registration = newRegistration(newUser(), lease);
    const kinds = await Promise.all([
      registry.acquireLease(lease).then(({ kind }) => kind),
      registry.refreshLease(lease.incarnation).then(({ kind }) => kind),
      registry.register(registration).then(({ kind }) => kind),
      registry.lookUp([registration.user]).then(([result]) => result?.kind),
      registry.requestResync(lease.incarnation, cursor("c1_1700000000000_000001")),
      registry.readLease(lease.incarnation).then(({ kind }) => kind),
      registry.revoke({ user: registration.user, what: { kind: "token", tokenId: "t" }, expiresAtMs: systemClock.nowMs() + 9000 }),
    ]);
    await registry.unregister(ownOf(registration, 1));
    await registry.releaseLease(lease.incarnation);
    return kinds;
  };

  test("a Redis that was emptied gets its entries back by re-registration, which says so", async () => {
    const { registry, admin } = under;
    const lease = await acquire(registry);
    const registration = newRegistration(newUser(), lease);
    const { fence } = assumeRegistered(await registry.register(registration));
    await admin.flushall();
    expect(await registry.refreshLease(lease.incarnation)).toEqual({ kind: "lapsed" });
    const renewed = await acquire(registry);
    const again = { ...registration, incarnation: renewed.incarnation, ageMs: 5000, fence };
    expect(await registry.register(again)).toEqual({ kind: "registered", fence, replaced: undefined, restored: true });
    expect(await locate(registry, registration.user)).toHaveLength(1);
  });

  test("a Redis that was killed is unavailable at once, and back after a restart it tells of", async () => {
    const { registry } = under;
    await registry.register(newRegistration(newUser(), await acquire(registry)));
    await server.kill();
    await waitFor(async () => (await registry.lookUp([newUser()]))[0]?.kind === "unavailable", { what: "the outage to be noticed" });
    const startedMs = performance.now();
    expect(new Set(await askEverything())).toEqual(new Set(["unavailable"]));
    expect(performance.now() - startedMs).toBeLessThan(limits.registryTimeoutMs / 2);
    expect(reconnects).toBe(0);
    await server.restart();
    await reconnected();
    expect(reconnects).toBe(1);
    const registration = newRegistration(newUser(), await acquire(registry));
    expect((await registry.register(registration)).kind).toBe("registered");
    expect(await locate(registry, registration.user)).toHaveLength(1);
  });

  test("a Redis that hangs is unavailable when the timeout is over, at once from then on, and back when it answers", async () => {
    server.pause();
    const startedMs = performance.now();
    expect(new Set(await askEverything())).toEqual(new Set(["unavailable"]));
    expect(performance.now() - startedMs).toBeLessThan(limits.registryTimeoutMs * 2);
    const secondMs = performance.now();
    expect(new Set(await askEverything())).toEqual(new Set(["unavailable"]));
    expect(performance.now() - secondMs).toBeLessThan(limits.registryTimeoutMs / 2);
    server.resume();
    await reconnected();
    await acquire(under.registry);
  });

  test("a connection on which nothing ever answers is given up for another", async () => {
    await proxy.whileDeaf(() => waitFor(() => proxy.deafConnections > 0, { what: "a connection that nothing answers on" }));
    await reconnected();
    await acquire(under.registry);
  });

  test("a fresh registration that a hung Redis does late cannot push out a newer connection (I2)", async () => {
    const { registry } = under;
    const lease = await acquire(registry);
    const old = newRegistration(newUser(), lease);
    const young = newRegistration(old.user, lease);
    const other = await new RedisUnderTest(server.url, "").start();
    server.pause();
    expect((await registry.register(old)).kind).toBe("unavailable");
    const registering = other.registry.register(young);
    server.resume(); // now it finds both, and does them in whichever order
    expect((await registering).kind).toBe("registered");
    await reconnected();
    expect(await registry.register({ ...old, ageMs: 4000 })).toEqual({ kind: "superseded" });
    expect((await locate(registry, old.user))[0]?.entry.connection).toBe(young.connection);
    await other.stop();
  });

  test("an unregistration during an outage is made up for afterwards", async () => {
    const { registry } = under;
    const lease = await acquire(registry);
    const registration = newRegistration(newUser(), lease);
    const { fence } = assumeRegistered(await registry.register(registration));
    await proxy.whileCut(() => registry.unregister(ownOf(registration, fence)));
    expect(await under.admin.exists(under.keys.connections(registration.user))).toBe(1);
    await reconnected();
    await waitFor(async () => (await under.admin.exists(under.keys.connections(registration.user))) === 0, { what: "the entry to go" });
  });

  test("a registration whose answer was lost can be repeated: same entry, nobody replaced", async () => {
    const { registry } = under;
    const lease = await acquire(registry);
    const registration = newRegistration(newUser(), lease);
    expect((await proxy.losingAnswers(() => registry.register(registration))).kind).toBe("unavailable");
    await reconnected();
    const stored = (await under.admin.hget(under.keys.connections(registration.user), "phone"))?.split("|");
    expect(stored?.[1]).toBe(registration.connection);
    const fence = Number(stored?.[2]);
    expect(await registry.register({ ...registration, ageMs: 3000 })).toEqual({
      kind: "registered",
      fence,
      replaced: undefined,
      restored: false,
    });
  });

  test("a resync request is not lost with the answer that had it (I1)", async () => {
    const { registry } = under;
    const lease = await acquire(registry);
    const after = cursor("c1_1700000000000_000001");
    await registry.requestResync(lease.incarnation, after);
    expect((await proxy.losingAnswers(() => registry.refreshLease(lease.incarnation))).kind).toBe("unavailable");
    await reconnected();
    expect(await registry.refreshLease(lease.incarnation)).toEqual({ kind: "refreshed", resyncAfter: after });
    expect(await registry.refreshLease(lease.incarnation)).toEqual({ kind: "refreshed", resyncAfter: undefined });
  });

  test("a lease whose acquisition was not answered can be acquired again", async () => {
    const { registry } = under;
    const lease = newLease();
    await acquire(registry); // sends the script's text, so that the connection is lost with the answer alone
    expect((await proxy.losingAnswers(() => registry.acquireLease(lease))).kind).toBe("unavailable");
    await reconnected();
    await acquire(registry, lease);
  });

  test("a stopped registry is unavailable", async () => {
    await under.registry.stop();
    expect(new Set(await askEverything())).toEqual(new Set(["unavailable"]));
  });
});

describeWithPeers(["redis-server"], "starting the Redis registry", () => {
  const startOn = async (server: RedisServer, url = server.url) => {
    const registry = createRedisRegistry({ url, keyPrefix: "", clock: systemClock });
    try {
      await registry.start();
      return "started";
    } catch (error) {
      return (error as Error).message;
    } finally {
      await registry.stop();
      await server.stop();
    }
  };

  test("a Redis that evicts is refused, with what would be right", async () => {
    const told = await startOn(await startRedis({ config: ["maxmemory 100mb", "maxmemory-policy allkeys-lru"] }));
    expect(told).toContain("is allkeys-lru; expected noeviction");
  });

  test("where CONFIG is forbidden INFO tells the policy", async () => {
    const user = "user worker on >secret ~* &* +@all -config";
    const withUser = async (policy: string) => {
      const server = await startRedis({ config: [user, `maxmemory-policy ${policy}`] });
      return startOn(server, `redis://worker:secret@127.0.0.1:${server.port}`);
    };
    expect(await withUser("noeviction")).toBe("started");
    expect(await withUser("volatile-ttl")).toContain("is volatile-ttl; expected noeviction");
  });

  test("a Redis that is not there yet is waited for", async () => {
    const server = await startRedis();
    await server.kill();
    const started = startOn(server);
    await server.restart();
    expect(await started).toBe("started");
  });
});

describeWithPeers(["redis-server"], "the Redis registry's scripts", () => {
  test("touch keys of one slot each, so a Cluster takes them", async () => {
    const server = await startRedis({ config: ["cluster-enabled yes"] });
    const under = new RedisUnderTest(server.url, "ns/fleet:");
    await under.admin.call("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
    await waitFor(async () => String(await under.admin.call("CLUSTER", "INFO")).includes("cluster_state:ok"), { what: "the slots" });
    await under.start();
    const { registry } = under;
    const [east, west] = [await acquire(registry), await acquire(registry)];
    const old = newRegistration(newUser(), east);
    const { fence } = assumeRegistered(await registry.register(old));
    expect(assumeRegistered(await registry.register(newRegistration(old.user, west))).replaced?.connection).toBe(old.connection);
    await under.lapse(west);
    expect((await registry.register({ ...old, ageMs: 5000, fence })).kind).toBe("registered");
    expect(await registry.requestResync(east.incarnation, cursor("c1_1700000000000_000001"))).toBe("requested");
    expect(await registry.refreshLease(east.incarnation)).toMatchObject({ resyncAfter: "c1_1700000000000_000001" });
    expect(await registry.revoke({ user: old.user, what: { kind: "user", notBeforeMs: 1 }, expiresAtMs: under.nowMs() + 9000 })).toBe(
      "revoked",
    );
    await registry.unregister(ownOf(old, fence));
    expect(await locate(registry, old.user)).toEqual([]);
    await under.stop();
    await server.stop();
  });
});
