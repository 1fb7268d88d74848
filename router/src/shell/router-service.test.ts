import { type Client, type Server, status } from "@grpc/grpc-js";
import { formatCursor, limits, parseDeviceId } from "@pushfleet/protocol";
import {
  bindGrpcServer,
  callUnary,
  createGrpcClient,
  createGrpcServer,
  createLogger,
  ManualClock,
  routerService,
  v1,
} from "@pushfleet/service";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createStamp } from "../core/stamp.js";
import type { Store } from "../core/store.js";
import { createMemoryStore } from "./memory-store.js";
import { createRecentEvents } from "./recent-events.js";
import { addRouterService, createRouterLink, type ReadFanOut, type RouterLinkOptions, type Taken } from "./router-service.js";
import { appendAll, known, newRecord, newUser, readPage } from "./store-contract.test-suite.js";

const clock = new ManualClock();
const away = { kind: "unavailable", cause: new Error("the store is away") } as const;
const storeAway: Store = {
  start: async () => {},
  append: async (records) => records.map(() => away),
  markRead: async () => away,
  readPage: async () => away,
  readNewestUnread: async () => away,
  stop: async () => {},
};
const phone = known(parseDeviceId("phone"));

let server: Server;
let client: Client;
let fannedOut: ReadFanOut[];
let receipts: unknown[];
let published: string[];
let store: ReturnType<typeof createMemoryStore>;
const events = createRecentEvents();

/** A router's service on a free port, with what `change` replaces. */
async function serve(change: Partial<RouterLinkOptions> = {}): Promise<void> {
  stopServing();
  const link = createRouterLink({
    store,
    stamp: createStamp(() => clock.nowMs()),
    fanOut: async (read) => {
      fannedOut.push(read);
      return { kind: "taken" };
    },
    emitEvents: events.emitEvents,
    onReceived: (receipt) => receipts.push(receipt),
    logger: createLogger("test", "silent"),
    ...change,
  });
  server = createGrpcServer();
  addRouterService(server, link, async (body) => {
    if (body.length === 0) throw new Error("a bug");
    published.push(body.toString());
    return { status: 202, body: '{"accepted":[]}' };
  });
  client = createGrpcClient(`127.0.0.1:${await bindGrpcServer(server, "127.0.0.1", 0, undefined)}`, undefined);
}

function stopServing(): void {
  client?.close();
  server?.forceShutdown();
}

beforeEach(async () => {
  fannedOut = [];
  receipts = [];
  published = [];
  store = createMemoryStore({ clock });
  await serve();
});
afterEach(stopServing);

const acknowledge = (...acks: v1.IAck[]) => callUnary(client, routerService.acknowledge, new v1.AcknowledgeRequest({ acks }), 5000);
const sync = async (request: v1.ISyncRequest) =>
  new v1.SyncReply(await callUnary(client, routerService.sync, new v1.SyncRequest(request), 5000));
const emit = (...sent: v1.IClientEvent[]) => callUnary(client, routerService.emit, new v1.EmitRequest({ events: sent }), 5000);
const frameOf = (reply: v1.SyncReply) => JSON.parse(Buffer.from(reply.frame).toString());
const names = (notifications: readonly { notification_id: string }[]) => notifications.map((each) => each.notification_id);
const failsWith = (code: status, details: string) => expect.objectContaining({ code, details: expect.stringContaining(details) });

