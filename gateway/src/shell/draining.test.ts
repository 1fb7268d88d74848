import { limits } from "@pushfleet/protocol";
import { callUnary, gatewayService, ManualClock, v1 } from "@pushfleet/service";
import { afterEach, describe, expect, test } from "vitest";
import { waitFor } from "../../../test/peers/wait-for.js";
import { type ExampleClient, ExampleGateway, type ExampleOptions } from "../example-gateway.test-suite.js";

const { STATE_SERVING, STATE_CORDONED, STATE_DRAINING, STATE_DRAINED } = v1.ServingState;

let example: ExampleGateway;
afterEach(async () => await example?.stop());

async function start(options: ExampleOptions = {}): Promise<ExampleGateway> {
  example = await ExampleGateway.start({ clock: new ManualClock(), ...options });
  return example;
}

const connectMany = (count: number): Promise<readonly ExampleClient[]> =>
  Promise.all(Array.from({ length: count }, (_, i) => example.connect(`usr_${i}`, "phone")));
const grant = (perSecond: number, more: v1.IGrant = {}): v1.IGrant => ({
  reconnectsPerSecond: perSecond,
  deadlineMs: example.clock.nowMs() + 600_000,
  epoch: 1,
  stragglerGraceMs: 30_000,
  ...more,
});
const asked = (clients: readonly ExampleClient[]): number => clients.filter((client) => client.of("reconnect").length > 0).length;
const isOpen = (client: ExampleClient): boolean => client.socket.readyState === 1;

describe("a cordon", () => {
  test("refuses newcomers with 1013, leaves sockets alone and takes the gateway from the balancer; an abort undoes it", async () => {
    await start();
    const client = await example.connect();
    expect(example.gateway.drain(grant(0), "scale down")).toEqual({ accepted: true, epoch: 1, message: "" });
    const refused = await example.open(`?token=${example.token()}`).closed;
    expect([refused.code, JSON.parse(refused.reason)]).toEqual([1013, { retry_after_ms: expect.any(Number) }]);
    expect(example.gateway.status()).toMatchObject({ state: STATE_CORDONED, ready: false, connections: 1, remaining: 1 });
    const ready = await fetch(`${example.http}/readyz`);
    expect([ready.status, await ready.text()]).toEqual([503, "cordoned\n"]);
    await example.advance(60_000, 500);
    expect([isOpen(client), client.of("reconnect")]).toEqual([true, []]);
    expect(example.gateway.abortDrain(1)).toMatchObject({ accepted: true });
    expect(example.gateway.status()).toMatchObject({ state: STATE_SERVING, ready: true });
    await example.connect("usr_42", "tablet");
  });

  test("of an older epoch is refused", async () => {
    await start();
    example.gateway.drain(grant(0, { epoch: 5 }), "");
    expect(example.gateway.drain(grant(100, { epoch: 4 }), "")).toMatchObject({ accepted: false, epoch: 5 });
    expect(example.gateway.abortDrain(4)).toMatchObject({ accepted: false, epoch: 5 });
    expect(example.gateway.status()).toMatchObject({ state: STATE_CORDONED, epoch: 5 });
  });
});

