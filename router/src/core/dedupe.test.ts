import { formatCursor, type NotificationId, type UserId } from "@pushfleet/protocol";
import { expect, test } from "vitest";
import { Dedupe } from "./dedupe.js";

const user = "u" as UserId;
const id = (n: number) => `n${n}` as NotificationId;
const appended = (ms: number, read = false) => ({ cursor: formatCursor(ms, 0), read });

test("knows the last cursor of each id, for the newest entries only", () => {
  const dedupe = new Dedupe(2);
  dedupe.set(user, id(1), appended(1));
  dedupe.set(user, id(2), appended(2));
  dedupe.set(user, id(1), appended(3));
  dedupe.set(user, id(3), appended(4));
  expect([1, 2, 3].map((n) => dedupe.get(user, id(n)))).toEqual([appended(3), undefined, appended(4)]);
  expect(dedupe.get("other" as UserId, id(1))).toBeUndefined();
});

test("knows what was read, as long as it knows the id", () => {
  const dedupe = new Dedupe(2);
  dedupe.markRead(user, [id(1)]);
  dedupe.set(user, id(1), appended(1));
  dedupe.set(user, id(2), appended(2, true));
  expect([1, 2].map((n) => dedupe.get(user, id(n))?.read)).toEqual([false, true]);
  dedupe.markRead(user, [id(1), id(9)]);
  expect(dedupe.get(user, id(1))?.read).toBe(true);
  dedupe.set(user, id(3), appended(3));
  dedupe.set(user, id(1), appended(4));
  expect(dedupe.get(user, id(1))).toEqual(appended(4));
});
