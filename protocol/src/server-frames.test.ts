import fc from "fast-check";
import { expect, test } from "vitest";
import { closeCodes, closeReason, tryAgainReason } from "./close-codes.js";
import { formatCursor } from "./cursor.js";
import { parseNotificationId } from "./ids.js";
import { limits } from "./limits.js";
import { errorBody, notificationFrame, syncBatchFrame, syncNotification } from "./server-frames.js";
import { utf8Bytes } from "./utf8.js";

const cursor = formatCursor(1_700_000_000_000, 1);
const n1 = parseNotificationId("n1");
if (n1 === undefined) throw new Error("n1 is an id");

test("a notification frame is JSON whatever its data, and data stands in it as written", () => {
  fc.assert(
    fc.property(fc.json(), (data) => {
      const frame = notificationFrame({ notificationId: n1, cursor, data });
      expect(JSON.parse(frame)).toMatchObject({ type: "notification", notification_id: "n1", cursor });
      expect(frame.endsWith(`"data":${data}}`)).toBe(true);
    }),
  );
});

test("a sync batch holds its notifications in order, with read marks and reads", () => {
  const notifications = [syncNotification({ notificationId: n1, cursor, data: "1.0", read: true })];
  expect(JSON.parse(syncBatchFrame({ notifications, reads: [n1], hasMore: true, cursor }))).toEqual({
    type: "sync_batch",
    notifications: [{ notification_id: "n1", cursor, read: true, data: 1 }],
    reads: ["n1"],
    has_more: true,
    cursor,
  });
});

test("an error body carries code, message and the hint in whole ms", () => {
  expect(errorBody({ code: "busy", message: "full", retryAfterMs: 12.6 })).toBe(
    '{"error":{"code":"busy","message":"full","retry_after_ms":13}}',
  );
});

test("every close reason fits a control frame", () => {
  for (const close of Object.values(closeCodes)) expect(closeReason(close.reason)).toBe(close.reason);
  expect(closeReason(`é${"x".repeat(200)}`)).toHaveLength(123);
  expect(tryAgainReason(1500.4)).toBe('{"retry_after_ms":1500}');
});

test("utf8Bytes counts as an encoder does", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      expect(utf8Bytes(text)).toBe(Buffer.byteLength(text));
    }),
  );
  expect(utf8Bytes("\ud800")).toBe(3);
});

test("the overlap of a sync is longer than everything that can hold an append back", () => {
  expect(limits.syncOverlapMs).toBeGreaterThanOrEqual(
    limits.appendRetryMs + limits.appendFreshMs + limits.outboxStayMs + limits.clockSkewMs,
  );
});
