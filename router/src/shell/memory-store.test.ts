import { formatCursor, limits } from "@pushfleet/protocol";
import { ManualClock } from "@pushfleet/service";
import { describe, expect, test } from "vitest";
import { createMemoryStore } from "./memory-store.js";
import { appendAll, id, known, newRecord, newUser, readNewest, readPage, runStoreContract } from "./store-contract.test-suite.js";

describe("the memory store", () => {
  const clock = new ManualClock();
  const store = createMemoryStore({ clock });
  runStoreContract(() => ({ store, nowMs: () => clock.nowMs(), advance: (ms) => clock.advance(ms) }));
});

describe("the memory that the memory store takes", () => {
  test("is bounded: the oldest of all users go, and it is counted", async () => {
    const store = createMemoryStore({ clock: new ManualClock(), bytesMax: 100_000 });
    const users = Array.from({ length: 10 }, newUser);
    const data = JSON.stringify("x".repeat(1000));
    for (let round = 0; round < 50; round++) {
      await appendAll(
        store,
        users.map((user) => newRecord(user, `n${round}`, 1000 + round, { data })),
      );
      expect(store.totals().bytes).toBeLessThanOrEqual(100_000);
    }
    const totals = store.totals();
    expect(totals.notifications + totals.dropped).toBe(500);
    expect(totals.notifications).toBeGreaterThan(60);
    for (const user of users) {
      const { items } = (await readPage(store, user)).notifications;
      expect(items.at(-1)?.notificationId).toBe("n49");
      expect(items.length).toBeLessThanOrEqual(8);
    }
  });

  test("counts read marks too, however many users they are of", async () => {
    const store = createMemoryStore({ clock: new ManualClock(), bytesMax: 50_000 });
    for (let round = 0; round < 300; round++) {
      await store.markRead({ user: newUser(), notificationIds: [id("never-sent")], cursor: formatCursor(round, 0) });
    }
    expect(store.totals().bytes).toBeLessThanOrEqual(50_000);
    expect(store.totals().users).toBe(store.totals().readMarks);
  });

  test("is given back when what it held has expired and is read over, or when it stops", async () => {
    const clock = new ManualClock();
    const store = createMemoryStore({ clock });
    const user = newUser();
    const nowMs = clock.nowMs();
    await appendAll(store, [
      newRecord(user, "n1", nowMs, { expiresAtMs: nowMs + 10 }),
      newRecord(user, "n2", nowMs, { expiresAtMs: nowMs + 10 }),
    ]);
    clock.advance(10);
    await readPage(store, user);
    expect(store.totals()).toEqual({ users: 0, notifications: 0, readMarks: 0, bytes: 0, dropped: 0 });
    await appendAll(store, [newRecord(user, "n3", nowMs)]);
    await store.stop();
    expect(store.totals().bytes).toBe(0);
    expect((await readNewest(store, user, 10)).notifications).toEqual([]);
  });

  test("does not grow with what is appended or marked again", async () => {
    const store = createMemoryStore({ clock: new ManualClock() });
    const user = newUser();
    const round = async (at: number) => {
      await appendAll(store, [newRecord(user, "n1", at)]);
      await store.markRead({ user, notificationIds: [id("n1"), id("n2")], cursor: formatCursor(at, 1) });
    };
    await round(1);
    const { bytes } = store.totals();
    for (let at = 2; at < 100; at++) await round(at);
    expect(store.totals().bytes).toBe(bytes);
  });

  test("holds at least the newest notification, however small the bound", async () => {
    const store = createMemoryStore({ clock: new ManualClock(), bytesMax: 1 });
    const user = newUser();
    await appendAll(store, [newRecord(user, "n1", 1), newRecord(user, "n2", 2)]);
    expect(known((await readPage(store, user)).notifications.items[0]).notificationId).toBe("n2");
    expect(store.totals().notifications).toBe(1);
    expect(limits.memoryStoreBytesMax).toBeGreaterThan(limits.storedNotificationsPerUserMax * 1000);
  });
});
