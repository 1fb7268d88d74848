import type { Cursor, DeviceId, Incarnation, UserId } from "@pushfleet/protocol";
import { formatCursor, limits } from "@pushfleet/protocol";
import { createMemoryRegistry, type Refreshed, type Registered, type Registry } from "@pushfleet/registry";
import { callUnary, gatewayService, ManualClock, systemClock, v1 } from "@pushfleet/service";
import { afterEach, describe, expect, test } from "vitest";
import { waitFor } from "../../../test/peers/wait-for.js";
import { ExampleGateway } from "../example-gateway.test-suite.js";

const examples: ExampleGateway[] = [];
afterEach(async () => {
  for (const example of examples.splice(0)) await example.stop();
});

async function start(options: Parameters<typeof ExampleGateway.start>[0] = {}): Promise<ExampleGateway> {
  const example = await ExampleGateway.start(options);
  examples.push(example);
  return example;
}

const unavailable = { kind: "unavailable", cause: new Error("the registry is away") } as const;

/** A registry in memory that can be away, as Redis can. */
class FrailRegistry implements Registry {
  readonly memory: Registry;
  isAway = false;
  readonly #listeners = new Set<() => void>();

  constructor(clock: ManualClock) {
    this.memory = createMemoryRegistry({ clock });
  }

