import { formatCursor, type NotificationId, type UserId } from "@pushfleet/protocol";
import { expect, test } from "vitest";
import { Dedupe } from "./dedupe.js";

const user = "u" as UserId;
const id = (n: number) => `n${n}` as NotificationId;

test("knows the last cursor of each id, for the newest entries only", () => {
  const dedupe = new Dedupe(2);
  dedupe.set(user, id(1), formatCursor(1, 0));
  dedupe.set(user, id(2), formatCursor(2, 0));
  dedupe.set(user, id(1), formatCursor(3, 0));
  dedupe.set(user, id(3), formatCursor(4, 0));
  expect([1, 2, 3].map((n) => dedupe.get(user, id(n)))).toEqual([formatCursor(3, 0), undefined, formatCursor(4, 0)]);
  expect(dedupe.get("other" as UserId, id(1))).toBeUndefined();
});