describe("a drain", () => {
  test("begins 5 s after the last handshake and asks at the granted rate, never more in a second", async () => {
    await start();
    const clients = await connectMany(30);
    example.gateway.drain(grant(10), "scale down");
    await example.advance(4_800, 100);
    expect(asked(clients)).toBe(0);
    let last = 0;
    for (let second = 0; second < 4; second++) {
      await example.advance(1000, 100);
      await waitFor(() => asked(clients) === example.gateway.status().reconnectsSent, { what: "the frames on their way" });
      expect(asked(clients) - last).toBeLessThanOrEqual(10);
      last = asked(clients);
    }
    expect(last).toBeGreaterThanOrEqual(25);
    expect(clients.find((client) => client.of("reconnect").length > 0)?.of("reconnect")[0]).toEqual({
      type: "reconnect",
      after_ms: 30_000,
      reason: "scale down",
    });
  });

  test("asks idle connections first", async () => {
    await start();
    const clients = await connectMany(6);
    await example.advance(limits.drainIdleMs, 1000);
    const busy = clients.slice(0, 3);
    for (const client of busy) client.send({ type: "ping" });
    for (const client of busy) await client.frame("pong");
    example.gateway.drain(grant(1), "");
    for (let step = 0; step < 100 && (example.gateway.status().reconnectsSent ?? 0) < 3; step++) await example.advance(100);
    await waitFor(() => asked(clients) === 3, { what: "three to be asked" });
    expect(asked(busy)).toBe(0);
  });

  test("closes stragglers with 1012 after their grace, at the same rate, and is then drained", async () => {
    await start();
    const clients = await connectMany(5);
    example.gateway.drain(grant(10, { stragglerGraceMs: 20_000 }), "");
    await example.advance(7_000, 100);
    await waitFor(() => asked(clients) === 5, { what: "all to be asked" });
    expect(example.gateway.status()).toMatchObject({ state: STATE_DRAINING, remaining: 0, connections: 5 });
    example.gateway.drain(grant(10, { stragglerGraceMs: 20_000 }), "");
    await example.advance(12_000, 100);
    expect(clients.every(isOpen)).toBe(true);
    example.gateway.drain(grant(10, { stragglerGraceMs: 20_000 }), "");
    await example.advance(8_000, 100);
    for (const client of clients) expect(await client.closed).toMatchObject({ code: 1012 });
    await example.advance(200, 100);
    expect(example.gateway.status()).toMatchObject({ state: STATE_DRAINED, drainCloses: 5, reconnectsSent: 5 });
  });

  test("pauses when its grant is not renewed for 30 s", async () => {
    await start();
    const clients = await connectMany(60);
    const patient = { stragglerGraceMs: 300_000 };
    example.gateway.drain(grant(1, patient), "");
    await example.advance(limits.grantRenewMs + 10_000, 100);
    const before = example.gateway.status().reconnectsSent ?? 0;
    await example.advance(10_000, 100);
    expect(example.gateway.status().reconnectsSent).toBe(before);
    example.gateway.drain(grant(1, patient), "");
    await example.advance(5_000, 100);
    expect(example.gateway.status().reconnectsSent).toBeGreaterThan(before);
    expect(clients.every(isOpen)).toBe(true);
  });

  test("of a gateway that is told to stop keeps its own pace and ends by the deadline with 1001", async () => {
    await start({ config: { drain: { reconnectsPerSecond: 100, deadlineMs: 20_000, stragglerGraceMs: 60_000 } } });
    const clients = await connectMany(4);
    const stopped = example.gateway.stop({ kind: "drain" });
    expect(example.gateway.drain(grant(0), "")).toMatchObject({ accepted: true });
    await example.advance(6_000, 100);
    await waitFor(() => asked(clients) === 4, { what: "all to be asked" });
    clients[0]?.socket.close();
    await example.advance(15_000, 100);
    const codes = await Promise.all(clients.slice(1).map(async (client) => (await client.closed).code));
    expect(codes).toEqual([1001, 1001, 1001]);
    await stopped;
  });

  test("of an empty gateway that is told to stop is over at once", async () => {
    await start();
    const stopped = example.gateway.stop({ kind: "drain" });
    await stopped;
  });
});

