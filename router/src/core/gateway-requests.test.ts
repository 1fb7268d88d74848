import { limits } from "@pushfleet/protocol";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { clientEventText, parseAcknowledgement, parseClientEvent } from "./gateway-requests.js";

describe("an acknowledgement", () => {
  const good = { user: "u1", device: "d1", notificationIds: ["n1", "n2"], atMs: 5.4 };

  test("is taken with its time in whole ms", () => {
    expect(parseAcknowledgement(good, "read")).toEqual({ ...good, atMs: 5, state: "read" });
  });

  test.each([
    ["no user", { user: "" }],
    ["a user that would be another key", { user: "u1}:conn:{u2" }],
    ["a user that is none", { user: null }],
    ["no device", { device: undefined }],
    ["no ids", { notificationIds: [] }],
    ["ids that are none", { notificationIds: "n1" }],
    ["one bad id", { notificationIds: ["n1", "n 2"] }],
    ["too many ids", { notificationIds: Array.from({ length: limits.ackIdsMax + 1 }, (_, index) => `n${index}`) }],
    ["a time that is none", { atMs: Number.NaN }],
    ["a time before time", { atMs: -1 }],
    ["a time without end", { atMs: Number.POSITIVE_INFINITY }],
  ])("with %s is none", (_, change) => {
    expect(parseAcknowledgement({ ...good, ...change }, "read")).toBeUndefined();
  });
});

describe("a client event", () => {
  const good = { user: "u1", device: "d1", name: "typing", atMs: 5 };

  test.each([
    ["no data", {}, undefined],
    ["data that is not JSON", {}, "{"],
    ["data that would end its record", {}, '1},{"user_id":"u2"'],
    ["empty data", {}, ""],
    ["data beyond a client's frame", {}, `"${"x".repeat(limits.clientFrameBytesMax)}"`],
    ["a bad name", { name: 'a"b' }, "1"],
    ["a bad user", { user: 7 }, "1"],
    ["a bad device", { device: "" }, "1"],
    ["a bad time", { atMs: "now" }, "1"],
  ])("with %s is none", (_, change, data) => {
    expect(parseClientEvent({ ...good, ...change }, data)).toBeUndefined();
  });

  test("becomes a record in which its data stands as the client wrote it", () => {
    const data = '{"n":9007199254740993,"f":1.0,"e":"\\u00e9"}';
    const event = parseClientEvent(good, data);
    expect(event && clientEventText(event)).toBe(`{"user_id":"u1","device":"d1","name":"typing","data":${data},"at_ms":5}`);
  });

  test("becomes JSON whatever its data", () => {
    fc.assert(
      fc.property(fc.json(), (data) => {
        const event = parseClientEvent(good, data);
        expect(event && JSON.parse(clientEventText(event))).toEqual({
          user_id: "u1",
          device: "d1",
          name: "typing",
          data: JSON.parse(data),
          at_ms: 5,
        });
      }),
    );
  });
});
