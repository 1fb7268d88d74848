import {
  type Cursor,
  formatCursor,
  limits,
  type NotificationId,
  parseNotificationId,
  parseUserId,
  syncBatchFrame,
  syncNotification,
  utf8Bytes,
} from "@pushfleet/protocol";
import { describe, expect, test } from "vitest";
import type { Part, StoredNotification, StoredRead } from "./store.js";
import { buildNewest, buildPage, pageRequest, planSync } from "./sync-page.js";
import { parsePageToken, type Walk } from "./sync-token.js";

const user = parseUserId("usr_42") ?? fail();
const nowMs = 1_700_000_000_000;
const now = at(nowMs);

function fail(): never {
  throw new Error("expected an id");
}
function at(ms: number): Cursor {
  return formatCursor(ms, 0);
}
const id = (text: string): NotificationId => parseNotificationId(text) ?? fail();
const notification = (name: string, ms: number, more: Partial<StoredNotification> = {}): StoredNotification => ({
  notificationId: id(name),
  cursor: at(ms),
  data: "1",
  createdAtMs: undefined,
  read: false,
  ...more,
});
function part<Item extends { readonly cursor: Cursor; readonly notificationId: NotificationId }>(
  items: readonly Item[],
  more = false,
): Part<Item> {
  const last = items.at(-1);
  const covered = last === undefined ? start : { cursor: last.cursor, notificationId: last.notificationId };
  return { items, covered, more };
}
const start = { cursor: at(nowMs - 1000 - limits.syncOverlapMs), notificationId: "" as const };
const since: Walk = { kind: "since", floor: at(nowMs - 1000), notificationsAfter: start, readsAfter: start };
const page = (
  notifications: Part<StoredNotification>,
  reads: Part<StoredRead> = { items: [], covered: start, more: false },
  walk: Walk = since,
) => buildPage(user, walk, { kind: "page", notifications, reads });
const read = (name: string, ms: number): StoredRead => ({ notificationId: id(name), cursor: at(ms) });

describe("a sync begins", () => {
  const plan = (lastSeen: string, pageToken = "") => planSync({ user, lastSeen, page: pageToken, now });

  test("without last_seen: with the newest unread", () => {
    expect(plan("")).toEqual({ kind: "newest" });
  });

  test.each([
    ["a cursor", at(nowMs - 5)],
    ["ms", String(nowMs - 5)],
    ["ISO 8601", new Date(nowMs - 5).toISOString()],
  ])("from %s: the overlap before it, for notifications and marks, the first of that ms included", (_, lastSeen) => {
    const from = { cursor: at(nowMs - 5 - limits.syncOverlapMs), notificationId: "" };
    expect(plan(lastSeen)).toEqual({
      kind: "page",
      walk: { kind: "since", floor: at(nowMs - 5), notificationsAfter: from, readsAfter: from },
    });
  });

  test("from the beginning of time: at the beginning", () => {
    expect(plan("0")).toMatchObject({ walk: { notificationsAfter: { cursor: at(0), notificationId: "" } } });
  });

  test("from a little in the future, as clocks are: from the present", () => {
    expect(plan(at(nowMs + limits.syncOverlapMs))).toEqual(plan(now));
  });

  test.each([
    ["further in the future", at(nowMs + limits.syncOverlapMs + 1), ""],
    ["what is no cursor", "c1_1_2", ""],
    ["what is no page", at(nowMs), "p1/since"],
  ])("from %s: not", (_, lastSeen, pageToken) => {
    expect(plan(lastSeen, pageToken).kind).toBe("bad_cursor");
  });
});

