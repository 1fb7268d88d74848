import { formatCursor, limits, parseNotificationId, parseUserId } from "@pushfleet/protocol";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatPageToken, parsePageToken, type Walk } from "./sync-token.js";

const idText = fc.stringMatching(/^[A-Za-z0-9._:@-]{1,128}$/);
const user = idText.map((text) => parseUserId(text) ?? never());
const cursor = fc
  .tuple(fc.integer({ min: 0, max: 9_999_999_999_999 }), fc.integer({ min: 0, max: 999_999 }))
  .map(([ms, sequence]) => formatCursor(ms, sequence));
const position = fc.record({
  cursor,
  notificationId: fc.oneof(
    fc.constant("" as const),
    idText.map((text) => parseNotificationId(text) ?? never()),
  ),
});
const walk: fc.Arbitrary<Walk> = fc.oneof(
  fc.record({ kind: fc.constant("since" as const), floor: cursor, notificationsAfter: position, readsAfter: position }),
  fc.record({ kind: fc.constant("unread" as const), floor: cursor, notificationsAfter: position }),
);

function never(): never {
  throw new Error("expected an id");
}

describe("page tokens", () => {
  test("give back the walk they were made for, within their bound", () => {
    fc.assert(
      fc.property(user, walk, (forUser, at) => {
        const token = formatPageToken(forUser, at);
        expect(token.length).toBeLessThanOrEqual(limits.syncPageTokenBytesMax);
        expect(parsePageToken(forUser, token)).toEqual(at);
      }),
    );
  });

  test("with any character changed, cut or added are none", () => {
    fc.assert(
      fc.property(user, walk, fc.nat(), fc.string({ minLength: 1, maxLength: 1, unit: "binary" }), (forUser, at, place, character) => {
        const token = formatPageToken(forUser, at);
        const index = place % token.length;
        const changed = token.slice(0, index) + character + token.slice(index + 1);
        if (changed !== token) expect(parsePageToken(forUser, changed)).toBeUndefined();
        expect(parsePageToken(forUser, token.slice(0, index))).toBeUndefined();
        expect(parsePageToken(forUser, token + character)).toBeUndefined();
      }),
    );
  });

  test("of another user are none", () => {
    fc.assert(
      fc.property(user, user, walk, (one, other, at) => {
        fc.pre(one !== other);
        expect(parsePageToken(other, formatPageToken(one, at))).toBeUndefined();
      }),
    );
  });

  test("are not found in what anybody may send, and nothing throws", () => {
    fc.assert(
      fc.property(
        user,
        fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("", "/", "p1", "p1/since//////", "x".repeat(100_000))),
        (u, text) => {
          expect(parsePageToken(u, text)).toBeUndefined();
        },
      ),
    );
  });
});
