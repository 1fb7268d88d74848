import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { limits } from "./limits.js";
import { parseNotification, parsePublish } from "./notification.js";
import { notificationFrame } from "./server-frames.js";

const fromKafka = (text: string) => parseNotification(text, { idRequired: true });
const valid = { user_id: "usr_42", notification_id: "n1", data: {} };

describe("parseNotification", () => {
  test.each(["9007199254740993", "1.0", '"\\u00e9"', '{"a" : [1e5,\n2] }', "null"])(
    "data %s reaches the client's frame byte for byte",
    (data) => {
      const parsed = fromKafka(`{"user_id":"usr_42","notification_id":"n1", "data" : ${data} ,"ttl_ms":5}`);
      if (parsed.kind === "bad") throw new Error(JSON.stringify(parsed.faults));
      expect(parsed.notification).toMatchObject({ userIds: ["usr_42"], notificationId: "n1", data, ttlMs: 5, priority: "normal" });
      const { notificationId } = parsed.notification;
      if (notificationId === undefined) throw new Error("no id");
      expect(notificationFrame({ notificationId, cursor: "c1_0000000000001_000000" as never, data: parsed.notification.data })).toBe(
        `{"type":"notification","notification_id":"n1","cursor":"c1_0000000000001_000000","data":${data}}`,
      );
    },
  );

  test.each([
    ["not JSON", "", "{"],
    ["an array", "", "[]"],
    ["no user", "user_id", { ...valid, user_id: undefined }],
    ["a user that is no id", "user_id", { ...valid, user_id: "a b" }],
    ["both user_id and user_ids", "user_ids", { ...valid, user_ids: ["a"] }],
    ["1,001 users", "user_ids", { ...valid, user_id: undefined, user_ids: Array.from({ length: 1001 }, (_, i) => `u${i}`) }],
    ["no id", "notification_id", { ...valid, notification_id: undefined }],
    ["an id of 129 bytes", "notification_id", { ...valid, notification_id: "n".repeat(129) }],
    ["no data", "data", { ...valid, data: undefined }],
    ["data of 32 KiB and one byte", "data", { ...valid, data: "x".repeat(limits.dataBytesMax - 1) }],
    ["a negative ttl", "ttl_ms", { ...valid, ttl_ms: -1 }],
    ["a ttl that is no integer", "ttl_ms", { ...valid, ttl_ms: "5" }],
    ["an unknown priority", "priority", { ...valid, priority: "urgent" }],
    ["an empty collapse key", "collapse_key", { ...valid, collapse_key: "" }],
    ["a created_at that is no time", "created_at", { ...valid, created_at: "noon" }],
  ])("%s is a fault that names the field", (_, path, value) => {
    const parsed = fromKafka(typeof value === "string" ? value : JSON.stringify(value));
    expect(parsed).toMatchObject({ kind: "bad", faults: [{ path }] });
  });

  test("data of exactly 32 KiB in UTF-8 is accepted", () => {
    const data = JSON.stringify("é".repeat((limits.dataBytesMax - 2) / 2));
    expect(fromKafka(`{"user_id":"u","notification_id":"n","data":${data}}`).kind).toBe("notification");
  });

  test("all faults come at once", () => {
    const parsed = fromKafka('{"user_id":"","notification_id":"","ttl_ms":-1}');
    expect(parsed.kind === "bad" ? parsed.faults.map((fault) => fault.path) : []).toEqual(["user_id", "notification_id", "data", "ttl_ms"]);
  });

  test("no text makes it throw", () => {
    const member = fc.oneof(
      fc.constantFrom("user_id", "user_ids", "notification_id", "data", "ttl_ms", "priority", "collapse_key", "created_at", "__proto__"),
      fc.string(),
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.dictionary(member, fc.jsonValue()).map((value) => JSON.stringify(value)),
        ),
        (text) => {
          fromKafka(text);
          parsePublish(text);
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe("parsePublish", () => {
  test("each of several notifications keeps its own data as written", () => {
    const parsed = parsePublish('{"notifications":[ {"user_id":"a","data":1.0}, {"data":2.50,"user_ids":["b","c","b"]} ]}');
    expect(parsed).toMatchObject({ kind: "notifications", notifications: [{ data: "1.0" }, { data: "2.50", userIds: ["b", "c"] }] });
  });

  test("a fault in a list names its element", () => {
    const parsed = parsePublish('{"notifications":[{"user_id":"a","data":1},{"user_id":"b"}]}');
    expect(parsed).toMatchObject({ kind: "bad", faults: [{ path: "notifications[1].data" }] });
  });

  test.each(['{"notifications":[]}', '{"notifications":{}}', `{"notifications":[${Array(1001).fill('{"user_id":"a","data":1}').join()}]}`])(
    "%.30s is refused: 1 to 1000 notifications",
    (text) => {
      expect(parsePublish(text)).toMatchObject({ kind: "bad", faults: [{ path: "notifications" }] });
    },
  );
});
