import { stat } from "node:fs";
import { systemClock } from "@pushfleet/service";
import { expect, test } from "vitest";
import { startDeadline } from "./deadline.js";

const timeoutMs = 5;

test("an answer that came in time while the process was busy is no answer too late", async () => {
  await new Promise((resolve) => setImmediate(resolve)); // the next phase of the event loop is that of timers
  const deadline = startDeadline(systemClock, timeoutMs, undefined);
  const isLate = new Promise<boolean>((resolve) => {
    stat(".", () => resolve(deadline.timedOut));
  });
  const startedAtMs = performance.now();
  while (performance.now() - startedAtMs < 20 * timeoutMs) Math.sqrt(performance.now());
  expect(await isLate).toBe(false);
  deadline.release();
});

test("without an answer it ends at its time, and no more once it is released", async () => {
  const [first, second] = [startDeadline(systemClock, timeoutMs, undefined), startDeadline(systemClock, timeoutMs, undefined)];
  second.release();
  await new Promise((resolve) => first.signal.addEventListener("abort", resolve));
  expect([first.timedOut, second.timedOut]).toEqual([true, false]);
  expect(first.signal.reason).toEqual(new Error(`no answer within ${timeoutMs} ms`));
});
