import { get } from "node:http";
import { connect as connectTcp } from "node:net";
import type { DeviceId, UserId } from "@pushfleet/protocol";
import { createMemoryRegistry, type Registered, type Registration, type Registry } from "@pushfleet/registry";
import { ManualClock, systemClock } from "@pushfleet/service";
import { describe, expect, test } from "vitest";
import { waitFor } from "../../../test/peers/wait-for.js";
import { createGateway } from "../create-gateway.js";
import { type ExampleClient, ExampleRouter, exampleConfig, signToken } from "../example-gateway.test-suite.js";
import { example, start } from "../started-gateway.test-suite.js";

const handshakes = (result: string) => example.metric(`pushfleet_gateway_handshakes_total{result="${result}"}`);

describe("authentication", () => {
  test.each<readonly [string, () => ExampleClient]>([
    ["a token in the query", () => example.open(`?token=${example.token()}&device=phone`)],
    ["a bearer token", () => example.open("?device=phone", { headers: { authorization: `Bearer ${example.token({ exp: 4e9 })}` } })],
    [
      "the first message",
      () => {
        const client = example.open("?device=phone");
        void client.opened.then(() => client.send({ type: "auth", token: example.token({ exp: 4e9 }) }));
        return client;
      },
    ],
    [
      "the first message, which may name the device",
      () => {
        const client = example.open();
        void client.opened.then(() => client.send({ type: "auth", token: example.token(), device: "phone" }));
        return client;
      },
    ],
  ])("by %s leads to hello", async (_, open) => {
    await start();
    const hello = await open().frame("hello");
    expect(hello).toEqual({
      type: "hello",
      connection_id: expect.stringMatching(/^[a-z0-9]{10}\.[a-z0-9]+$/),
      device: "phone",
      server: "gw-1",
      heartbeat_ms: 30_000,
      cursor: expect.stringMatching(/^c1_\d{13}_000000$/),
      resume: expect.stringMatching(/^r1~/),
      registered: true,
    });
    const entry = await example.entryOf("usr_42", "phone");
    expect(hello["connection_id"]).toBe(`${entry?.entry.incarnation}.${entry?.entry.connection}`);
    expect(await handshakes("accepted")).toBe("1");
  });

  test("a device that is not named is a random id, another one each time", async () => {
    await start();
    const devices = await Promise.all(
      [1, 2].map(async () => (await example.open(`?token=${example.token()}`).frame("hello"))["device"] as string),
    );
    expect(new Set(devices).size).toBe(2);
    expect(devices.every((device) => /^[A-Za-z0-9._:@-]{16,128}$/.test(device))).toBe(true);
  });

  test.each<readonly [string, () => string]>([
    ["expired", () => example.token({ exp: 1_600_000_000 })],
    ["signed with another secret", () => signToken({ sub: "usr_42" }, Date.now(), "other")],
    ["valid for a day, in the query", () => example.token({ exp: Math.floor(Date.now() / 1000) + 86_400 })],
    ["without sub", () => example.token({ sub: undefined })],
    ["empty", () => ""],
  ])("a token %s closes with 4401", async (_, token) => {
    await start();
    expect(await example.open(`?token=${token()}`).closed).toMatchObject({ code: 4401 });
    expect(await handshakes("unauthenticated")).toBe("1");
    expect(example.gateway.status().connections).toBe(0);
  });

  test("a token of 8 KB fits into the query", async () => {
    await start();
    const client = example.open(`?token=${example.token({ filler: "x".repeat(5900) })}`);
    expect(await client.frame("hello")).toMatchObject({ type: "hello" });
  });

  test.each([
    ["ping", '{"type":"ping"}'],
    ["not JSON", "{"],
    ["binary", Buffer.from("{}")],
    ["too large", "x".repeat(70_000)],
  ])("a first frame other than auth closes with 4401 at once: %s", async (_, frame) => {
    await start();
    const client = example.open();
    await client.opened;
    client.socket.send(frame);
    expect(await client.closed).toMatchObject({ code: 4401 });
  });

  test("silence closes with 4408 after 5 s, not before", async () => {
    await start({ clock: new ManualClock() });
    const client = example.open();
    await client.opened;
    await example.advance(4_900, 100);
    expect(client.socket.readyState).toBe(1);
    await example.advance(300, 100);
    expect(await client.closed).toMatchObject({ code: 4408 });
    expect(await handshakes("auth_timeout")).toBe("1");
  });

  test("a revoked token closes with 4403", async () => {
    await start();
    const revocation = { user: "usr_42" as UserId, what: { kind: "token", tokenId: "t1" } as const, expiresAtMs: Date.now() + 60_000 };
    await example.registry.revoke(revocation);
    expect(await example.open(`?token=${example.token({ jti: "t1" })}`).closed).toMatchObject({ code: 4403 });
    expect(await handshakes("revoked")).toBe("1");
  });

  test("frames sent before hello are processed after it", async () => {
    await start();
    const client = example.open("?device=phone");
    await client.opened;
    client.send({ type: "auth", token: example.token() });
    client.send({ type: "ping" });
    await client.frame("pong");
    expect(client.frames.map(({ type }) => type)).toEqual(["hello", "pong"]);
  });
});

