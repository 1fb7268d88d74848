import { formatCursor, limits, type NotificationId, parseNotificationId, parseUserId, type UserId } from "@pushfleet/protocol";
import { beforeEach, describe, expect, test } from "vitest";
import { streamStart } from "../core/position.js";
import type { NewestUnread, PageRead, PageRequest, Store, StoreRecord } from "../core/store.js";

/** A store to hold against the contract. */
export interface StoreUnderTest {
  readonly store: Store;
  /** Its wall clock. */
  nowMs(): number;
  /** Moves its wall clock on, or waits. */
  advance(ms: number): void | Promise<void>;
}

let users = 0;
/** Nobody has used this user before: suites may share a store. */
export function newUser(): UserId {
  users++;
  return known(parseUserId(`user-${process.pid}-${users}`));
}

export function known<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("expected a value");
  return value;
}

export const id = (name: string): NotificationId => known(parseNotificationId(name));

export function newRecord(user: UserId, name: string, cursorMs: number, more: Partial<StoreRecord> = {}): StoreRecord {
  return {
    user,
    notificationId: id(name),
    cursor: formatCursor(cursorMs, 0),
    data: `{"name":"${name}"}`,
    createdAtMs: undefined,
    expiresAtMs: undefined,
    ...more,
  };
}

export async function appendAll(store: Store, records: readonly StoreRecord[]): Promise<void> {
  const outcomes = await store.append(records);
  expect(outcomes.map((outcome) => outcome.kind)).toEqual(records.map(() => "stored"));
}

export async function readPage(store: Store, user: UserId, more: Partial<PageRequest> = {}): Promise<Extract<PageRead, { kind: "page" }>> {
  const read = await store.readPage({
    user,
    notificationsAfter: streamStart,
    notificationsMax: 100,
    dataBytesMax: 1_000_000,
    readsAfter: streamStart,
    readsMax: 1000,
    ...more,
  });
  if (read.kind !== "page") throw new Error("expected a page", { cause: read.cause });
  return read;
}

export async function readNewest(store: Store, user: UserId, max: number): Promise<Extract<NewestUnread, { kind: "newest" }>> {
  const read = await store.readNewestUnread(user, max);
  if (read.kind !== "newest") throw new Error("expected the newest", { cause: read.cause });
  return read;
}

const names = (items: readonly { readonly notificationId: NotificationId }[]) => items.map((item) => item.notificationId);

