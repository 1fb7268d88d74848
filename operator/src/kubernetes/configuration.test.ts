import { validateConfiguration } from "@pushfleet/service";
import { expect, test } from "vitest";
import { operatorRefinements, operatorSchema } from "./configuration.js";

const faultsOf = (lease: object) => {
  const configured = validateConfiguration(operatorSchema, { lease }, operatorRefinements);
  return configured.kind === "faults" ? configured.faults.map(({ path, expected }) => `${path}: ${expected}`) : [];
};

test.each([
  [{}, []],
  [{ durationSeconds: 3.3, renewDeadlineSeconds: 2.3, retryPeriodSeconds: 0.4 }, []],
  [{ durationSeconds: 10, renewDeadlineSeconds: 10 }, ["lease.renewDeadlineSeconds: less than lease.durationSeconds (10)"]],
  [{ renewDeadlineSeconds: 2 }, ["lease.retryPeriodSeconds: less than lease.renewDeadlineSeconds (2) / 1.2"]],
  // Every request would have a tenth of a second.
  [
    { renewDeadlineSeconds: 14.9 },
    ["lease.renewDeadlineSeconds: 1 less than lease.durationSeconds (15) at least: in between the last writes of a leader end"],
  ],
])("of a Lease with %j is found: %j", (lease, expected) => {
  expect(faultsOf(lease)).toEqual(expected);
});
