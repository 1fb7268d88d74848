import { limits, type UserId } from "@pushfleet/protocol";
import { expect, test } from "vitest";
import { FailedResumes } from "./failed-resumes.js";

const user = (n: number) => `u${n}` as UserId;

test("a user's failures count once in a window, and again in the next", () => {
  const failed = new FailedResumes();
  expect([0, 1, 59_999].map((atMs) => failed.isFirst(user(1), 1000 + atMs))).toEqual([true, false, false]);
  expect(failed.isFirst(user(2), 5000)).toBe(true);
  expect([0, 1].map((atMs) => failed.isFirst(user(1), 1000 + limits.resumeFailureWindowMs + atMs))).toEqual([true, false]);
});

test("remembers no more users than its bound: those beyond it count each time", () => {
  const failed = new FailedResumes();
  for (let n = 0; n < limits.resumeFailuresRemembered; n++) failed.isFirst(user(n), 0);
  expect([1, 2].map(() => failed.isFirst(user(-1), 0))).toEqual([true, true]);
  expect(failed.isFirst(user(0), 0)).toBe(false);
});
