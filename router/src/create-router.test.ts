import { request } from "node:http";
import { createMemoryRegistry, type Registry } from "@pushfleet/registry";
import { createLogger, systemClock, v1 } from "@pushfleet/service";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createRouter, createStore, type Router } from "./create-router.js";
import { FakeGateway } from "./fake-gateway.test-support.js";

const listen = { host: "127.0.0.1", port: 0 };
const logger = createLogger("router", "silent");
let registry: Registry;
let router: Router;
let gateway: FakeGateway;

beforeEach(async () => {
  registry = createMemoryRegistry({ clock: systemClock });
  gateway = await new FakeGateway().start(registry);
  const store = { kind: "memory", allowVolatile: false } as const;
  router = await createRouter(
    { http: listen, admin: listen, grpc: listen, registry: { kind: "memory" }, store },
    { registry, store: createStore(store, { clock: systemClock }), clock: systemClock, logger },
  );
});
afterEach(async () => {
  await router.stop();
  gateway.stop();
});

type Answer = { readonly status: number; readonly body: Record<string, unknown> };

function post(body: string, options: { path?: string; method?: string; headers?: Record<string, string> } = {}): Promise<Answer> {
  const [host, port] = router.addresses.http.split(":");
  return new Promise((resolve, reject) => {
    const outgoing = request({ host, port, method: "POST", path: "/v1/notifications", ...options }, async (response) => {
      let text = "";
      for await (const chunk of response) text += String(chunk);
      resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as Record<string, unknown> });
    });
    outgoing.once("error", reject).end(body);
  });
}

describe("POST /v1/notifications", () => {
  test("delivers to every device of the user, data byte for byte, and answers when all have their outcomes", async () => {
    await gateway.connect(registry, "usr_42", "phone");
    await gateway.connect(registry, "usr_42", "web");
    const data = '{"n":9007199254740993, "f":1.0,"e":"\\u00e9"}';
    const answer = await post(`{"user_id":"usr_42","notification_id":"n1","data":${data}}`);
    expect(answer).toMatchObject({ status: 202, body: { accepted: [{ notification_id: "n1", cursor: expect.stringMatching(/^c1_/) }] } });
    expect(gateway.frames).toHaveLength(1);
    expect(gateway.frames[0]).toContain(`"data":${data}}`);
    expect(gateway.deliveries[0]?.targets?.map((target) => target.device).sort()).toEqual(["phone", "web"]);
    expect(router.totals()).toMatchObject({ accepted: 1, written: 2, offline: 0 });
  });

  test("makes an id when there is none, keeps the order of a list, and says what it had before", async () => {
    const first = await post('{"notifications":[{"user_id":"a","data":1},{"user_ids":["a","b"],"notification_id":"n2","data":2}]}');
    const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/;
    expect(first.body).toMatchObject({ accepted: [{ notification_id: expect.stringMatching(uuid) }, { notification_id: "n2" }] });
    const again = await post('{"user_ids":["a","b"],"notification_id":"n2","data":2}');
    expect(again.body).toMatchObject({ accepted: [{ notification_id: "n2", duplicate: true }] });
  });

  test("a user without a connection is offline, and finds the notification in the next sync", async () => {
    expect((await post('{"user_id":"away","notification_id":"n1","data":[1.50]}')).status).toBe(202);
    expect(router.totals()).toMatchObject({ offline: 1, written: 0 });
    const synced = await router.link.sync({ user: "away", lastSeen: "", page: "" });
    expect(synced.kind === "ok" ? Buffer.from(synced.reply.frame ?? []).toString() : synced).toContain('"data":[1.50]');
  });

  test.each<[string, number, string, NonNullable<Parameters<typeof post>[1]>]>([
    ["not JSON", 400, "{", {}],
    ["a notification without data", 400, '{"user_id":"a"}', {}],
    ["data above 32 KiB", 413, JSON.stringify({ user_id: "a", data: "x".repeat(33_000) }), {}],
    ["a body above 1 MiB", 413, JSON.stringify({ user_id: "a", data: "x".repeat(1_100_000) }), {}],
    ["another path", 404, "{}", { path: "/v1/other" }],
    ["another method", 405, "{}", { method: "PUT" }],
    ["a foreign Host", 403, "{}", { headers: { host: "evil.example" } }],
    ["a foreign Origin", 403, "{}", { headers: { origin: "https://evil.example" } }],
  ])("%s is answered with %i and a reason", async (_, status, body, options) => {
    expect(await post(body, options)).toMatchObject({ status, body: { error: { code: expect.any(String), message: expect.any(String) } } });
  });

  test("every fault of a list is named", async () => {
    const answer = await post('{"notifications":[{"data":1},{"user_id":"a"}]}');
    expect(answer.body).toMatchObject({ error: { faults: [{ path: "notifications[0].user_id" }, { path: "notifications[1].data" }] } });
  });
});

describe("a delivery", () => {
  test("that is stale is looked up once more, and then counts", async () => {
    await gateway.connect(registry, "usr_1", "d");
    gateway.answer = v1.Outcome.OUTCOME_STALE;
    expect((await post('{"user_id":"usr_1","notification_id":"n1","data":1}')).status).toBe(202);
    expect(router.totals()).toMatchObject({ stale: 1, written: 0 });
  });

  test("whose stream breaks is no outcome: it is sent again, and stored once", async () => {
    await gateway.connect(registry, "usr_1", "d");
    gateway.answer = "break";
    const answer = post('{"user_id":"usr_1","notification_id":"n1","data":1}');
    await vi.waitFor(() => expect(gateway.deliveries.length).toBeGreaterThan(0));
    expect(router.totals().accepted).toBe(0);
    gateway.answer = v1.Outcome.OUTCOME_WRITTEN;
    expect((await answer).status).toBe(202);
    expect(router.totals()).toMatchObject({ accepted: 1, written: 1 });
    const synced = await router.link.sync({ user: "usr_1", lastSeen: "", page: "" });
    expect(
      synced.kind === "ok"
        ? Buffer.from(synced.reply.frame ?? [])
            .toString()
            .match(/n1/g)
        : synced,
    ).toHaveLength(1);
  });

  test("of a read mark goes to the user's other devices only", async () => {
    await gateway.connect(registry, "usr_1", "phone");
    await gateway.connect(registry, "usr_1", "web");
    await router.link.acknowledge({
      acks: [{ user: "usr_1", device: "phone", notificationIds: ["n1"], state: v1.AckState.ACK_READ, atMs: 0 }],
    });
    await vi.waitFor(() => expect(gateway.frames).toHaveLength(1));
    expect(gateway.frames[0]).toMatch(/^\{"type":"mark_read","notification_ids":\["n1"\]/);
    expect(gateway.deliveries[0]?.targets?.map((target) => target.device)).toEqual(["web"]);
  });
});

test("a listener that is not loopback needs tokens", async () => {
  const store = { kind: "memory", allowVolatile: false } as const;
  const start = createRouter(
    { http: { host: "0.0.0.0", port: 0 }, admin: listen, grpc: listen, registry: { kind: "memory" }, store },
    { registry, store: createStore(store, { clock: systemClock }), clock: systemClock, logger },
  );
  await expect(start).rejects.toThrow(/apiTokensFile/);
});
