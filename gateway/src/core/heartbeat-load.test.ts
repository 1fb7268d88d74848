import { limits } from "@pushfleet/protocol";
import { expect, test } from "vitest";
import { type Beating, HeartbeatWheel, idleBeat } from "./heartbeat-wheel.js";

/** A thousandth of 5 million, so that its counts are thousands. */
const connections = 5_000;
const inAFleet = 5_000_000 / connections;

/** Frames in each second (a PING and a PONG) once every connection is there, for `seconds`. They arrive evenly over an interval. */
function framesInEachSecond(intervalMs: number, seconds: number): readonly number[] {
  const wheel = new HeartbeatWheel<Beating>({ intervalMs, timeoutMs: intervalMs * 3 }, 0);
  const slots = Math.round(intervalMs / wheel.slotMs);
  const frames: number[] = [];
  for (let slot = 0; slot < slots; slot += 1) {
    const until = Math.round((connections * (slot + 1)) / slots);
    while (wheel.size < until) wheel.add({ ...idleBeat });
    wheel.tick((slot + 1) * wheel.slotMs, () => {}, ignored);
  }
  for (let second = 0; second < seconds; second += 1) {
    let count = 0;
    const ticks = Math.round(1000 / wheel.slotMs);
    for (let tick = 1; tick <= ticks; tick += 1) {
      wheel.tick(
        intervalMs + second * 1000 + tick * wheel.slotMs,
        (connection) => {
          wheel.pong(connection);
          count += 2;
        },
        ignored,
      );
    }
    frames.push(count * inAFleet);
  }
  return frames;
}
const ignored = (): void => {};

test("at an interval of 30 s heartbeats of 5 million connections are a steady 333,000 frames a second", () => {
  for (const frames of framesInEachSecond(limits.heartbeatIntervalMs, 90)) {
    expect(frames).toBeGreaterThan(330_000);
    expect(frames).toBeLessThan(336_000);
  }
});

test("at 5 s they would be 2 million frames a second", () => {
  expect(framesInEachSecond(5_000, 30)).toEqual(Array(30).fill(2_000_000));
});

test("at 5 min a dead connection would be found after five minutes and more, at 30 s it is after 90 s to 2 min", () => {
  const foundAfterMs = (intervalMs: number, timeoutMs: number): number => {
    const wheel = new HeartbeatWheel<Beating>({ intervalMs, timeoutMs }, 0);
    const dead = { ...idleBeat };
    wheel.add(dead);
    let foundMs: number | undefined;
    for (let nowMs = wheel.slotMs; foundMs === undefined && nowMs < 3_600_000; nowMs += wheel.slotMs) {
      wheel.tick(nowMs, ignored, (connection) => {
        wheel.remove(connection);
        foundMs = nowMs;
      });
    }
    return foundMs ?? Number.POSITIVE_INFINITY;
  };
  expect(foundAfterMs(300_000, 301_000)).toBeGreaterThan(300_000);
  expect(foundAfterMs(limits.heartbeatIntervalMs, limits.heartbeatTimeoutMs)).toBeGreaterThanOrEqual(90_000);
  expect(foundAfterMs(limits.heartbeatIntervalMs, limits.heartbeatTimeoutMs)).toBeLessThanOrEqual(120_000);
});
