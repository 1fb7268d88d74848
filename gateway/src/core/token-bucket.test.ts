import { limits } from "@pushfleet/protocol";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { rateLimit, takeOne, waitMs } from "./rate-limit.js";
import { HandshakeBucket } from "./token-bucket.js";

const count = (bucket: HandshakeBucket, attempts: number, holdsResume: boolean, nowMs: number, random = 0.5): number => {
  let admitted = 0;
  for (let i = 0; i < attempts; i++) if (bucket.admit(holdsResume, nowMs, random).kind === "admitted") admitted += 1;
  return admitted;
};

describe("the handshake bucket", () => {
  test("admits a burst of newcomers, and then holders of a resume out of their reserve", () => {
    const bucket = new HandshakeBucket({ perSecond: 100, burst: 100 }, 0);
    expect(count(bucket, 500, false, 0)).toBe(100);
    expect(count(bucket, 500, true, 0)).toBe(100 * limits.handshakeReserveShare);
    expect(count(bucket, 500, true, 100)).toBe(10);
  });

  test("while holders of a resume take all, newcomers wait", () => {
    const bucket = new HandshakeBucket({ perSecond: 100, burst: 100 }, 0);
    count(bucket, 500, true, 0);
    for (let nowMs = 100; nowMs <= 2000; nowMs += 100) {
      expect(count(bucket, 50, true, nowMs)).toBe(10);
      expect(count(bucket, 50, false, nowMs)).toBe(0);
    }
  });

  test("a bucket of one a second still admits one", () => {
    const bucket = new HandshakeBucket({ perSecond: 1, burst: 1 }, 0);
    expect(count(bucket, 5, false, 0)).toBe(1);
    expect(count(bucket, 5, false, 1000)).toBe(1);
  });

  test("never admits more than the rate and what the bucket holds, in any span", () => {
    const attempt = fc.tuple(fc.boolean(), fc.nat(50));
    fc.assert(
      fc.property(
        fc.array(attempt, { maxLength: 300 }),
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 1, max: 50 }),
        (attempts, perSecond, burst) => {
          const bucket = new HandshakeBucket({ perSecond, burst }, 0);
          const admittedAtMs: number[] = [];
          let nowMs = 0;
          for (const [holdsResume, laterMs] of attempts) {
            nowMs += laterMs;
            if (bucket.admit(holdsResume, nowMs, 0).kind === "admitted") admittedAtMs.push(nowMs);
          }
          const capacity = burst + Math.floor(burst * limits.handshakeReserveShare);
          for (const [index, fromMs] of admittedAtMs.entries()) {
            const spanMs = (admittedAtMs.at(-1) ?? 0) - fromMs;
            expect(admittedAtMs.length - index).toBeLessThanOrEqual(capacity + (spanMs * perSecond) / 1000 + 1e-6);
          }
        },
      ),
    );
  });

  test("the refused come back spread over the time the queue needs: no 100 ms brings much more than its share", () => {
    const perSecond = 1000;
    const bucket = new HandshakeBucket({ perSecond, burst: 1 }, 0);
    count(bucket, 10, true, 0);
    const returns = new Map<number, number>();
    let seed = 1;
    for (let i = 0; i < 10_000; i++) {
      seed = (seed * 48_271) % 2_147_483_647;
      const admission = bucket.admit(false, 0, seed / 2_147_483_647);
      if (admission.kind === "admitted") continue;
      const slice = Math.floor(admission.retryAfterMs / 100);
      returns.set(slice, (returns.get(slice) ?? 0) + 1);
    }
    for (const [slice, arrivals] of returns) if (slice >= 4) expect(arrivals, `at ${slice * 100} ms`).toBeLessThan(perSecond * 0.1 * 1.6);
    expect(Math.max(...returns.keys())).toBeGreaterThan(100);
    expect(Math.max(...returns.keys())).toBeLessThanOrEqual(150);
  });

  test("a retry is never sooner than the least, nor later than the most", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), fc.integer({ min: 1, max: 5000 }), (random, refused) => {
        const bucket = new HandshakeBucket({ perSecond: 10, burst: 1 }, 0);
        count(bucket, refused, false, 0);
        const admission = bucket.admit(false, 0, random);
        if (admission.kind === "admitted") return;
        expect(admission.retryAfterMs).toBeGreaterThanOrEqual(limits.handshakeRetryMinMs);
        expect(admission.retryAfterMs).toBeLessThanOrEqual(limits.handshakeRetryMaxMs);
      }),
      { numRuns: 30 },
    );
  });

  test("the queue is forgotten as time serves it", () => {
    const bucket = new HandshakeBucket({ perSecond: 10, burst: 1 }, 0);
    count(bucket, 101, false, 0);
    expect(bucket.admit(false, 0, 0.5)).toMatchObject({ retryAfterMs: 10_100 });
    count(bucket, 1, true, 9_000);
    expect(bucket.admit(true, 9_000, 0.5)).toMatchObject({ kind: "refused", retryAfterMs: 1_200 });
  });
});

describe("a connection's rate limit", () => {
  test("allows the burst at once, then the rate", () => {
    const limit = rateLimit(10, 20);
    let dueMs = 0;
    const take = (nowMs: number): boolean => {
      if (waitMs(limit, dueMs, nowMs) > 0) return false;
      dueMs = takeOne(limit, dueMs, nowMs);
      return true;
    };
    let allowed = 0;
    for (let i = 0; i < 100; i++) if (take(1_000_000)) allowed += 1;
    expect(allowed).toBe(20);
    expect(waitMs(limit, dueMs, 1_000_000)).toBe(100);
    expect(take(1_000_099)).toBe(false);
    expect(take(1_000_100)).toBe(true);
    expect(take(1_000_100)).toBe(false);
  });

  test("any two moments have at most the burst and the rate between them", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(200), { maxLength: 200 }),
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 1, max: 30 }),
        (gaps, rate, burst) => {
          const limit = rateLimit(rate, burst);
          let dueMs = 0;
          let nowMs = 0;
          const allowed: number[] = [];
          for (const gap of gaps) {
            nowMs += gap;
            if (waitMs(limit, dueMs, nowMs) > 0) continue;
            dueMs = takeOne(limit, dueMs, nowMs);
            allowed.push(nowMs);
          }
          for (const [index, fromMs] of allowed.entries()) {
            expect(allowed.length - index).toBeLessThanOrEqual(burst + ((nowMs - fromMs) * rate) / 1000 + 1e-6);
          }
        },
      ),
    );
  });
});
