import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type WebSocket as ServerSocket, WebSocket, WebSocketServer } from "ws";
import { type Client, type ConnectOptions, connect } from "./index.js";
import type { ClientClock } from "./options.js";

/** A server whose every frame the test writes; what clients send is kept for each connection. */
class ScriptedServer {
  readonly connections: {
    readonly url: URL;
    readonly socket: ServerSocket;
    readonly received: Record<string, unknown>[];
    closedWith?: number;
  }[] = [];
  readonly #server = new WebSocketServer({ port: 0, host: "127.0.0.1" });

  constructor() {
    this.#server.on("connection", (socket, request) => {
      const connection: (typeof this.connections)[number] = { url: new URL(request.url ?? "", "ws://x"), socket, received: [] };
      socket.on("message", (text) => connection.received.push(JSON.parse(String(text))));
      socket.on("close", (code) => {
        connection.closedWith = code;
      });
      this.connections.push(connection);
    });
  }
  listening(): Promise<void> {
    return new Promise((resolve) => this.#server.once("listening", resolve));
  }
  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as { port: number }).port}/connect`;
  }
  async connection(index: number) {
    await vi.waitFor(() => expect(this.connections.length).toBeGreaterThan(index), { timeout: 5000 });
    const connection = this.connections[index];
    if (connection === undefined) throw new Error(`no connection ${index}`);
    return connection;
  }
  async receives(index: number, frame: object) {
    const connection = await this.connection(index);
    await vi.waitFor(() => expect(connection.received).toContainEqual(frame), { timeout: 5000 });
  }
  async send(index: number, ...frames: object[]) {
    const { socket } = await this.connection(index);
    for (const frame of frames) socket.send(JSON.stringify(frame));
  }
  stop(): void {
    for (const { socket } of this.connections) socket.terminate();
    this.#server.close();
  }
}

/** Real time, but delays are recorded and run at once. */
const delays: number[] = [];
const impatientClock: ClientClock = {
  nowMs: () => Date.now(),
  after(delayMs, task) {
    if (delayMs > 10_000) return () => {}; // heartbeats and time-outs are not what these tests are about
    delays.push(delayMs);
    const timer = setTimeout(task, 0);
    return () => clearTimeout(timer);
  },
  random: () => 0.5,
};

const hello = (n: number) => ({
  type: "hello",
  connection_id: `c${n}`,
  device: "d",
  server: "gw",
  heartbeat_ms: 30000,
  cursor: "c0",
  resume: `r${n}`,
  registered: true,
});
const notification = (n: number) => ({ notification_id: `n${n}`, cursor: `c${n}`, data: { n } });
const batch = (cursor: string, more = false, ...ns: number[]) => ({
  type: "sync_batch",
  notifications: ns.map(notification),
  reads: [],
  has_more: more,
  cursor,
});

let server: ScriptedServer;
let client: Client | undefined;
let received: string[];

const start = (options: Partial<ConnectOptions> = {}): Client => {
  client = connect({
    url: server.url,
    token: "t",
    device: "d",
    WebSocket: WebSocket as unknown as NonNullable<ConnectOptions["WebSocket"]>,
    clock: impatientClock,
    onNotification: (n) => received.push(n.notificationId),
    ...options,
  });
  return client;
};

beforeEach(async () => {
  server = new ScriptedServer();
  await server.listening();
  received = [];
  delays.length = 0;
});
afterEach(() => {
  client?.close();
  server.stop();
});

describe("a client", () => {
  test("presents token and device, syncs after hello, and hands each notification on once", async () => {
    const it = start({ lastSeen: "c1" });
    const { url } = await server.connection(0);
    expect(Object.fromEntries(url.searchParams)).toEqual({ token: "t", device: "d" });
    await server.send(0, hello(1), { type: "notification", ...notification(5) });
    await server.receives(0, { type: "sync", last_seen: "c1" });
    await server.send(0, batch("c4", true, 2, 4), batch("c5", false, 5), { type: "notification", ...notification(6) });
    await vi.waitFor(() => expect(it.cursor).toBe("c6"));
    expect(received).toEqual(["n5", "n2", "n4", "n6"]);
  });

  test("with auth: message the token is the first frame and not in the URL", async () => {
    start({ auth: "message" });
    await server.receives(0, { type: "auth", token: "t", device: "d" });
    expect((await server.connection(0)).url.searchParams.has("token")).toBe(false);
  });

  test("told to reconnect opens the new connection first and leaves the old one when the new one has synced", async () => {
    const how: string[] = [];
    start({ onReconnected: (_, kind) => how.push(kind) });
    await server.send(0, hello(1), batch("c3", false, 3));
    await server.send(0, { type: "reconnect", after_ms: 30000, reason: "drain" });
    const second = await server.connection(1);
    expect(second.url.searchParams.get("resume")).toBe("r1");
    await server.send(1, hello(2));
    await server.receives(1, { type: "sync", last_seen: "c3" });
    await server.send(0, { type: "notification", ...notification(4) });
    await vi.waitFor(() => expect(received).toEqual(["n3", "n4"]));
    expect((await server.connection(0)).closedWith).toBeUndefined();
    await server.send(1, batch("c4", false, 4));
    await vi.waitFor(() => expect(server.connections[0]?.closedWith).toBe(1000));
    expect(received).toEqual(["n3", "n4"]);
    expect(how).toEqual(["hand_over"]);
  });

  test("whose old connection is replaced or ended during a hand-over stays on the new one", async () => {
    const it = start();
    await server.send(0, hello(1), batch("c3"), { type: "reconnect", after_ms: 30000, reason: "drain" });
    await server.connection(1);
    (await server.connection(0)).socket.close(4409, "replaced");
    await server.send(1, hello(2), batch("c4"), { type: "notification", ...notification(5) });
    await vi.waitFor(() => expect(received).toEqual(["n5"]));
    expect(it.state).toMatchObject({ kind: "live" });
    expect(server.connections).toHaveLength(2);
  });

  test("told to reconnect before it has synced moves on after the sync", async () => {
    start();
    await server.send(0, hello(1), { type: "reconnect", after_ms: 30000, reason: "drain" });
    await server.receives(0, { type: "sync" });
    await server.send(0, batch("c3"));
    await server.connection(1);
  });

  test("that lost its connection comes back with resume and down_ms, and asks from the saved cursor", async () => {
    start();
    await server.send(0, hello(1), batch("c3"));
    await server.receives(0, { type: "sync" });
    await vi.waitFor(() => expect(client?.cursor).toBe("c3"));
    (await server.connection(0)).socket.terminate();
    const { url } = await server.connection(1);
    expect(url.searchParams.get("resume")).toBe("r1");
    expect(Number(url.searchParams.get("down_ms"))).toBeGreaterThanOrEqual(0);
    await server.send(1, hello(2));
    await server.receives(1, { type: "sync", last_seen: "c3" });
  });

  test("refused again and again waits by the schedule, and by the server's hint when there is one", async () => {
    start();
    for (let i = 0; i < 4; i++) (await server.connection(i)).socket.close(1012);
    (await server.connection(4)).socket.close(1013, '{"retry_after_ms":4321}');
    await server.connection(5);
    expect(delays.slice(0, 5)).toEqual([0, 750, 1500, 3750, 4321]);
  });

  test.each([4400, 4403, 4409])("closed with %i never comes back", async (code) => {
    const it = start();
    (await server.connection(0)).socket.close(code);
    await vi.waitFor(() => expect(it.state.kind).toBe("closed"));
    expect(server.connections).toHaveLength(1);
  });

  test("closed with 4401 asks its token source again; a fixed token ends it", async () => {
    let asked = 0;
    start({ token: () => `t${++asked}` });
    (await server.connection(0)).socket.close(4401);
    expect((await server.connection(1)).url.searchParams.get("token")).toBe("t2");
    client?.close();
    const fixed = start();
    (await server.connection(2)).socket.close(4401, "expired");
    await vi.waitFor(() => expect(fixed.state).toEqual({ kind: "closed", why: "unauthenticated: expired" }));
  });

  test("sent gap goes back and syncs; a bad cursor makes it start from the newest", async () => {
    start({ lastSeen: "c1" });
    await server.send(0, hello(1), batch("c9"), { type: "gap", after: "c5" });
    await server.receives(0, { type: "sync", last_seen: "c5" });
    await server.send(0, { type: "error", code: "bad_cursor", message: "" });
    await server.receives(0, { type: "sync" });
  });

  test("tells a read mark of what it handed on, once, whichever way it comes", async () => {
    const told: string[] = [];
    start({
      onNotification: (n) => told.push(`${n.notificationId}${n.read ? " read" : ""}`),
      onMarkRead: (ids) => told.push(`mark ${ids.join()}`),
    });
    const live = (n: number) => ({ type: "notification", ...notification(n) });
    const mark = (...ids: string[]) => ({ type: "mark_read", notification_ids: ids, cursor: "c9" });
    const read = (n: number) => ({ ...notification(n), read: true });
    await server.send(0, hello(1), live(1), live(2), live(3), live(4), mark("n5", "n4"));
    await server.receives(0, { type: "sync" });
    const page = { type: "sync_batch", notifications: [read(1), read(6)], reads: ["n2", "n6", "n7"], has_more: false, cursor: "c7" };
    await server.send(0, page, page, mark("n1", "n2", "n3"), live(5), live(7), live(8));
    await vi.waitFor(() => expect(told).toContain("n8"));
    expect(told).toEqual(["n1", "n2", "n3", "n4", "mark n4", "n6 read", "mark n1,n2", "mark n3", "n5 read", "n7 read", "n8"]);
  });

  test("is not told of a read mark that it made itself", async () => {
    const marks: string[] = [];
    const it = start({ onMarkRead: (ids) => marks.push(...ids) });
    await server.send(0, hello(1), { type: "notification", ...notification(1) }, { type: "notification", ...notification(2) });
    await vi.waitFor(() => expect(received).toEqual(["n1", "n2"]));
    expect(it.ack(["n1"])).toBe(true);
    expect(it.ack(["n2"], "received")).toBe(true);
    await server.send(0, { ...batch("c3"), reads: ["n1", "n2"] });
    await vi.waitFor(() => expect(marks).toEqual(["n2"]));
  });

  test("sends a fresh token when told that its own expires, and acks and events when it is live", async () => {
    const it = start({ token: async () => "fresh" });
    expect(it.ack(["n1"])).toBe(false);
    await server.send(0, hello(1), { type: "auth_expiring", expires_in_ms: 1000 });
    await server.receives(0, { type: "auth", token: "fresh" });
    expect(it.ack(["n1"])).toBe(true);
    expect(it.event("typing", { on: true })).toBe(true);
    await server.receives(0, { type: "ack", notification_ids: ["n1"], state: "read" });
    await server.receives(0, { type: "event", name: "typing", data: { on: true } });
  });
});