/** Every store keeps `Store`'s promises. `open` is called before each test; it may give the same store again. */
export function runStoreContract(open: () => StoreUnderTest | Promise<StoreUnderTest>): void {
  let under: StoreUnderTest;
  let store: Store;
  let user: UserId;
  let atMs: number;
  beforeEach(async () => {
    under = await open();
    store = under.store;
    user = newUser();
    atMs = Math.floor(under.nowMs());
  });

  describe("appending", () => {
    test("a stored notification is read as it was written, byte for byte", async () => {
      const data = ['{"n":9007199254740993,"f":1.0}', '"\\u00e9é😀"', " [ 1 , 2 ] ", '"\\ud800"', "null", '"\\u0000"'];
      await appendAll(
        store,
        data.map((text, index) => newRecord(user, `n${index}`, atMs + index, { data: text, createdAtMs: 5 + index })),
      );
      const { notifications } = await readPage(store, user);
      expect(notifications.items).toEqual(
        data.map((text, index) => ({
          notificationId: `n${index}`,
          cursor: formatCursor(atMs + index, 0),
          data: text,
          createdAtMs: 5 + index,
          read: false,
        })),
      );
    });

    test("data of exactly the bound is stored; beyond it the record has failed for good, and only that one", async () => {
      const fits = JSON.stringify("é".repeat((limits.dataBytesMax - 2) / 2));
      const outcomes = await store.append([
        newRecord(user, "fits", atMs, { data: fits }),
        newRecord(user, "big", atMs + 1, { data: ` ${fits}` }),
      ]);
      expect(outcomes.map((outcome) => outcome.kind)).toEqual(["stored", "failed"]);
      const { notifications } = await readPage(store, user);
      expect(notifications.items.map((item) => item.data === fits)).toEqual([true]);
    });

    test("a batch has one outcome for each record, whoever it is for", async () => {
      const others = [newUser(), newUser()];
      await appendAll(
        store,
        others.map((other, index) => newRecord(other, `n${index}`, atMs)),
      );
      expect(names((await readPage(store, known(others[0]))).notifications.items)).toEqual(["n0"]);
      expect(names((await readPage(store, known(others[1]))).notifications.items)).toEqual(["n1"]);
      expect(await store.append([])).toEqual([]);
    });

    test("notifications are in the order of their cursors, and of their ids where cursors are equal, however they came", async () => {
      await appendAll(store, [newRecord(user, "c", atMs + 2), newRecord(user, "b", atMs + 1), newRecord(user, "z", atMs + 1)]);
      await appendAll(store, [newRecord(user, "a", atMs + 1), newRecord(user, "late", atMs)]);
      expect(names((await readPage(store, user)).notifications.items)).toEqual(["late", "a", "b", "z", "c"]);
    });

    test("an append again moves the notification to the newer cursor", async () => {
      await appendAll(store, [newRecord(user, "n1", atMs, { data: "1" }), newRecord(user, "n2", atMs + 1)]);
      await appendAll(store, [newRecord(user, "n1", atMs + 2, { data: "2" })]);
      const { items } = (await readPage(store, user)).notifications;
      expect(items.map((item) => [item.notificationId, item.cursor, item.data])).toEqual([
        ["n2", formatCursor(atMs + 1, 0), '{"name":"n2"}'],
        ["n1", formatCursor(atMs + 2, 0), "2"],
      ]);
    });

    test("an append that was overtaken by its repetition changes nothing", async () => {
      await appendAll(store, [newRecord(user, "n1", atMs + 2, { data: "2" }), newRecord(user, "n1", atMs, { data: "1" })]);
      const { items } = (await readPage(store, user)).notifications;
      expect(items.map((item) => [item.cursor, item.data])).toEqual([[formatCursor(atMs + 2, 0), "2"]]);
    });

    test("an append under the same cursor twice is there once", async () => {
      await appendAll(store, [newRecord(user, "n1", atMs), newRecord(user, "n1", atMs)]);
      expect(names((await readPage(store, user)).notifications.items)).toEqual(["n1"]);
    });

    test(`beyond ${limits.storedNotificationsPerUserMax} notifications of a user the oldest go`, async () => {
      const count = limits.storedNotificationsPerUserMax + 3;
      const records = Array.from({ length: count }, (_, index) => newRecord(user, `n${index}`, atMs + index));
      for (let start = 0; start < count; start += 1000) await appendAll(store, records.slice(start, start + 1000));
      const { notifications } = await readPage(store, user, { notificationsMax: count });
      expect(notifications.items.length).toBe(limits.storedNotificationsPerUserMax);
      expect(notifications.items[0]?.notificationId).toBe("n3");
      expect(notifications.more).toBe(false);
    });
  });

  describe("reading pages", () => {
    test("nobody's stream is empty and complete", async () => {
      const { notifications, reads } = await readPage(store, user);
      expect([notifications, reads]).toEqual([
        { items: [], covered: streamStart, more: false },
        { items: [], covered: streamStart, more: false },
      ]);
    });

    test("pages follow each other exactly, equal cursors included", async () => {
      const records = Array.from({ length: 25 }, (_, index) =>
        newRecord(user, `n${String(index).padStart(2, "0")}`, atMs + Math.floor(index / 10)),
      );
      await appendAll(store, records);
      const seen: string[] = [];
      let after = streamStart;
      for (let page = 0; page < 9; page++) {
        const { notifications } = await readPage(store, user, { notificationsAfter: after, notificationsMax: 3 });
        seen.push(...names(notifications.items));
        expect(notifications.more).toBe(page < 8);
        after = notifications.covered;
      }
      expect(seen).toEqual(records.map((record) => record.notificationId));
    });

    test("a page that ends with the stream says that nothing follows", async () => {
      await appendAll(store, [newRecord(user, "n1", atMs), newRecord(user, "n2", atMs + 1)]);
      const { notifications } = await readPage(store, user, { notificationsMax: 2 });
      expect([names(notifications.items), notifications.more]).toEqual([["n1", "n2"], false]);
    });

    test("a page ends before its bytes are exceeded, but is never empty while something is there", async () => {
      const data = JSON.stringify("x".repeat(98));
      await appendAll(store, [
        newRecord(user, "n1", atMs, { data }),
        newRecord(user, "n2", atMs + 1, { data }),
        newRecord(user, "n3", atMs + 2, { data }),
      ]);
      const two = await readPage(store, user, { dataBytesMax: 200 });
      expect([names(two.notifications.items), two.notifications.more]).toEqual([["n1", "n2"], true]);
      const one = await readPage(store, user, { dataBytesMax: 10, notificationsAfter: two.notifications.covered });
      expect([names(one.notifications.items), one.notifications.more]).toEqual([["n3"], false]);
    });

    test("what was read does not change when the store does", async () => {
      await appendAll(store, [newRecord(user, "n1", atMs)]);
      const { notifications } = await readPage(store, user);
      await store.markRead({ user, notificationIds: [id("n1")], cursor: formatCursor(atMs + 1, 0) });
      expect(notifications.items[0]?.read).toBe(false);
    });
  });

  describe("read marks", () => {
    const mark = async (name: string, cursorMs: number, of = user) => {
      const marked = await store.markRead({ user: of, notificationIds: [id(name)], cursor: formatCursor(cursorMs, 0) });
      expect(marked).toEqual({ kind: "marked" });
    };

    test("a marked notification is read, and its id among the reads since, at the mark's cursor", async () => {
      await appendAll(store, [newRecord(user, "n1", atMs), newRecord(user, "n2", atMs + 1)]);
      await mark("n1", atMs + 5);
      const page = await readPage(store, user);
      expect(page.notifications.items.map((item) => item.read)).toEqual([true, false]);
      expect(page.reads.items).toEqual([{ notificationId: "n1", cursor: formatCursor(atMs + 5, 0) }]);
      const since = await readPage(store, user, { readsAfter: { cursor: formatCursor(atMs + 5, 0), notificationId: id("n1") } });
      expect(since.reads.items).toEqual([]);
    });

    test("a mark of an id never appended is remembered and applied on arrival", async () => {
      await mark("n1", atMs);
      expect(names((await readPage(store, user)).notifications.items)).toEqual([]);
      await appendAll(store, [newRecord(user, "n1", atMs + 1)]);
      expect((await readPage(store, user)).notifications.items[0]?.read).toBe(true);
      expect((await readNewest(store, user, 100)).notifications).toEqual([]);
    });

    test("an append again leaves a read notification read", async () => {
      await appendAll(store, [newRecord(user, "n1", atMs)]);
      await mark("n1", atMs + 1);
      await appendAll(store, [newRecord(user, "n1", atMs + 2)]);
      expect((await readPage(store, user)).notifications.items.map((item) => item.read)).toEqual([true]);
    });

    test("a mark repeated moves to its newer cursor and is there once; an older one changes nothing", async () => {
      await mark("n1", atMs);
      await mark("n2", atMs + 1);
      await mark("n1", atMs + 2);
      await mark("n2", atMs);
      const { reads } = await readPage(store, user);
      expect(reads.items).toEqual([
        { notificationId: "n2", cursor: formatCursor(atMs + 1, 0) },
        { notificationId: "n1", cursor: formatCursor(atMs + 2, 0) },
      ]);
    });

    test("marks are paged like notifications, those of one acknowledgement included", async () => {
      const ids = ["r1", "r2", "r3", "r4", "r5"].map(id);
      await store.markRead({ user, notificationIds: ids, cursor: formatCursor(atMs, 0) });
      const first = await readPage(store, user, { readsMax: 3 });
      expect([names(first.reads.items), first.reads.more]).toEqual([ids.slice(0, 3), true]);
      const second = await readPage(store, user, { readsMax: 3, readsAfter: first.reads.covered });
      expect([names(second.reads.items), second.reads.more]).toEqual([ids.slice(3), false]);
    });

    test("marks are not read when they are not wanted", async () => {
      await mark("n1", atMs);
      expect((await readPage(store, user, { readsAfter: undefined })).reads.items).toEqual([]);
    });

    test("an append is told whether its notification was read: before it came, or since it was appended before", async () => {
      const appended = async (name: string, cursorMs: number) => await store.append([newRecord(user, name, cursorMs)]);
      await mark("n1", atMs);
      expect(await appended("n1", atMs + 1)).toEqual([{ kind: "stored", read: true }]);
      expect(await appended("n2", atMs + 2)).toEqual([{ kind: "stored", read: false }]);
      expect(await appended("n2", atMs + 3)).toEqual([{ kind: "stored", read: false }]);
      await mark("n2", atMs + 4);
      expect(await appended("n2", atMs + 5)).toEqual([{ kind: "stored", read: true }]);
      expect(await appended("n2", atMs + 2)).toEqual([{ kind: "stored", read: true }]); // overtaken, and changes nothing
    });

    test("a mark is for one user only", async () => {
      const other = newUser();
      await appendAll(store, [newRecord(user, "n1", atMs), newRecord(other, "n1", atMs)]);
      await mark("n1", atMs + 1, other);
      expect((await readPage(store, user)).notifications.items[0]?.read).toBe(false);
      expect((await readPage(store, user)).reads.items).toEqual([]);
    });

    test(`beyond ${limits.storedReadsPerUserMax} marks of a user the oldest go, but what was read stays read`, async () => {
      await appendAll(store, [newRecord(user, "first", atMs)]);
      await mark("first", atMs);
      const ids = Array.from({ length: limits.storedReadsPerUserMax }, (_, index) => id(`r${index}`));
      for (let start = 0; start < ids.length; start += limits.ackIdsMax) {
        await store.markRead({
          user,
          notificationIds: ids.slice(start, start + limits.ackIdsMax),
          cursor: formatCursor(atMs + 1 + start, 0),
        });
      }
      const page = await readPage(store, user, { readsMax: ids.length + 1 });
      expect([page.reads.items.length, page.reads.items.some((item) => item.notificationId === "first")]).toEqual([ids.length, false]);
      expect(page.notifications.items[0]?.read).toBe(true);
    });
  });

  describe("the newest unread", () => {
    test("are the newest that were not read, in cursor order", async () => {
      await appendAll(
        store,
        [1, 2, 3, 4, 5].map((each) => newRecord(user, `n${each}`, atMs + each)),
      );
      await store.markRead({ user, notificationIds: [id("n4")], cursor: formatCursor(atMs + 9, 0) });
      const read = await readNewest(store, user, 3);
      expect(names(read.notifications)).toEqual(["n2", "n3", "n5"]);
      expect(read.notifications.every((notification) => !notification.read)).toBe(true);
    });

    test("come with the highest cursor of the stream, of whatever it is", async () => {
      expect((await readNewest(store, user, 100)).newest).toBeUndefined();
      await appendAll(store, [newRecord(user, "n1", atMs)]);
      expect((await readNewest(store, user, 100)).newest).toBe(formatCursor(atMs, 0));
      await store.markRead({ user, notificationIds: [id("n1")], cursor: formatCursor(atMs + 1, 0) });
      expect(await readNewest(store, user, 100)).toEqual({ kind: "newest", notifications: [], newest: formatCursor(atMs + 1, 0) });
    });
  });

  describe("expiry", () => {
    test("an expired notification is in no read, and what follows it is", async () => {
      await appendAll(store, [
        newRecord(user, "n1", atMs, { expiresAtMs: atMs + 500 }),
        newRecord(user, "n2", atMs + 1),
        newRecord(user, "n3", atMs + 2, { expiresAtMs: atMs + 60_000 }),
        newRecord(user, "n4", atMs + 3, { expiresAtMs: atMs - 1 }),
      ]);
      await under.advance(600);
      expect(names((await readNewest(store, user, 100)).notifications)).toEqual(["n2", "n3"]);
      expect(names((await readPage(store, user)).notifications.items)).toEqual(["n2", "n3"]);
    });

    test("a walk goes on behind a page of which everything has expired", async () => {
      await appendAll(
        store,
        [1, 2, 3, 4].map((each) => newRecord(user, `n${each}`, atMs + each, each < 4 ? { expiresAtMs: atMs - 1 } : {})),
      );
      const seen: string[] = [];
      let after = streamStart;
      for (let page = 0, more = true; more && page < 5; page++) {
        const { notifications } = await readPage(store, user, { notificationsAfter: after, notificationsMax: 1 });
        seen.push(...names(notifications.items));
        after = notifications.covered;
        more = notifications.more;
      }
      expect(seen).toEqual(["n4"]);
    });
  });
}
