import { limits } from "@pushfleet/protocol";
import { expect, test } from "vitest";
import { newLease, newRegistration, newUser } from "./example-registrations.test-suite.js";
import { UnregistrationRetries } from "./unregistration-retries.js";

test("holds what failed until it is taken, the oldest given up at the bound (I6)", () => {
  const retries = new UnregistrationRetries();
  const all = Array.from({ length: limits.unregistrationRetriesMax + 2 }, () => newRegistration(newUser(), lease));
  for (const each of all) retries.add(each);
  expect(retries.size).toBe(limits.unregistrationRetriesMax);
  expect(retries.givenUp).toBe(2);
  expect(retries.take()).toEqual(all.slice(2));
  expect(retries.take()).toEqual([]);
});

const lease = newLease();