describe("a page", () => {
  test("with everything there is ends the sync, with the highest cursor of both streams", () => {
    const built = page(
      part([notification("n1", nowMs - 900), notification("n2", nowMs, { read: true, createdAtMs: 7 })]),
      part([read("n0", nowMs + 1)]),
    );
    expect(JSON.parse(built.frame)).toEqual({
      type: "sync_batch",
      notifications: [
        { notification_id: "n1", cursor: at(nowMs - 900), data: 1 },
        { notification_id: "n2", cursor: at(nowMs), created_at: 7, read: true, data: 1 },
      ],
      reads: ["n0"],
      has_more: false,
      cursor: at(nowMs + 1),
    });
    expect(built).toMatchObject({ hasMore: false, nextPage: "", cursor: at(nowMs + 1) });
  });

  test("with nothing new leaves the client where it was", () => {
    expect(page(part<StoredNotification>([]))).toMatchObject({ hasMore: false, cursor: since.floor });
  });

  test("within the overlap does not move the client back", () => {
    expect(page(part([notification("n1", nowMs - 30_000)], true))).toMatchObject({ hasMore: true, cursor: since.floor });
  });

  test.each([
    ["notifications", part([notification("n1", nowMs)], true), part([read("r1", nowMs + 5)]), nowMs],
    ["marks", part([notification("n1", nowMs + 5)]), part([read("r1", nowMs)], true), nowMs],
    ["both, marks behind", part([notification("n1", nowMs + 5)], true), part([read("r1", nowMs)], true), nowMs],
    ["both, notifications behind", part([notification("n1", nowMs)], true), part([read("r1", nowMs + 5)], true), nowMs],
  ])("with more %s to come lets the client save only what both are covered up to", (_, notifications, reads, expectedMs) => {
    const built = page(notifications, reads);
    expect(built).toMatchObject({ hasMore: true, cursor: at(expectedMs) });
    expect(parsePageToken(user, built.nextPage)).toEqual({
      ...since,
      notificationsAfter: notifications.covered,
      readsAfter: reads.covered,
    });
  });

  test("goes on exactly behind the last notification and mark", () => {
    const token = page(part([notification("n1", nowMs)], true), part([read("r1", nowMs)])).nextPage;
    const plan = planSync({ user, lastSeen: at(0), page: token, now });
    if (plan.kind !== "page") throw new Error("expected a page");
    expect(pageRequest(user, plan.walk)).toMatchObject({
      notificationsAfter: { cursor: at(nowMs), notificationId: "n1" },
      readsAfter: { cursor: at(nowMs), notificationId: "r1" },
      notificationsMax: 100,
      readsMax: 1000,
    });
  });

  test("stays within its bytes, in UTF-8, and goes on behind what it holds", () => {
    const data = JSON.stringify("é".repeat(limits.dataBytesMax / 2 - 1));
    expect(utf8Bytes(data)).toBe(limits.dataBytesMax);
    const items = Array.from({ length: 20 }, (_, index) => notification(`n${index}`, nowMs + index, { data }));
    const built = page(part(items));
    const { notifications } = JSON.parse(built.frame) as { notifications: unknown[] };
    expect(utf8Bytes(built.frame)).toBeLessThanOrEqual(limits.syncFrameBytesMax);
    expect(notifications.length).toBe(7);
    expect(built).toMatchObject({ hasMore: true, cursor: at(nowMs + 6) });
    expect(parsePageToken(user, built.nextPage)).toMatchObject({ notificationsAfter: { cursor: at(nowMs + 6), notificationId: "n6" } });
  });

  test("with as many marks as it may have still holds the biggest notification: both streams move on each page", () => {
    const longId = (index: number) => String(index).padStart(limits.idBytesMax, "x");
    const reads = Array.from({ length: limits.syncReadsPerFrameMax }, (_, index) => read(longId(index), nowMs));
    const big = notification(longId(0), nowMs, { data: "1".repeat(limits.dataBytesMax), read: true, createdAtMs: Number.MAX_SAFE_INTEGER });
    const built = page(part([big]), part(reads));
    expect(utf8Bytes(built.frame)).toBeLessThanOrEqual(limits.syncFrameBytesMax);
    expect(JSON.parse(built.frame).notifications.length).toBe(1);
    expect(JSON.parse(built.frame).reads.length).toBe(limits.syncReadsPerFrameMax);
  });

  test("is filled to the last byte but one notification, with the envelope counted", () => {
    const items = Array.from({ length: 100 }, (_, index) => notification(`n${index}`, nowMs + index, { data: `"${"x".repeat(2700)}"` }));
    const built = page(part(items));
    const one = utf8Bytes(syncNotification(items[0] ?? fail())) + 1;
    const bytes = utf8Bytes(built.frame);
    expect(bytes).toBeLessThanOrEqual(limits.syncFrameBytesMax);
    expect(bytes).toBeGreaterThan(limits.syncFrameBytesMax - 2 * one);
    expect(utf8Bytes(syncBatchFrame({ notifications: [], reads: [], hasMore: false, cursor: now }))).toBeLessThan(256);
  });
});

describe("a sync without last_seen", () => {
  const newest = (notifications: readonly StoredNotification[], newestCursor: Cursor | undefined = notifications.at(-1)?.cursor) =>
    buildNewest(user, { kind: "newest", notifications, newest: newestCursor }, now);

  test("of an empty stream gives the present to be saved", () => {
    expect(JSON.parse(newest([]).frame)).toEqual({ type: "sync_batch", notifications: [], reads: [], has_more: false, cursor: now });
  });

  test("is one page, whose cursor covers what was read too", () => {
    const built = newest([notification("n1", nowMs - 9), notification("n2", nowMs - 8)], at(nowMs - 2));
    expect(built).toMatchObject({ hasMore: false, nextPage: "", cursor: at(nowMs - 2) });
  });

  test("too big for one frame goes on in the next, oldest first, with the unread only", () => {
    const data = `"${"x".repeat(limits.dataBytesMax - 2)}"`;
    const items = Array.from({ length: 10 }, (_, index) => notification(`n${index}`, nowMs - 100 + index, { data }));
    const first = newest(items);
    expect(utf8Bytes(first.frame)).toBeLessThanOrEqual(limits.syncFrameBytesMax);
    expect(first).toMatchObject({ hasMore: true, cursor: at(nowMs - 94) });
    const plan = planSync({ user, lastSeen: "", page: first.nextPage, now });
    if (plan.kind !== "page") throw new Error("expected a page");
    expect(pageRequest(user, plan.walk)).toMatchObject({ notificationsAfter: { notificationId: "n6" }, readsAfter: undefined });
    const rest = part([
      notification("n7", nowMs - 93),
      notification("n8", nowMs - 92, { read: true }),
      notification("n9", nowMs - 91, { read: true }),
    ]);
    const second = page(rest, { items: [], covered: start, more: false }, plan.walk);
    expect(JSON.parse(second.frame).notifications.map((each: { notification_id: string }) => each.notification_id)).toEqual(["n7"]);
    expect(second).toMatchObject({ hasMore: false, cursor: at(nowMs - 91) });
  });
});