  comeBack(): void {
    this.isAway = false;
    for (const listener of this.#listeners) listener();
  }
  onReconnected(listener: () => void) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  async acquireLease(lease: Parameters<Registry["acquireLease"]>[0]): Promise<Refreshed> {
    return this.isAway ? unavailable : this.memory.acquireLease(lease);
  }
  async refreshLease(incarnation: Incarnation): Promise<Refreshed> {
    return this.isAway ? unavailable : this.memory.refreshLease(incarnation);
  }
  async register(registration: Parameters<Registry["register"]>[0]): Promise<Registered> {
    return this.isAway ? unavailable : this.memory.register(registration);
  }
  start = () => this.memory.start();
  stop = () => this.memory.stop();
  releaseLease = (incarnation: Incarnation) => this.memory.releaseLease(incarnation);
  unregister = (unregistration: Parameters<Registry["unregister"]>[0]) => this.memory.unregister(unregistration);
  lookUp = (users: readonly UserId[]) => this.memory.lookUp(users);
  requestResync = (incarnation: Incarnation, after: Cursor) => this.memory.requestResync(incarnation, after);
  readLease = (incarnation: Incarnation) => this.memory.readLease(incarnation);
  revoke = (revocation: Parameters<Registry["revoke"]>[0]) => this.memory.revoke(revocation);
}

async function startFrail() {
  const clock = new ManualClock();
  const registry = new FrailRegistry(clock);
  return { clock, registry, example: await start({ clock, registry }) };
}

const cursorMs = (value: unknown): number => Number(String(value).slice(3, 16));
const entryId = async (example: ExampleGateway, user: string, device: string): Promise<string | undefined> => {
  const found = await example.entryOf(user, device);
  return found === undefined ? undefined : `${found.entry.incarnation}.${found.entry.connection}`;
};

describe("while the registry is away", () => {
  test("sockets stay, newcomers are told that they are not registered, and a gap follows once they are", async () => {
    const { clock, registry, example } = await startFrail();
    const before = await example.connect("before", "phone");
    registry.isAway = true;
    const openedMs = clock.nowMs();
    const during = await example.connect("during", "phone");
    expect(during.frames[0]).toMatchObject({ type: "hello", registered: false });
    await example.advance(5000, 100);
    registry.comeBack();
    await example.advance(3000, 100);
    expect(await during.frame("gap")).toEqual({ type: "gap", after: formatCursor(openedMs, 0) });
    expect(await entryId(example, "during", "phone")).toBe(during.frames[0]?.["connection_id"]);
    expect([before.socket.readyState, before.of("gap")]).toEqual([1, []]);
  });

  test("a gateway is not ready after 45 s, and ready again when it is back", async () => {
    const { registry, example } = await startFrail();
    expect(example.gateway.readiness()).toEqual({ kind: "ready" });
    registry.isAway = true;
    await example.advance(44_000, 500);
    expect(example.gateway.readiness()).toEqual({ kind: "ready" });
    await example.advance(3_000, 500);
    expect(example.gateway.readiness()).toMatchObject({ kind: "not_ready", reason: expect.stringContaining("lease") });
    expect((await fetch(`${example.http}/readyz`)).status).toBe(503);
    registry.comeBack();
    await example.advance(1_000, 100);
    expect(example.gateway.readiness()).toEqual({ kind: "ready" });
  });

  test("a gateway starts, and is ready when there is a lease", async () => {
    const clock = new ManualClock();
    const registry = new FrailRegistry(clock);
    registry.isAway = true;
    const example = await start({ clock, registry });
    const client = await example.connect();
    expect(client.frames[0]).toMatchObject({ registered: false });
    expect(example.gateway.readiness()).toMatchObject({ kind: "not_ready", reason: "no lease in the registry yet" });
    registry.isAway = false;
    await example.advance(3_000, 100);
    expect(example.gateway.readiness()).toEqual({ kind: "ready" });
    await client.frame("gap");
  });
});

describe("a lease that has lapsed", () => {
  test("is not revived: another incarnation, everything registered again, and a gap from the last good refresh", async () => {
    const { clock, registry, example } = await startFrail();
    const clients = await Promise.all(["a", "b", "c"].map((user) => example.connect(user, "phone")));
    await example.advance(25_000, 100);
    const { incarnation } = example.gateway.status();
    const lostMs = clock.nowMs();
    await registry.memory.releaseLease(incarnation as Incarnation);
    await example.advance(12_000, 100);
    expect(example.gateway.status().incarnation).not.toBe(incarnation);
    for (const [index, client] of clients.entries()) {
      const after = cursorMs((await client.frame("gap"))["after"]);
      expect(after).toBeLessThanOrEqual(lostMs);
      expect(after).toBeGreaterThan(lostMs - limits.leaseRefreshMs - 200);
      const found = await example.entryOf(["a", "b", "c"][index] ?? "", "phone");
      expect(found?.entry.incarnation).toBe(example.gateway.status().incarnation);
    }
  });
});

describe("an entry that is missing", () => {
  test("is restored by the audit within 15 minutes, and its connection is sent a gap from when it was last right", async () => {
    const { clock, registry, example } = await startFrail();
    const longLived = async (sub: string) => {
      const headers = { authorization: `Bearer ${example.token({ sub, exp: Math.floor(clock.nowMs() / 1000) + 86_400 })}` };
      const client = example.open("?device=phone", { headers });
      await client.frame("hello");
      return client;
    };
    const client = await longLived("usr_42");
    const other = await longLived("other");
    const rightMs = clock.nowMs();
    const entry = await example.entryOf("usr_42", "phone");
    if (entry === undefined) throw new Error("expected an entry");
    await registry.memory.unregister({ user: "usr_42" as UserId, device: "phone" as DeviceId, ...entry.entry });
    await example.advance(limits.auditPeriodMs + 60_000, 1000);
    expect(await entryId(example, "usr_42", "phone")).toBe(client.frames[0]?.["connection_id"]);
    expect(cursorMs((await client.frame("gap"))["after"])).toBeLessThanOrEqual(rightMs);
    expect(other.of("gap")).toEqual([]);
  }, 60_000);

  test("is restored at once after the registry has reconnected", async () => {
    const { registry, example } = await startFrail();
    const client = await example.connect("usr_42", "phone");
    const entry = await example.entryOf("usr_42", "phone");
    if (entry === undefined) throw new Error("expected an entry");
    await registry.memory.unregister({ user: "usr_42" as UserId, device: "phone" as DeviceId, ...entry.entry });
    registry.comeBack();
    await example.advance(2_000, 100);
    await client.frame("gap");
    expect(await example.entryOf("usr_42", "phone")).toBeDefined();
  });
});

describe("a newer connection of the same device", () => {
  test("at the same gateway closes the older one at once with 4409, and keeps its entry", async () => {
    const example = await start();
    const older = await example.connect("usr_42", "phone");
    const newer = await example.connect("usr_42", "phone");
    expect(await older.closed).toMatchObject({ code: 4409 });
    expect(await entryId(example, "usr_42", "phone")).toBe(newer.frames[0]?.["connection_id"]);
    newer.send({ type: "ping" });
    await newer.frame("pong");
  });

  test("at another gateway closes the older one by its gateway", async () => {
    const registry = createMemoryRegistry({ clock: systemClock });
    const [one, two] = [await start({ registry }), await start({ registry })];
    const older = await one.connect("usr_42", "phone");
    const newer = await two.connect("usr_42", "phone");
    expect(await older.closed).toMatchObject({ code: 4409 });
    expect(await entryId(two, "usr_42", "phone")).toBe(newer.frames[0]?.["connection_id"]);
  });

  test("closes one that was asked to move with 1001, ten seconds later", async () => {
    const clock = new ManualClock();
    const example = await start({ clock, config: { drain: { stragglerGraceMs: 60_000 } } });
    const older = await example.connect("usr_42", "phone");
    example.gateway.drain({ reconnectsPerSecond: 10, deadlineMs: clock.nowMs() + 600_000, epoch: 1, stragglerGraceMs: 60_000 }, "test");
    await example.advance(7_000, 100);
    await older.frame("reconnect");
    example.gateway.abortDrain(1);
    await example.connect("usr_42", "phone");
    await example.advance(9_500, 100);
    expect(older.socket.readyState).toBe(1);
    await example.advance(1_000, 100);
    expect(await older.closed).toMatchObject({ code: 1001 });
  });

  test("is not closed by the older one's gateway being told late", async () => {
    const example = await start();
    const newer = await example.connect("usr_42", "phone");
    const entry = await example.entryOf("usr_42", "phone");
    if (entry === undefined) throw new Error("expected an entry");
    const request = { user: "usr_42", device: "phone", connection: entry.entry.connection, fence: entry.entry.fence - 1 };
    const message = new v1.DisconnectRequest(request);
    const reply = await callUnary(example.channel(), gatewayService.disconnect, message, 5000);
    expect(reply.found).toBe(false);
    newer.send({ type: "ping" });
    await newer.frame("pong");
  });

  test("that took the entry while this gateway could not be told is found by the audit: 4409", async () => {
    const { registry, example } = await startFrail();
    const client = await example.connect("usr_42", "phone");
    const lease = { incarnation: "othergw000" as Incarnation, gateway: "gw-2", address: "127.0.0.1:1", zone: "", startedAtMs: 0 };
    await registry.memory.acquireLease(lease);
    await registry.memory.register({
      user: "usr_42" as UserId,
      device: "phone" as DeviceId,
      incarnation: lease.incarnation,
      connection: "1" as never,
      ageMs: 0,
      fence: undefined,
      tokenId: undefined,
      tokenIssuedAtMs: undefined,
    });
    registry.comeBack();
    await example.advance(2_000, 100);
    expect(await client.closed).toMatchObject({ code: 4409 });
    expect((await example.entryOf("usr_42", "phone"))?.entry.incarnation).toBe(lease.incarnation);
  });
});

test("a gateway that stops closes with 1001 within 3 s and gives up its lease", async () => {
  const example = await start();
  const client = await example.connect("usr_42", "phone");
  const startedMs = performance.now();
  await example.gateway.stop({ kind: "close" });
  expect(performance.now() - startedMs).toBeLessThan(limits.closeAllMs);
  expect(await client.closed).toMatchObject({ code: 1001 });
  await waitFor(async () => (await example.entryOf("usr_42", "phone")) === undefined, { what: "the entry to be gone" });
});
