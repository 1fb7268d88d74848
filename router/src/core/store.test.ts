import { formatCursor, limits } from "@pushfleet/protocol";
import { describe, expect, test } from "vitest";
import { expiresAtMs } from "./store.js";

describe("the overlap of a sync", () => {
  test("is longer than all that can come between a notification's cursor and the client that has it", () => {
    // stamped, then: the attempt to append, the wait for a look-up that works, the stay in the gateway's outbox; and two routers' clocks
    expect(limits.syncOverlapMs).toBeGreaterThanOrEqual(
      limits.appendRetryMs + limits.appendFreshMs + limits.outboxStayMs + limits.clockSkewMs,
    );
  });
});

describe("a notification ends", () => {
  const firstAppend = formatCursor(1000, 7);
  test.each([
    [{ createdAtMs: undefined, ttlMs: undefined, firstAppend }, undefined],
    [{ createdAtMs: 500, ttlMs: undefined, firstAppend }, undefined],
    [{ createdAtMs: 500, ttlMs: 20, firstAppend }, 520],
    [{ createdAtMs: undefined, ttlMs: 20, firstAppend }, 1020],
    [{ createdAtMs: 0, ttlMs: 0, firstAppend }, 0],
  ])("%j at %s", (notification, expected) => {
    expect(expiresAtMs(notification)).toBe(expected);
  });
});
