import { limits } from "@pushfleet/protocol";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithPeers } from "../../test/peers/peer.js";
import { type RedisPeer, useRedis } from "../../test/peers/redis.js";
import { waitFor } from "../../test/peers/wait-for.js";
import { acquire, describeContract, locate } from "./contract.test-suite.js";
import { assumeRegistered, cursor, device, newLease, newRegistration, newUser } from "./example-registrations.test-suite.js";
import { describeHolderProperty } from "./holder-property.test-suite.js";
import { RedisUnderTest } from "./redis-under-test.test-suite.js";
import { registerCommand, registerScript } from "./scripts/register.js";

describeWithPeers(["redis"], "the Redis registry", () => {
  let redis: RedisPeer;
  let under: RedisUnderTest;
  beforeAll(async () => {
    redis = await useRedis();
    under = await new RedisUnderTest(redis.url, redis.keyPrefix).start();
  });
  afterAll(async () => {
    await under?.stop();
    await redis?.stop();
  });

  describeContract(() => under);
  describeHolderProperty(() => under, { runs: 40 });

  test("everything it stores expires", async () => {
    const { registry, admin, keys } = under;
    const lease = await acquire(registry);
    const user = newUser();
    await registry.register(newRegistration(user, lease));
    await registry.requestResync(lease.incarnation, cursor("c1_1700000000000_000001"));
    await registry.revoke({ user, what: { kind: "token", tokenId: "t1" }, expiresAtMs: under.nowMs() + 30_000 });
    const secondsLeft = async (key: string) => Math.ceil((await admin.pttl(key)) / 1000);
    expect(await secondsLeft(keys.lease(lease.incarnation))).toBe(limits.leaseSeconds);
    expect(await secondsLeft(keys.resync(lease.incarnation))).toBe(limits.leaseSeconds * 2);
    expect(await secondsLeft(keys.connections(user))).toBe(limits.registryHashSeconds);
    expect(await secondsLeft(keys.revocations(user))).toBe(30);
    const all = await admin.keys(`${redis.keyPrefix}*`);
    for (const key of all) expect([key, (await admin.pttl(key)) > 0]).toEqual([key, true]);
  });

  test("re-registering renews the time a user's entries live, and refreshing a lease that of the lease", async () => {
    const { registry, admin, keys } = under;
    const lease = await acquire(registry);
    const registration = newRegistration(newUser(), lease);
    const { fence } = assumeRegistered(await registry.register(registration));
    for (const key of [keys.connections(registration.user), keys.lease(lease.incarnation)]) await admin.pexpire(key, 10_000);
    await registry.register({ ...registration, ageMs: 5000, fence });
    await registry.refreshLease(lease.incarnation);
    expect(await admin.ttl(keys.connections(registration.user))).toBe(limits.registryHashSeconds);
    expect(await admin.ttl(keys.lease(lease.incarnation))).toBe(limits.leaseSeconds);
  });

  test("a user's entries are small enough for Redis to keep them as a listpack", async () => {
    const { registry, admin, keys } = under;
    const lease = await acquire(registry);
    const user = newUser();
    for (let i = 0; i < 10; i++) await registry.register(newRegistration(user, lease, { device: device(`d${i}`) }));
    const values = await admin.hvals(keys.connections(user));
    for (const value of values) {
      expect(Buffer.byteLength(value)).toBeLessThanOrEqual(limits.registryEntryBytesMax);
      expect(value).toMatch(/^[a-z0-9]{10}\|[a-z0-9]+\|\d{16}$/);
    }
    expect(await admin.object("ENCODING", keys.connections(user))).toMatch(/^(listpack|ziplist)$/);
  });

  test("a lease is JSON that people can read", async () => {
    const lease = await acquire(under.registry, newLease({ startedAtMs: Date.UTC(2026, 0, 2) }));
    const { gateway, address, zone } = lease;
    const stored: unknown = JSON.parse((await under.admin.get(under.keys.lease(lease.incarnation))) ?? "");
    expect(stored).toEqual({ gateway, address, zone, started_at: "2026-01-02T00:00:00.000Z" });
  });

  test("two fleets with different prefixes see nothing of each other (I7)", async () => {
    const other = await new RedisUnderTest(redis.url, `${redis.keyPrefix}other/fleet:`).start();
    const lease = await acquire(under.registry);
    const registration = newRegistration(newUser(), lease, { tokenId: "t1" });
    await under.registry.register(registration);
    await under.registry.revoke({ user: registration.user, what: { kind: "token", tokenId: "t1" }, expiresAtMs: under.nowMs() + 9000 });
    expect(await locate(other.registry, registration.user)).toEqual([]);
    expect(await other.registry.readLease(lease.incarnation)).toEqual({ kind: "lease", lease: undefined });
    expect((await other.registry.register(registration)).kind).toBe("registered");
    expect(await locate(under.registry, registration.user)).toHaveLength(1);
    await other.stop();
  });

  test("calls of one turn of the event loop are one round trip", async () => {
    const { registry, admin } = under;
    const lease = await acquire(registry);
    const registrations = Array.from({ length: 20 }, () => newRegistration(newUser(), lease));
    await registry.register(newRegistration(newUser(), lease)); // sends the script's text
    const readsBefore = await statistic(admin, "total_reads_processed");
    await Promise.all(registrations.map((registration) => registry.register(registration)));
    await registry.lookUp(registrations.map((registration) => registration.user));
    await Promise.all(registrations.map((registration) => registry.unregister({ ...registration, fence: 0 })));
    const reads = (await statistic(admin, "total_reads_processed")) - readsBefore;
    // One each for registering, looking up, the one lease, unregistering, and for asking for the statistic; 62 commands in all.
    expect(reads).toBe(5);
  });

  test("a look-up deletes the entries of the dead, and only those", async () => {
    const { registry, admin, keys } = under;
    const [dead, living] = [await acquire(registry), await acquire(registry)];
    const user = newUser();
    for (let i = 0; i < 5; i++) await registry.register(newRegistration(user, dead, { device: device(`dead${i}`) }));
    await registry.register(newRegistration(user, living));
    await under.lapse(dead);
    expect(await locate(registry, user)).toHaveLength(1);
    await waitFor(async () => (await admin.hlen(keys.connections(user))) === 1, { what: "dead entries to be deleted" });
    expect(await admin.hkeys(keys.connections(user))).toEqual(["phone"]);
  });

  test("a look-up never believes a lease beyond its own end, though it was read a moment before", async () => {
    const { registry, admin, keys } = under;
    const lease = await acquire(registry);
    const user = newUser();
    await registry.register(newRegistration(user, lease));
    await admin.pexpire(keys.lease(lease.incarnation), 300);
    expect(await locate(registry, user)).toHaveLength(1);
    await waitFor(async () => (await admin.exists(keys.lease(lease.incarnation))) === 0, { what: "the lease to expire", intervalMs: 5 });
    expect(await locate(registry, user)).toEqual([]);
  });

  test("a lease that was just acquired is believed at once, though it was found absent a moment before", async () => {
    const lease = newLease();
    expect(await under.registry.readLease(lease.incarnation)).toEqual({ kind: "lease", lease: undefined });
    await acquire(under.registry, lease);
    const user = newUser();
    await under.registry.register(newRegistration(user, lease));
    expect(await locate(under.registry, user)).toHaveLength(1);
  });

  test("a fresh registration that was held up on its way does not replace what came meanwhile (I2)", async () => {
    const { registry, admin, keys } = under;
    const lease = await acquire(registry);
    const old = newRegistration(newUser(), lease);
    const young = newRegistration(old.user, lease);
    await registry.register(young);
    const callSentAgo = async (ms: number) => {
      const redisUs = (under.nowMs() - ms) * 1000;
      const [, ...args] = registerCommand(keys, { registration: old, ageMs: 0, redisUs, dead: undefined });
      const [kind] = (await admin.eval(registerScript.lua, registerScript.numberOfKeys, ...args)) as string[];
      return kind;
    };
    expect(await callSentAgo(5000)).toBe("conflict");
    expect((await locate(registry, old.user))[0]?.entry.connection).toBe(young.connection);
    expect(await callSentAgo(500)).toBe("registered");
  });

  test("what strangers wrote into its keys is passed over or written over", async () => {
    const { registry, admin, keys } = under;
    const lease = await acquire(registry);
    const user = newUser();
    await admin.hset(keys.connections(user), "phone", "not an entry", "", "x", "tablet", "a|b|c");
    expect(await locate(registry, user)).toEqual([]);
    expect((await registry.register(newRegistration(user, lease))).kind).toBe("registered");
    expect(await locate(registry, user)).toHaveLength(1);
    await admin.set(keys.lease(lease.incarnation), "not JSON", "KEEPTTL");
    expect((await registry.readLease(lease.incarnation)).kind).toBe("unavailable");
  });

  test("scripts that Redis has forgotten are sent again", async () => {
    const lease = await acquire(under.registry);
    const registrations = Array.from({ length: 5 }, () => newRegistration(newUser(), lease));
    await under.registry.register(newRegistration(newUser(), lease));
    await under.admin.script("FLUSH");
    const outcomes = await Promise.all(registrations.map((registration) => under.registry.register(registration)));
    expect(outcomes.map((outcome) => outcome.kind)).toEqual(registrations.map(() => "registered"));
  });
});

async function statistic(admin: RedisUnderTest["admin"], name: string): Promise<number> {
  return Number(new RegExp(`^${name}:(\\d+)`, "m").exec(await admin.info("stats"))?.[1]);
}