describe("acknowledging", () => {
  test("marks as read, and tells the user's other devices under the mark's cursor", async () => {
    const user = newUser();
    await appendAll(store, [newRecord(user, "n1", clock.nowMs())]);
    await acknowledge({ user, device: phone, notificationIds: ["n1", "unseen"], atMs: 5 });
    const page = await readPage(store, user);
    expect(page.notifications.items[0]?.read).toBe(true);
    expect(fannedOut.map(({ frame, ...rest }) => ({ ...rest, frame: JSON.parse(frame.toString()) }))).toEqual([
      {
        user,
        exceptDevice: phone,
        cursor: page.reads.items[0]?.cursor,
        frame: { type: "mark_read", notification_ids: ["n1", "unseen"], cursor: page.reads.items[0]?.cursor },
      },
    ]);
  });

  test("of a receipt stores nothing and tells nobody", async () => {
    const user = newUser();
    await acknowledge({ user, device: phone, notificationIds: ["n1"], state: v1.AckState.ACK_RECEIVED, atMs: 5 });
    expect(receipts).toEqual([{ user, device: phone, notificationIds: ["n1"], state: "received", atMs: 5 }]);
    expect([fannedOut, store.totals().readMarks]).toEqual([[], 0]);
  });

  test("leaves out what is no acknowledgement, and takes the others", async () => {
    const user = newUser();
    await acknowledge(
      { user: "not an id", device: phone, notificationIds: ["n1"], atMs: 1 },
      { user, device: phone, notificationIds: ["n 1"], atMs: 1 },
      { user, device: phone, notificationIds: ["n2"], atMs: 1 },
    );
    expect((await readPage(store, user)).reads.items.map((each) => each.notificationId)).toEqual(["n2"]);
    expect(store.totals().users).toBe(1);
  });

  test("while the store is away is UNAVAILABLE, and nobody is told what may not have been stored", async () => {
    await serve({ store: storeAway });
    const asked = acknowledge({ user: newUser(), device: phone, notificationIds: ["n1"], atMs: 1 });
    await expect(asked).rejects.toEqual(failsWith(status.UNAVAILABLE, "the store is away"));
    expect(fannedOut).toEqual([]);
  });

  test("is UNAVAILABLE when the other devices could not be told: the gateway asks again", async () => {
    await serve({ fanOut: async (): Promise<Taken> => ({ kind: "unavailable", cause: new Error("the pipeline is full") }) });
    const asked = acknowledge({ user: newUser(), device: phone, notificationIds: ["n1"], atMs: 1 });
    await expect(asked).rejects.toEqual(failsWith(status.UNAVAILABLE, "the pipeline is full"));
  });
});

describe("syncing", () => {
  test("without last_seen gives the newest 100 unread", async () => {
    const user = newUser();
    await appendAll(
      store,
      Array.from({ length: 150 }, (_, index) => newRecord(user, `n${index}`, clock.nowMs() + index)),
    );
    await acknowledge({ user, device: phone, notificationIds: ["n149"], atMs: 1 });
    const reply = await sync({ user, device: phone });
    const frame = frameOf(reply);
    expect(names(frame.notifications)).toEqual(Array.from({ length: 100 }, (_, index) => `n${index + 49}`));
    expect([reply.hasMore, reply.nextPage, frame.has_more, reply.cursor]).toEqual([false, "", false, frame.cursor]);
  });

  test("from a cursor gives all since then and the overlap before it, page by page", async () => {
    const user = newUser();
    const seenMs = clock.nowMs();
    await appendAll(store, [
      newRecord(user, "before", seenMs - limits.syncOverlapMs - 1),
      ...Array.from({ length: 250 }, (_, index) =>
        newRecord(user, `n${String(index).padStart(3, "0")}`, seenMs - limits.syncOverlapMs + index),
      ),
    ]);
    let reply = await sync({ user, device: phone, lastSeen: formatCursor(seenMs, 0) });
    const sizes = [frameOf(reply).notifications.length];
    const seen = names(frameOf(reply).notifications);
    while (reply.hasMore && sizes.length < 10) {
      reply = await sync({ user, device: phone, page: reply.nextPage });
      sizes.push(frameOf(reply).notifications.length);
      seen.push(...names(frameOf(reply).notifications));
    }
    expect(sizes).toEqual([100, 100, 50]);
    expect(seen).toEqual(Array.from({ length: 250 }, (_, index) => `n${String(index).padStart(3, "0")}`));
  });

  test("carries data of any script byte for byte", async () => {
    const user = newUser();
    const data = '{"n":9007199254740993,"f":1.0,"e":"\\u00e9é😀"}';
    await appendAll(store, [newRecord(user, "n1", clock.nowMs(), { data })]);
    expect(Buffer.from((await sync({ user, device: phone })).frame).toString()).toContain(`"data":${data}}`);
  });

  test.each([
    ["a last_seen that is none", { lastSeen: "yesterday" }, "last_seen"],
    ["a last_seen of next year", { lastSeen: formatCursor(clock.nowMs() + 31_536_000_000, 0) }, "future"],
    ["a page that is none", { page: "p1/since" }, "page"],
    ["a user that is none", { user: "a b" }, "user"],
  ])("from %s is INVALID_ARGUMENT", async (_, change, details) => {
    await expect(sync({ user: newUser(), device: phone, ...change })).rejects.toEqual(failsWith(status.INVALID_ARGUMENT, details));
  });

  test("goes on on another router, but not with the page of another user", async () => {
    const [user, other] = [newUser(), newUser()];
    await appendAll(
      store,
      Array.from({ length: 101 }, (_, index) => newRecord(user, `n${index}`, clock.nowMs() + index)),
    );
    const { nextPage } = await sync({ user, device: phone, lastSeen: "0" });
    await serve();
    await expect(sync({ user: other, device: phone, page: nextPage })).rejects.toEqual(failsWith(status.INVALID_ARGUMENT, "page"));
    expect(names(frameOf(await sync({ user, device: phone, page: nextPage })).notifications)).toEqual(["n100"]);
  });

  test.each([
    ["the newest", {}],
    ["a page", { lastSeen: "0" }],
  ])("of %s while the store is away is UNAVAILABLE", async (_, change) => {
    await serve({ store: storeAway });
    await expect(sync({ user: newUser(), device: phone, ...change })).rejects.toEqual(failsWith(status.UNAVAILABLE, "the store is away"));
  });

  test("after the wall clock was set back still knows the router's own cursors", async () => {
    const user = newUser();
    const setBack = new ManualClock();
    await serve({ stamp: createStamp(() => setBack.nowMs()) });
    const { cursor } = await sync({ user, device: phone });
    setBack.setWall(setBack.nowMs() - 3_600_000);
    expect((await sync({ user, device: phone, lastSeen: cursor })).hasMore).toBe(false);
  });
});

