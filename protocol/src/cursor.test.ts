import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Cursor, cursorBefore, cursorMs, formatCursor, nextCursor, parseCursor, parseLastSeen } from "./cursor.js";

const cursor = fc.tuple(fc.integer({ min: 1, max: 9_999_999_999_998 }), fc.integer({ min: 0, max: 999_999 }));

describe("cursors", () => {
  test("compare as text in the order of time and sequence", () => {
    fc.assert(
      fc.property(cursor, cursor, (a, b) => {
        const before = a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);
        expect(formatCursor(...a) < formatCursor(...b)).toBe(before);
      }),
    );
  });

  test("cursorBefore is the neighbour below", () => {
    expect(cursorBefore(formatCursor(5, 1))).toBe(formatCursor(5, 0));
    expect(cursorBefore(formatCursor(5, 0))).toBe(formatCursor(4, 999_999));
    expect(cursorBefore(formatCursor(0, 0))).toBe(formatCursor(0, 0));
  });

  test("nextCursor always rises, whatever the clock does", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 2000 }), { minLength: 1, maxLength: 50 }), (times) => {
        let previous: Cursor | undefined;
        for (const nowMs of times) {
          const next = nextCursor(previous, nowMs);
          expect(parseCursor(next)).toBe(next);
          expect(cursorMs(next)).toBeGreaterThanOrEqual(nowMs);
          if (previous !== undefined) expect(next > previous).toBe(true);
          previous = next;
        }
      }),
    );
  });

  test("a full millisecond goes on in the next", () => {
    expect(nextCursor(formatCursor(7, 999_999), 7)).toBe(formatCursor(8, 0));
  });
});

describe("parseLastSeen", () => {
  test.each([
    ["c1_0000000000001_000002", "c1_0000000000001_000002"],
    ["2023-11-14T22:13:20.500Z", "c1_1700000000500_000000"],
    ["2023-11-14", "c1_1699920000000_000000"],
    ["1700000000000", "c1_1700000000000_000000"],
    [1_700_000_000_000, "c1_1700000000000_000000"],
    [0, "c1_0000000000000_000000"],
  ])("%s is read", (value, expected) => {
    expect(parseLastSeen(value)).toBe(expected);
  });

  test.each([
    ["c1_1_1"],
    ["c2_0000000000001_000002"],
    ["2023-13-45T99:99:99Z"],
    ["yesterday"],
    ["1e3"],
    [-1],
    [Number.NaN],
    [1e14],
    [null],
    [{}],
    [""],
  ])("%s is no place in a stream", (value) => {
    expect(parseLastSeen(value)).toBeUndefined();
  });
});
