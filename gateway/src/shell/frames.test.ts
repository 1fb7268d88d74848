import { limits } from "@pushfleet/protocol";
import { ManualClock, v1 } from "@pushfleet/service";
import { describe, expect, test } from "vitest";
import { waitFor } from "../../../test/peers/wait-for.js";
import { type ExampleClient, signToken, syncBatch } from "../example-gateway.test-suite.js";
import { example, start } from "../started-gateway.test-suite.js";

const page = (name: string, nextPage = ""): v1.ISyncReply => ({
  frame: Buffer.from(syncBatch(name, nextPage !== "")),
  hasMore: nextPage !== "",
  nextPage,
});

describe("a frame that is not right closes the connection, and the others notice nothing", () => {
  test.each<readonly [string, number, string | Buffer]>([
    ["not JSON", 4400, "{"],
    ["not an object", 4400, "[]"],
    ["of an unknown type", 4400, '{"type":"subscribe"}'],
    ["whose type is inherited", 4400, '{"__proto__":{"type":"ping"}}'],
    ["with a bad field", 4400, '{"type":"ack","notification_id":"a b"}'],
    ["of 60,000 brackets", 4400, "[".repeat(60_000)],
    ["of 70 KB", 1009, JSON.stringify({ type: "event", name: "x", data: "x".repeat(70_000) })],
    ["that is binary", 1003, Buffer.from('{"type":"ping"}')],
  ])("%s: %d", async (_, code, frame) => {
    await start();
    const [bystander, client] = await Promise.all([example.connect("other"), example.connect()]);
    client.socket.send(frame);
    expect(await client.closed).toMatchObject({ code });
    bystander.send({ type: "ping" });
    await bystander.frame("pong");
    expect(await example.metric(`pushfleet_gateway_closes_total{code="${code}"}`)).toBe("1");
  });

  test.each<readonly [string, string, string | Buffer]>([
    ["beyond 128 KiB", "frame_too_big", "x".repeat(limits.clientFrameBytesCut + 1)],
    ["that is not UTF-8", "invalid_utf8", Buffer.from([0x22, 0xff, 0x22])],
  ])("%s: nothing on the wire, and the reason is counted", async (_, reason, frame) => {
    await start();
    const client = await example.connect();
    client.socket.send(frame, { binary: false });
    expect(await client.closed).toMatchObject({ code: 1006 });
    expect(await example.metric(`pushfleet_gateway_cuts_total{reason="${reason}"}`)).toBe("1");
  });

  test("too many messages close with 4429", async () => {
    await start({ clock: new ManualClock() });
    const client = await example.connect();
    for (let i = 0; i <= limits.clientMessageBurst; i++) client.send({ type: "ping" });
    expect(await client.closed).toMatchObject({ code: 4429 });
    expect(client.of("pong")).toHaveLength(limits.clientMessageBurst);
  });
});

describe("acks and events", () => {
  test("reach a router with the user and device of the token", async () => {
    await start();
    const client = await example.connect("usr_42", "phone");
    client.send({ type: "ack", notification_ids: ["n1", "n2"] });
    client.send({ type: "ack", notification_id: "n3", state: "received" });
    client.send('{"type":"event","name":"typing","data":{"n":9007199254740993,"x":1.0}}');
    await waitFor(() => example.router.acks.length === 2 && example.router.events.length === 1, { what: "both batches" });
    const from = { user: "usr_42", device: "phone" };
    expect(example.router.acks).toMatchObject([
      { ...from, notificationIds: ["n1", "n2"], state: v1.AckState.ACK_READ, atMs: expect.any(Number) },
      { ...from, notificationIds: ["n3"], state: v1.AckState.ACK_RECEIVED },
    ]);
    expect(example.router.events).toMatchObject([{ ...from, name: "typing" }]);
    expect(String(example.router.events[0]?.data)).toBe('{"n":9007199254740993,"x":1.0}');
  });

  test("wait while no router answers, and none is lost", async () => {
    await start();
    const client = await example.connect();
    example.router.isAway = true;
    client.send({ type: "ack", notification_id: "n1" });
    client.send({ type: "ping" });
    await client.frame("pong");
    expect(example.router.acks).toEqual([]);
    example.router.isAway = false;
    await waitFor(() => example.router.acks.length === 1, { what: "the ack" });
  });

  test("are refused with a hint once a bounded number wait", async () => {
    await start({ clock: new ManualClock() });
    example.router.isAway = true;
    const ids = Array.from({ length: limits.ackIdsMax }, (_, i) => `n${i}`);
    const clients = [await example.connect("usr_42", "a"), await example.connect("usr_42", "b")];
    const full = Math.ceil(limits.batchQueueMax / limits.ackIdsMax);
    for (let i = 0; i <= full; i++) clients[i % 2]?.send({ type: "ack", notification_ids: ids });
    const errors = (): readonly unknown[] => clients.flatMap((client) => client.of("error"));
    await waitFor(() => errors().length > 0, { what: "an error" });
    expect(errors()[0]).toMatchObject({ code: "store_unavailable", retry_after_ms: expect.any(Number) });
  });

  test("events are rate-limited", async () => {
    await start({ clock: new ManualClock() });
    const client = await example.connect();
    for (let i = 0; i <= limits.clientEventBurst; i++) client.send({ type: "event", name: "typing", data: i });
    expect(await client.frame("error")).toMatchObject({ code: "rate_limited", retry_after_ms: 100 });
  });
});