describe("a refusal", () => {
  test("for a bad device is an upgrade closed with 4400", async () => {
    await start();
    const closed = await example.open(`?token=${example.token()}&device=a%20b`).closed;
    expect(closed).toMatchObject({ code: 4400, reason: expect.stringContaining("device: expected 1 to 128 bytes") });
  });

  test("because it is full is an upgrade closed with 1013 and a hint", async () => {
    await start({ config: { limits: { maxConnections: 1 } } });
    await example.connect();
    const closed = await example.open(`?token=${example.token()}`).closed;
    expect(closed.code).toBe(1013);
    expect(JSON.parse(closed.reason)).toEqual({ retry_after_ms: expect.any(Number) });
    expect(await handshakes("refused")).toBe("1");
  });

  test("because of the bucket is 503 with Retry-After and an error body; a valid resume still gets in", async () => {
    const clock = new ManualClock();
    await start({ clock, config: { limits: { handshakesPerSecond: 4 } } });
    const first = await example.connect("usr_42", "phone");
    const resume = (await first.frame("hello"))["resume"] as string;
    for (const device of ["b", "c", "d"]) await example.connect("usr_42", device);
    const refused = await upgradeResponse(`${example.http}/connect?token=${example.token()}`);
    expect(refused).toMatchObject({ status: 503, retryAfter: expect.stringMatching(/^[1-9]\d*$/) });
    expect(JSON.parse(refused.body)).toMatchObject({ error: { code: "busy", retry_after_ms: expect.any(Number) } });
    const again = await example.connect("usr_42", "phone", `&resume=${encodeURIComponent(resume)}&down_ms=1500`);
    expect(again.frames[0]).toMatchObject({ type: "hello" });
    expect(example.gateway.status()).toMatchObject({ resumed: 1 });
    expect(await example.metric('pushfleet_gateway_reconnect_seconds_bucket{le="2"}')).toBe("1");
    expect(await handshakes("busy")).toBe("1");
  });

  test("of an origin that is not allowed is 403; no origin at all is let in", async () => {
    await start({ config: { listen: { host: "127.0.0.1", port: 0, allowedOrigins: ["https://app.example"] } } });
    const refused = await upgradeResponse(`${example.http}/connect?token=${example.token()}`, { origin: "https://evil.example" });
    expect(refused).toMatchObject({ status: 403, body: expect.stringContaining("forbidden") });
    await example.connect();
    const client = example.open(`?token=${example.token()}&device=b`, { headers: { origin: "https://app.example" } });
    await client.frame("hello");
  });
});

describe("hello", () => {
  test("comes after the registration, not before", async () => {
    const memory = createMemoryRegistry({ clock: systemClock });
    let answer: ((registered: Registered) => void) | undefined;
    const slow: Registry = {
      ...bound(memory),
      register: () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    };
    await start({ registry: slow });
    const client = example.open(`?token=${example.token()}&device=phone`);
    await waitFor(() => answer, { what: "the registration" });
    expect(client.frames).toEqual([]);
    expect(example.gateway.status().connections).toBe(0);
    answer?.({ kind: "registered", fence: 1, replaced: undefined, restored: false });
    expect(await client.frame("hello")).toMatchObject({ registered: true });
  });

  test("does not wait longer than 5 s for a registry that hangs", async () => {
    const clock = new ManualClock();
    const memory = createMemoryRegistry({ clock });
    await start({ clock, registry: { ...bound(memory), register: () => new Promise(() => {}) } });
    const client = example.open(`?token=${example.token()}&device=phone`);
    await client.opened;
    await example.advance(5_300, 100);
    expect(await client.frame("hello")).toMatchObject({ registered: false });
  });

  test("a connection that closes while it is being registered leaves no entry behind", async () => {
    const memory = createMemoryRegistry({ clock: systemClock });
    let release: (() => void) | undefined;
    const slow: Registry = {
      ...bound(memory),
      register: async (registration: Registration) => {
        const registered = await memory.register(registration);
        await new Promise<void>((resolve) => {
          release = resolve;
        });
        return registered;
      },
    };
    await start({ registry: slow });
    const client = example.open(`?token=${example.token()}&device=phone`);
    await waitFor(() => release, { what: "the registration" });
    client.socket.terminate();
    await waitFor(async () => (await handshakes("abandoned")) === "1", { what: "the close" });
    expect(await example.entryOf("usr_42", "phone")).toBeDefined();
    release?.();
    await waitFor(async () => (await example.entryOf("usr_42", "phone")) === undefined, { what: "the entry to go" });
  });

  test("a closed connection's entry goes", async () => {
    await start();
    const client = await example.connect();
    expect(await example.entryOf("usr_42", "phone")).toMatchObject({ device: "phone" as DeviceId });
    client.socket.close(1000);
    await waitFor(async () => (await example.entryOf("usr_42", "phone")) === undefined, { what: "the entry to go" });
    expect(await example.metric('pushfleet_gateway_closes_total{code="1000"}')).toBe("1");
  });
});

