import { expect, test } from "vitest";
import { ManualClock } from "./manual-clock.js";

test("timers run in the order they are due, at the time they are due", () => {
  const clock = new ManualClock(1000);
  const seen: string[] = [];
  clock.after(20, () => seen.push(`b@${clock.nowMs()}`));
  clock.after(10, () => {
    seen.push(`a@${clock.nowMs()}`);
    clock.after(5, () => seen.push(`nested@${clock.nowMs()}`));
  });
  const cancel = clock.every(8, () => seen.push(`every@${clock.nowMs()}`));
  clock.after(1, () => seen.push("cancelled"))();
  clock.advance(17);
  cancel();
  clock.advance(100);
  expect(seen).toEqual(["every@1008", "a@1010", "nested@1015", "every@1016", "b@1020"]);
  expect(clock.nowMs()).toBe(1117);
});

test("setting the wall clock leaves ages and timers alone", () => {
  const clock = new ManualClock(1000);
  let ran = false;
  clock.after(10, () => {
    ran = true;
  });
  clock.setWall(5);
  expect(clock.nowMs()).toBe(5);
  clock.advance(10);
  expect(ran).toBe(true);
  expect(clock.monotonicMs()).toBe(10);
});
