import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Beating, HeartbeatWheel, idleBeat } from "./heartbeat-wheel.js";

interface Peer extends Beating {
  readonly name: number;
  pings: number[];
}
const peer = (name = 0): Peer => ({ ...idleBeat, name, pings: [] });

/** Ticks like a timer would, from `fromMs` (exclusive) to `toMs`; peers in `answering` pong at once. */
function run(wheel: HeartbeatWheel<Peer>, fromMs: number, toMs: number, answering: (peer: Peer) => boolean): Map<number, number> {
  const expiredAtMs = new Map<number, number>();
  for (let nowMs = fromMs + wheel.slotMs; nowMs <= toMs + 1e-6; nowMs += wheel.slotMs) {
    wheel.tick(
      nowMs,
      (c) => {
        c.pings.push(nowMs);
        if (answering(c)) wheel.pong(c);
      },
      (c) => {
        expiredAtMs.set(c.name, nowMs);
        wheel.remove(c);
      },
    );
  }
  return expiredAtMs;
}

describe("the heartbeat wheel", () => {
  test("has 30 slots of a second for 30 s, and shorter ones for a test's 200 ms", () => {
    expect(new HeartbeatWheel({ intervalMs: 30_000, timeoutMs: 90_000 }, 0).slotMs).toBe(1000);
    expect(new HeartbeatWheel({ intervalMs: 200, timeoutMs: 600 }, 0).slotMs).toBe(20);
  });

  test.each([
    [30_000, 90_000],
    [200, 600],
    [1000, 2500],
    [45_000, 100_000],
  ])("interval %i ms, time-out %i ms: pings once an interval, expires the silent in time, and nobody else", (intervalMs, timeoutMs) => {
    const wheel = new HeartbeatWheel<Peer>({ intervalMs, timeoutMs }, 0);
    const peers: Peer[] = [];
    const endMs = intervalMs * 20;
    for (let i = 0; i < 20; i++) {
      const added = peer(i);
      peers.push(added);
      wheel.add(added);
      run(wheel, i * wheel.slotMs, (i + 1) * wheel.slotMs, (c) => c.name % 2 === 0);
    }
    const expired = run(wheel, 20 * wheel.slotMs, endMs, (c) => c.name % 2 === 0);
    for (const { name, pings } of peers) {
      for (const [index, pingMs] of pings.entries()) if (index > 0) expect(pingMs - (pings[index - 1] ?? 0)).toBeCloseTo(intervalMs, 3);
      if (name % 2 === 0) {
        expect(expired.has(name)).toBe(false);
        continue;
      }
      const silentMs = (expired.get(name) ?? Number.POSITIVE_INFINITY) - name * wheel.slotMs;
      expect(silentMs).toBeGreaterThanOrEqual(timeoutMs);
      expect(silentMs).toBeLessThanOrEqual(timeoutMs + 3 * wheel.slotMs);
    }
    expect(wheel.size).toBe(10);
  });

  test("one that stops answering is expired within the time-out and an interval", () => {
    const wheel = new HeartbeatWheel<Peer>({ intervalMs: 30_000, timeoutMs: 90_000 }, 0);
    wheel.add(peer(1));
    let answered = 0;
    const expired = run(wheel, 0, 600_000, () => ++answered <= 5);
    expect(expired.get(1)).toBeGreaterThanOrEqual(150_000 + 90_000);
    expect(expired.get(1)).toBeLessThanOrEqual(150_000 + 120_000);
  });

  test("a stall of our own expires nobody: pongs that came meanwhile were not read", () => {
    const wheel = new HeartbeatWheel<Peer>({ intervalMs: 30_000, timeoutMs: 90_000 }, 0);
    for (let i = 0; i < 100; i++) wheel.add(peer(i));
    run(wheel, 0, 60_000, () => true);
    let pings = 0;
    wheel.tick(
      260_000,
      () => pings++,
      () => expect.fail("expired"),
    );
    expect(pings).toBe(100);
  });

  test("ticks that come early or late lose no slot", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 2500 }), { minLength: 200, maxLength: 200 }), (gaps) => {
        const wheel = new HeartbeatWheel<Peer>({ intervalMs: 30_000, timeoutMs: 90_000 }, 0);
        const only = peer();
        wheel.add(only);
        let nowMs = 0;
        for (const gap of gaps) {
          nowMs += gap;
          wheel.tick(
            nowMs,
            (c) => {
              c.pings.push(nowMs);
              wheel.pong(c);
            },
            () => expect.fail("expired"),
          );
        }
        expect(only.pings.length).toBe(Math.floor(Math.floor(nowMs / 1000) / 30));
      }),
    );
  });

  test("whatever is added and removed, before or within a tick, each one on the wheel is pinged", () => {
    const command = fc.oneof(
      fc.record({ kind: fc.constant("add" as const), name: fc.nat(20) }),
      fc.record({ kind: fc.constant("remove" as const), name: fc.nat(20) }),
      fc.record({ kind: fc.constant("tick" as const), removing: fc.array(fc.nat(20), { maxLength: 3 }) }),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 300 }), (commands) => {
        const wheel = new HeartbeatWheel<Peer>({ intervalMs: 5000, timeoutMs: 1e9 }, 0);
        const peers = Array.from({ length: 21 }, (_, i) => peer(i));
        const addedAtMs = new Map<Peer, number>();
        let nowMs = 0;
        const remove = (name: number) => {
          const gone = peers[name];
          if (gone === undefined) return;
          wheel.remove(gone);
          addedAtMs.delete(gone);
          gone.pings = [];
        };
        for (const step of commands) {
          const named = "name" in step ? peers[step.name] : undefined;
          if (step.kind === "add" && named !== undefined && !addedAtMs.has(named)) {
            wheel.add(named);
            addedAtMs.set(named, nowMs);
          }
          if (step.kind === "remove") remove(step.name);
          if (step.kind === "tick") {
            nowMs += wheel.slotMs;
            wheel.tick(
              nowMs,
              (c) => {
                c.pings.push(nowMs);
                for (const name of step.removing) remove(name);
              },
              () => expect.fail("expired"),
            );
          }
          expect(wheel.size).toBe(addedAtMs.size);
          for (const [onWheel, sinceMs] of addedAtMs) {
            expect(new Set(onWheel.pings).size).toBe(Math.floor((nowMs - sinceMs) / 5000));
          }
        }
      }),
    );
  });
});