describe("client events", () => {
  test("become records keyed by their user, data as the client wrote it; the last 100 can be looked at", async () => {
    const user = newUser();
    const data = '{"n":9007199254740993,"e":"\\u00e9"}';
    await emit({ user, device: phone, name: "typing", data: Buffer.from(data), atMs: 5 });
    expect(events.recent().at(-1)).toBe(`{"user_id":"${user}","device":"phone","name":"typing","data":${data},"at_ms":5}`);
    for (let count = 0; count < limits.recentClientEventsMax; count++) {
      await events.emitEvents([{ user, value: String(count) }]);
    }
    expect(events.recent()).toEqual(Array.from({ length: limits.recentClientEventsMax }, (_, index) => String(index)));
  });

  test("that are none are left out", async () => {
    const user = newUser();
    const taken: string[] = [];
    await serve({
      emitEvents: async (records) => {
        taken.push(...records.map((record) => record.value));
        return { kind: "taken" };
      },
    });
    await emit(
      { user, device: phone, name: "typing", data: Buffer.from([0x22, 0xff, 0x22]), atMs: 5 },
      { user, device: phone, name: "typing", data: Buffer.from('1,"user_id":"another"'), atMs: 5 },
      { user, device: phone, name: "typing", data: Buffer.from("1"), atMs: 5 },
    );
    expect(taken).toEqual([`{"user_id":"${user}","device":"phone","name":"typing","data":1,"at_ms":5}`]);
  });

  test("while their topic is away are UNAVAILABLE", async () => {
    await serve({ emitEvents: async () => ({ kind: "unavailable", cause: new Error("no broker") }) });
    const asked = emit({ user: newUser(), device: phone, name: "typing", data: Buffer.from("1"), atMs: 5 });
    await expect(asked).rejects.toEqual(failsWith(status.UNAVAILABLE, "no broker"));
  });
});

describe("publishing by gRPC", () => {
  const publish = async (body: string) =>
    new v1.PublishReply(await callUnary(client, routerService.publish, new v1.PublishRequest({ body: Buffer.from(body) }), 5000));

  test("answers what HTTP would", async () => {
    const reply = await publish('{"user_id":"u"}');
    expect([reply.status, Buffer.from(reply.body).toString()]).toEqual([202, '{"accepted":[]}']);
    expect(published).toEqual(['{"user_id":"u"}']);
  });

  test("that fails by a bug is INTERNAL, and the service goes on", async () => {
    await expect(publish("")).rejects.toEqual(failsWith(status.INTERNAL, "the request failed"));
    expect((await publish("1")).status).toBe(202);
  });
});

test("a link never rejects: a bug in a store is unavailable", async () => {
  const broken: Store = { ...storeAway, readNewestUnread: () => Promise.reject(new Error("a bug")) };
  await serve({ store: broken });
  await expect(sync({ user: newUser(), device: phone })).rejects.toEqual(failsWith(status.UNAVAILABLE, "the request failed"));
});
