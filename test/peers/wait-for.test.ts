import { expect, test } from "vitest";
import { waitFor } from "./wait-for.js";

test("the first truthy value is returned, after errors and falsy ones", async () => {
  const looks = [
    () => undefined,
    () => {
      throw new Error("not there yet");
    },
    () => 0,
    () => "here",
  ];
  const value = await waitFor(() => looks.shift()?.(), { what: "the fourth look" });
  expect(value).toBe("here");
});

test("the error at the deadline says what was awaited and the last value", async () => {
  const waiting = waitFor(() => Promise.resolve(false), { what: "the lease to expire", deadlineMs: 30 });
  await expect(waiting).rejects.toThrow("waited 30 ms for the lease to expire; last value: false");
});

test("the error at the deadline has the last look's error as its cause", async () => {
  const refused = new Error("connection refused");
  const waiting = waitFor(() => Promise.reject(refused), { what: "an answer", deadlineMs: 30 });
  await expect(waiting).rejects.toMatchObject({ message: expect.stringContaining("connection refused"), cause: refused });
});

test("a look that hangs does not outlast the deadline", async () => {
  const waiting = waitFor(() => new Promise<boolean>(() => {}), { what: "an answer", deadlineMs: 30 });
  await expect(waiting).rejects.toThrow("the last look did not return");
});
