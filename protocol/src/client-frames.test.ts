import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseClientFrame } from "./client-frames.js";

describe("parseClientFrame", () => {
  test.each([
    ['{"type":"ping"}', { kind: "ping" }],
    ['{"type":"auth","token":"t"}', { kind: "auth", token: "t", device: undefined }],
    ['{"type":"auth","token":"t","device":"d1"}', { kind: "auth", token: "t", device: "d1" }],
    ['{"type":"ack","notification_id":"n1"}', { kind: "ack", notificationIds: ["n1"], state: "read" }],
    ['{"type":"ack","notification_ids":["n1","n2"],"state":"received"}', { kind: "ack", notificationIds: ["n1", "n2"], state: "received" }],
    ['{"type":"sync"}', { kind: "sync", lastSeen: "none" }],
    ['{"type":"sync","last_seen":"c1_1700000000000_000001"}', { kind: "sync", lastSeen: "c1_1700000000000_000001" }],
    ['{"type":"sync","last_seen":"2023-11-14T22:13:20Z"}', { kind: "sync", lastSeen: "c1_1700000000000_000000" }],
    ['{"type":"sync","last_seen":1700000000000}', { kind: "sync", lastSeen: "c1_1700000000000_000000" }],
    ['{"type":"sync","last_seen":"yesterday"}', { kind: "sync", lastSeen: "bad_cursor" }],
    ['{"type":"event","name":"typing","data":{"n":1.0}}', { kind: "event", name: "typing", data: '{"n":1.0}' }],
    ['{"type":"ping","unknown":1}', { kind: "ping" }],
  ])("%s is understood", (text, expected) => {
    expect(parseClientFrame(text)).toEqual(expected);
  });

  test.each([
    ["", "not a JSON object"],
    ["[]", "not a JSON object"],
    ["null", "not a JSON object"],
    ['"ping"', "not a JSON object"],
    ["{", "not a JSON object"],
    ["[".repeat(60_000), "not a JSON object"],
    ["{}", "unknown type"],
    ['{"type":"hello"}', "unknown type"],
    ['{"type":["ping"]}', "unknown type"],
    ['{"__proto__":{"type":"ping"}}', "unknown type"],
    ['{"type":"__proto__"}', "unknown type"],
    ['{"type":"constructor"}', "unknown type"],
    ['{"type":"auth"}', "auth.token"],
    ['{"type":"auth","token":1}', "auth.token"],
    ['{"type":"auth","token":"t","device":"a b"}', "auth.device"],
    ['{"type":"ack"}', "ack"],
    ['{"type":"ack","notification_id":"n","notification_ids":["n"]}', "ack"],
    ['{"type":"ack","notification_ids":[]}', "ack.notification_ids"],
    ['{"type":"ack","notification_ids":["ok","not ok"]}', "ack"],
    ['{"type":"ack","notification_id":"n","state":"seen"}', "ack.state"],
    ['{"type":"sync","last_seen":{}}', "sync.last_seen"],
    ['{"type":"event","name":"typing"}', "event.data"],
    ['{"type":"event","name":"","data":1}', "event.name"],
    [`{"type":"ack","notification_ids":${JSON.stringify(Array(1001).fill("n"))}}`, "ack.notification_ids"],
  ])("%.60s is a bad frame whose reason says what would be right", (text, reason) => {
    expect(parseClientFrame(text)).toEqual({ kind: "bad", reason: expect.stringContaining(reason) });
  });

  test("no text makes it throw, and a reason always fits a close frame", () => {
    const member = fc.oneof(
      fc.constantFrom("type", "token", "device", "notification_id", "state", "last_seen", "name", "data", "__proto__"),
      fc.string(),
    );
    const type = fc.constantFrom("auth", "ack", "sync", "event", "ping", "__proto__", 1, null, {});
    const frame = fc
      .tuple(fc.dictionary(member, fc.jsonValue()), type)
      .map(([members, kind]) => JSON.stringify({ ...members, type: kind }));
    const hostile = fc.oneof(
      fc.string(),
      fc.json(),
      frame,
      fc.tuple(frame, fc.nat()).map(([text, at]) => text.slice(0, at % (text.length + 1))),
    );
    fc.assert(
      fc.property(hostile, (text) => {
        const parsed = parseClientFrame(text);
        if (parsed.kind === "bad") expect(parsed.reason.length).toBeLessThanOrEqual(123);
      }),
      { numRuns: 2000 },
    );
    expect(Object.prototype).not.toHaveProperty("type");
  });
});