describe("over gRPC", () => {
  test("an operator drains, aborts and disconnects", async () => {
    await start();
    const client = await example.connect("usr_42", "phone");
    const channel = example.channel();
    const drained = await callUnary(channel, gatewayService.drain, new v1.DrainRequest({ grant: grant(0), reason: "x" }), 5000);
    expect(drained).toMatchObject({ accepted: true, epoch: 1 });
    expect(example.gateway.status().state).toBe(STATE_CORDONED);
    const aborted = await callUnary(channel, gatewayService.abortDrain, new v1.AbortDrainRequest({ epoch: 1 }), 5000);
    expect(aborted.accepted).toBe(true);
    const entry = await example.entryOf("usr_42", "phone");
    const connection = entry?.entry.connection ?? "";
    const fence = (entry?.entry.fence ?? 0) + 1;
    const disconnect = (user: string) =>
      callUnary(channel, gatewayService.disconnect, new v1.DisconnectRequest({ user, device: "phone", connection, fence }), 5000);
    expect(await disconnect("other")).toMatchObject({ found: false });
    expect(await disconnect("usr_42")).toMatchObject({ found: true });
    expect(await client.closed).toMatchObject({ code: 4409 });
  });

  test("a status comes at once, at a change, and every 5 s", async () => {
    await start();
    const { path, requestSerialize, responseDeserialize } = gatewayService.watchStatus;
    const seen: v1.GatewayStatus[] = [];
    const stream = example.channel().makeServerStreamRequest(path, requestSerialize, responseDeserialize, new v1.WatchStatusRequest());
    stream.on("data", (status: v1.GatewayStatus) => seen.push(status));
    stream.on("error", () => {}); // cancelled below
    await waitFor(() => seen.length === 1, { what: "the first status" });
    expect(seen[0]).toMatchObject({ gateway: "gw-1", state: STATE_SERVING, ready: true, connections: 0, bindingLimit: expect.any(String) });
    expect(seen[0]?.effectiveMaxConnections).toBeGreaterThan(0);
    await example.connect();
    await example.advance(300, 100);
    await waitFor(() => seen.length === 2, { what: "the changed status" });
    expect(seen[1]).toMatchObject({ connections: 1, handshakes: 1 });
    await example.advance(limits.statusPeriodMs + 300, 100);
    await waitFor(() => seen.length === 3, { what: "the periodic status" });
    stream.cancel();
  });
});

describe("the drain of a deleted fleet", () => {
  const hint = (text: string) => (JSON.parse(text) as { readonly retry_after_ms: number }).retry_after_ms;

  test("closes with 1013 and a long hint instead of asking to move, at the granted rate, never more in a second", async () => {
    await start();
    const clients = await connectMany(30);
    example.gateway.drain(grant(10, { stragglerGraceMs: 0 }), "fleetDeleted");
    await example.advance(4_800, 100);
    let last = 0;
    for (let second = 0; second < 4; second++) {
      await example.advance(1000, 100);
      const { drainCloses, connections } = new v1.GatewayStatus(example.gateway.status());
      await waitFor(() => clients.filter(isOpen).length === connections, { what: "the closes on their way" });
      expect(drainCloses - last).toBeLessThanOrEqual(10);
      last = drainCloses;
    }
    expect(last).toBe(30);
    const closed = await Promise.all(clients.map((client) => client.closed));
    expect(new Set(closed.map(({ code }) => code))).toEqual(new Set([1013]));
    const hints = closed.map(({ reason }) => hint(reason));
    expect([Math.min(...hints) >= 15_000, Math.max(...hints) <= 45_000, new Set(hints).size > 1]).toEqual([true, true, true]);
    expect(asked(clients)).toBe(0);
    expect(example.gateway.status()).toMatchObject({ state: STATE_DRAINED, reconnectsSent: 0, remaining: 0 });
  });

  test("refuses newcomers with as long a hint, and an abort is the end of it", async () => {
    await start();
    example.gateway.drain(grant(0), "fleetDeleted");
    const refused = await example.open(`?token=${example.token()}`).closed;
    expect(refused.code).toBe(1013);
    expect(hint(refused.reason)).toBeGreaterThanOrEqual(15_000);
    example.gateway.abortDrain(1);
    const clients = await connectMany(1);
    example.gateway.drain(grant(10), "");
    await example.advance(8_000, 100);
    await clients[0]?.frame("reconnect");
  });

  test("closes those with 1013 that were asked to move before and have stayed", async () => {
    await start();
    const [client] = await connectMany(1);
    example.gateway.drain(grant(10, { stragglerGraceMs: 60_000 }), "rollout");
    await example.advance(8_000, 100);
    await client?.frame("reconnect");
    example.gateway.drain(grant(10, { stragglerGraceMs: 1_000 }), "fleetDeleted");
    await example.advance(25_000, 500);
    example.gateway.drain(grant(10, { stragglerGraceMs: 1_000 }), "fleetDeleted");
    await example.advance(29_000, 500);
    example.gateway.drain(grant(10, { stragglerGraceMs: 1_000 }), "fleetDeleted");
    await example.advance(10_000, 500);
    expect(await client?.closed).toMatchObject({ code: 1013 });
  });
});
