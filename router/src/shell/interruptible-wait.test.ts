import { ManualClock } from "@pushfleet/service";
import { expect, test } from "vitest";
import { InterruptibleWait } from "./interruptible-wait.js";

const settled = async (promise: Promise<void>): Promise<boolean> => {
  let isSettled = false;
  void promise.then(() => {
    isSettled = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  return isSettled;
};

test("a sleep ends after its time, or at the stop; after the stop there is none", async () => {
  const clock = new ManualClock();
  const wait = new InterruptibleWait(clock);
  const first = wait.sleep(100);
  clock.advance(99);
  expect(await settled(first)).toBe(false);
  clock.advance(1);
  expect(await settled(first)).toBe(true);

  const second = wait.sleep(100);
  expect([await settled(second), wait.isStopped]).toEqual([false, false]);
  wait.stop();
  expect([await settled(second), wait.isStopped]).toEqual([true, true]);
  expect(await settled(wait.sleep(100))).toBe(true);
});

test("a wait for the stop ends with it", async () => {
  const wait = new InterruptibleWait(new ManualClock());
  const waiting = wait.untilStopped();
  expect(await settled(waiting)).toBe(false);
  wait.stop();
  expect(await settled(waiting)).toBe(true);
  expect(await settled(wait.untilStopped())).toBe(true);
});