describe("the client ports", () => {
  test("answer balancers and everything else with a body", async () => {
    await start();
    const answer = async (path: string, method = "GET") => {
      const response = await fetch(`${example.http}${path}`, { method });
      return [response.status, (await response.text()).trim()];
    };
    expect(await answer("/healthz")).toEqual([200, "ok"]);
    expect(await answer("/readyz")).toEqual([200, "ready"]);
    expect(await answer("/sse?token=x")).toEqual([501, expect.stringContaining("not_implemented")]);
    expect(await answer("/frames", "POST")).toEqual([501, expect.stringContaining("not_implemented")]);
    expect(await answer("/connect")).toEqual([426, expect.stringContaining("upgrade")]);
    expect(await answer("/other")).toEqual([404, expect.stringContaining("not_found")]);
  });

  test("are all of them served, and one that is taken is a fault", async () => {
    await start({ config: { listen: { host: "127.0.0.1", port: 0, extraPorts: [0] } } });
    const [, port] = example.gateway.addresses.client.split(":");
    const parts = { registry: example.registry, router: new ExampleRouter(), clock: systemClock };
    const config = exampleConfig({ listen: { host: "127.0.0.1", port: Number(port) } });
    await expect(createGateway(config, parts)).rejects.toThrow(/is taken/);
  });

  test("cut handshakes that are never finished within 12 s", async () => {
    await start();
    const startedMs = performance.now();
    const cut = (first: string) =>
      new Promise<number>((resolve) => {
        const [host, port] = example.gateway.addresses.client.split(":");
        const socket = connectTcp(Number(port), host, () => socket.write(first));
        socket.on("error", () => {}); // the close says it
        socket.on("close", () => resolve(performance.now() - startedMs));
      });
    const times = await Promise.all(["G", "GET /connect HTTP/1.1\r\nHost: x\r\n"].map(cut));
    for (const ms of times) expect(ms).toBeLessThan(13_000);
  });
});

/** What an upgrade is answered when it is not upgraded. */
function upgradeResponse(url: string, headers: Record<string, string> = {}) {
  const upgrade = {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  };
  return new Promise<{ readonly status: number | undefined; readonly retryAfter: string | undefined; readonly body: string }>((resolve) => {
    get(url, { headers: { ...upgrade, ...headers } }, (response) => {
      let body = "";
      response.on("data", (chunk: Buffer) => {
        body += String(chunk);
      });
      response.on("end", () => resolve({ status: response.statusCode, retryAfter: response.headers["retry-after"], body }));
    });
  });
}

/** The methods of `registry`, to be overridden one by one. */
function bound(registry: Registry): Registry {
  return {
    start: () => registry.start(),
    stop: () => registry.stop(),
    acquireLease: (lease) => registry.acquireLease(lease),
    refreshLease: (incarnation) => registry.refreshLease(incarnation),
    releaseLease: (incarnation) => registry.releaseLease(incarnation),
    register: (registration) => registry.register(registration),
    unregister: (unregistration) => registry.unregister(unregistration),
    lookUp: (users) => registry.lookUp(users),
    requestResync: (incarnation, after) => registry.requestResync(incarnation, after),
    readLease: (incarnation) => registry.readLease(incarnation),
    revoke: (revocation) => registry.revoke(revocation),
    onReconnected: (listener) => registry.onReconnected(listener),
  };
}
