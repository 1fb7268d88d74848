import { closeCodes, limits } from "@pushfleet/protocol";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { afterClose, reconnectDelayMs, reconnectDelaysMs } from "./schedule.js";

describe("the reconnect schedule", () => {
  test("is the protocol's: immediately, then 1, 2, 5, 10, 30 s and no more", () => {
    expect(reconnectDelaysMs).toEqual(limits.reconnectDelaysMs);
    expect([0, 1, 2, 3, 4, 5, 6, 99].map((attempt) => reconnectDelayMs(attempt, 0.999999)).map(Math.round)).toEqual([
      0, 1000, 2000, 5000, 10_000, 30_000, 30_000, 30_000,
    ]);
  });

  test("each delay d is uniform in [d/2, d]", () => {
    fc.assert(
      fc.property(fc.nat(20), fc.double({ min: 0, max: 0.9999999, noNaN: true }), (attempt, random) => {
        const d = reconnectDelaysMs[Math.min(attempt, 5)] ?? 0;
        const delay = reconnectDelayMs(attempt, random);
        expect(delay).toBeGreaterThanOrEqual(d / 2);
        expect(delay).toBeLessThanOrEqual(d);
      }),
    );
  });

  test("a server's hint wins", () => {
    expect(reconnectDelayMs(0, 0.5, 7000)).toBe(7000);
    expect(afterClose(1013, '{"retry_after_ms":1500}')).toEqual({ kind: "retry", hintMs: 1500 });
    expect(afterClose(1013, "later")).toEqual({ kind: "retry", hintMs: undefined });
  });
});

test("every close code is answered as the protocol says", () => {
  for (const close of Object.values(closeCodes)) {
    const decision = afterClose(close.code, close.reason);
    expect([close.code, decision.kind]).toEqual([close.code, close.afterClose === "retry_hint" ? "retry" : close.afterClose]);
  }
  expect(afterClose(1006, "").kind).toBe("retry");
});
