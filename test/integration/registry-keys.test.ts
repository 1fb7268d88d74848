import { limits, parseUserId, type UserId } from "@pushfleet/protocol";
import { createRedisRegistry, type Registry } from "@pushfleet/registry";
import { systemClock } from "@pushfleet/service";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { ExampleGateway } from "../../gateway/src/example-gateway.test-suite.js";
import { newLease, newRegistration } from "../../registry/src/example-registrations.test-suite.js";
import { describeWithPeers } from "../peers/peer.js";
import { type RedisServer, startRedis } from "../peers/redis.js";
import { waitFor } from "../peers/wait-for.js";

/** What gateways and look-ups say to a real Redis, command by command. */
describeWithPeers(["redis-server"], "in Redis", () => {
  const prefix = "default/demo:";
  let redis: RedisServer;
  let admin: Redis;
  let router: Registry;
  /** Every command since it was last emptied; those of scripts included. */
  const commands: string[] = [];
  let monitor: Redis;
  const started: { readonly gateway: ExampleGateway; readonly registry: Registry }[] = [];

  beforeAll(async () => {
    redis = await startRedis();
    admin = new Redis(redis.url);
    admin.on("error", () => {}); // it is stopped in the end
    monitor = await admin.monitor(); // a connection of its own
    monitor.on("error", () => {});
    monitor.on("monitor", (_time: string, args: readonly string[]) => commands.push(args.join(" ")));
    router = await openRegistry();
  });
  afterEach(async () => {
    for (const { gateway, registry } of started.splice(0)) {
      await gateway.stop();
      await registry.stop();
    }
    await admin.flushall();
  });
  afterAll(async () => {
    await router?.stop();
    monitor?.disconnect();
    admin?.disconnect();
    await redis?.stop();
  });

  async function openRegistry(): Promise<Registry> {
    const registry = createRedisRegistry({ url: redis.url, keyPrefix: prefix, clock: systemClock });
    await registry.start();
    return registry;
  }

  async function startGateway(id: string, config: object = {}): Promise<ExampleGateway> {
    const registry = await openRegistry();
    const gateway = await ExampleGateway.start({ registry, config: { id, ...config } });
    started.push({ gateway, registry });
    await waitFor(() => gateway.gateway.readiness().kind === "ready", { what: `${id} to be ready` });
    return gateway;
  }

  const user = (name: string): UserId => {
    const parsed = parseUserId(name);
    if (parsed === undefined) throw new Error(name);
    return parsed;
  };
  /** Every command that MONITOR had to tell by now: it tells them in the order in which Redis does them. */
  async function commandsSoFar(): Promise<readonly string[]> {
    const mark = `mark ${Math.random()}`;
    await admin.echo(mark);
    await waitFor(() => commands.some((command) => command.includes(mark)), { what: "the monitor" });
    return commands.splice(0).filter((command) => !/^(echo|info|ping)\b/i.test(command));
  }

  test("a connection is a field of its user's hash and names its worker, whose one lease of 60 s stands for all of them", async () => {
    const gateway = await startGateway("gw-1");
    for (const [name, device] of [
      ["usr_42", "phone"],
      ["usr_42", "tablet"],
      ["usr_43", "phone"],
    ] as const) {
      await gateway.connect(name, device);
    }
    const keys = await admin.keys("*");
    const [lease = ""] = keys.filter((key) => key.startsWith(`${prefix}gw:`));
    expect([...keys].sort()).toEqual([`${prefix}conn:{usr_42}`, `${prefix}conn:{usr_43}`, lease]);
    const incarnation = lease.slice(`${prefix}gw:`.length);
    expect(await admin.hgetall(`${prefix}conn:{usr_42}`)).toEqual({
      phone: expect.stringMatching(`^${incarnation}\\|`),
      tablet: expect.stringMatching(`^${incarnation}\\|`),
    });
    expect(JSON.parse((await admin.get(lease)) ?? "")).toMatchObject({ gateway: "gw-1" });
    const secondsLeft = await admin.ttl(lease);
    expect(secondsLeft).toBeLessThanOrEqual(60);
    expect(secondsLeft).toBeGreaterThan(60 - limits.leaseRefreshMs / 1000 - 5);
  });

  test("heartbeats write nothing: no entry is renewed by them", async () => {
    const gateway = await startGateway("gw-1", { heartbeat: { intervalMs: 100, timeoutMs: 1_000 } });
    for (const device of ["a", "b", "c", "d"]) await gateway.connect("usr_42", device);
    await commandsSoFar();
    const heartbeats = async (): Promise<number> => Number(await gateway.metric("pushfleet_gateway_heartbeats_total"));
    const before = await heartbeats();
    await waitFor(async () => (await heartbeats()) - before >= 40, { what: "40 heartbeats" });
    expect((await commandsSoFar()).filter((command) => command.includes("conn:"))).toEqual([]);
  });

  test("a connection that ends deletes its own field, and the hash goes with the last", async () => {
    const gateway = await startGateway("gw-1");
    const [phone, tablet] = [await gateway.connect("usr_42", "phone"), await gateway.connect("usr_42", "tablet")];
    const key = `${prefix}conn:{usr_42}`;
    phone.socket.close(1000);
    await waitFor(async () => (await admin.hexists(key, "phone")) === 0, { what: "the phone's field to go" });
    expect(await admin.hkeys(key)).toEqual(["tablet"]);
    tablet.socket.terminate();
    await waitFor(async () => (await admin.exists(key)) === 0, { what: "the hash to go" });
  });

  test("a user's devices on three gateways are found by one HGETALL and a look at each lease, without a SCAN", async () => {
    for (const [index, device] of ["iphone", "ipad", "web"].entries()) {
      await (await startGateway(`gw-${index + 1}`)).connect("usr_42", device);
    }
    await commandsSoFar();
    const [found] = await router.lookUp([user("usr_42")]);
    if (found?.kind !== "located") throw new Error("not located");
    const places = found.devices.map(({ device, lease }) => [device, lease.gateway]);
    expect(Object.fromEntries(places)).toEqual({ iphone: "gw-1", ipad: "gw-2", web: "gw-3" });
    const asked = (await commandsSoFar()).filter((command) => !/\bexpire\b|resync:/i.test(command)); // the gateways' own refreshes
    expect(asked.filter((command) => /hgetall/i.test(command))).toEqual([`HGETALL ${prefix}conn:{usr_42}`]);
    const others = asked.filter((command) => !/hgetall/i.test(command));
    expect(others.length).toBeLessThanOrEqual(6);
    for (const command of others) expect(command).toContain(`${prefix}gw:`);
  });

  test("the entries of a worker that died go with its lease, which nobody renews", async () => {
    const lease = newLease();
    expect((await router.acquireLease(lease)).kind).toBe("refreshed");
    for (const name of ["usr_1", "usr_2"]) await router.register(newRegistration(user(name), lease));
    const located = async (): Promise<number> => {
      const found = await router.lookUp([user("usr_1"), user("usr_2")]);
      return found.flatMap((one) => (one.kind === "located" ? one.devices : [])).length;
    };
    expect(await located()).toBe(2);
    const key = `${prefix}gw:${lease.incarnation}`;
    const leftMs = await admin.pttl(key);
    expect(leftMs).toBeLessThanOrEqual(60_000);
    await waitFor(async () => (await admin.pttl(key)) < leftMs, { what: "the lease to grow old" });
    await admin.pexpire(key, 100); // the rest of its minute
    await waitFor(async () => (await located()) === 0, { what: "nobody to be found" });
    expect(await admin.exists(key)).toBe(0);
  });
});