describe("sync", () => {
  test("reads page after page by itself, and live frames flow meanwhile", async () => {
    await start();
    example.router.pages = { "": page("first", "p2"), p2: page("second", "p3"), p3: page("third") };
    const client = await example.connect("usr_42", "phone");
    client.send({ type: "sync", last_seen: "c1_1700000000000_000000" });
    await client.frame("sync_batch", 3);
    expect(client.of("sync_batch").map(({ name }) => name)).toEqual(["first", "second", "third"]);
    expect(example.router.syncs).toEqual(
      ["", "p2", "p3"].map((one) => ({ user: "usr_42", device: "phone", lastSeen: "c1_1700000000000_000000", page: one })),
    );
  });

  test("a cursor that a router refuses, or that is none, is told", async () => {
    await start();
    example.router.pages = { "": "bad_cursor" };
    const client = await example.connect();
    client.send({ type: "sync" });
    expect(await client.frame("error")).toMatchObject({ code: "bad_cursor", message: "no such cursor" });
    client.send({ type: "sync", last_seen: "yesterday" });
    expect(await client.frame("error", 2)).toMatchObject({ code: "bad_cursor" });
    expect(example.router.syncs).toHaveLength(1);
  });

  test("is answered by an error and a hint while no router answers", async () => {
    await start();
    example.router.isAway = true;
    const client = await example.connect();
    client.send({ type: "sync" });
    expect(await client.frame("error")).toMatchObject({ code: "store_unavailable", retry_after_ms: limits.syncRetryMs });
  });
});

describe("the token of an open connection", () => {
  const startAt = async (): Promise<ExampleClient> => {
    await start({ clock: new ManualClock() });
    return await example.connect(); // expires in 300 s
  };

  test("is announced to expire a minute before, and closes with 4401 when it has", async () => {
    const client = await startAt();
    await example.advance(241_000, 1000);
    expect(await client.frame("auth_expiring")).toMatchObject({ expires_in_ms: expect.any(Number) });
    expect(client.socket.readyState).toBe(1);
    await example.advance(60_000, 1000);
    expect(await client.closed).toMatchObject({ code: 4401, reason: "token expired" });
  });

  test("may be refreshed", async () => {
    const client = await startAt();
    await example.advance(241_000, 1000);
    client.send({ type: "auth", token: signToken({ sub: "usr_42" }, example.clock.nowMs()) });
    client.send({ type: "ping" });
    await client.frame("pong");
    await example.advance(70_000, 1000);
    expect(client.socket.readyState).toBe(1);
  });

  test("may not become another user's", async () => {
    const client = await startAt();
    client.send({ type: "auth", token: signToken({ sub: "other" }, example.clock.nowMs()) });
    expect(await client.closed).toMatchObject({ code: 4401 });
  });
});

describe("heartbeats", () => {
  test("ping each connection once an interval; who never answers is closed after the timeout", async () => {
    await start({ clock: new ManualClock(), config: { heartbeat: { intervalMs: 10_000, timeoutMs: 30_000 } } });
    const [kind, silent] = [await example.connect("kind"), example.open(`?token=${example.token()}`, { autoPong: false })];
    await silent.frame("hello");
    await example.advance(25_000, 250);
    expect(silent.socket.readyState).toBe(1);
    await waitFor(() => kind.pings >= 2, { what: "two pings" });
    await example.advance(20_000, 250);
    expect(await silent.closed).toMatchObject({ code: 1001 });
    expect(kind.socket.readyState).toBe(1);
    expect(await example.metric("pushfleet_gateway_heartbeat_failures_total")).toBe("1");
    expect(Number(await example.metric("pushfleet_gateway_heartbeats_total"))).toBeGreaterThan(4);
  });
});
