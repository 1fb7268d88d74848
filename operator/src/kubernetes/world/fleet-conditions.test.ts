import { expect, test } from "vitest";
import { fleetSpec, plan } from "../../core/index.js";
import { type ConditionFacts, fleetConditions } from "./fleet-conditions.js";

const spec = fleetSpec({ name: "demo", pools: [{ name: "default", revision: "1a2b3c4d" }] });
const planned = plan({ spec, deleting: false, epoch: 1, pods: [], status: undefined }, 1_000).status.conditions;
const tuning = { type: "TuningVerified", status: "Unknown", reason: "NotMeasured", message: "" } as const;
const fine: ConditionFacts = { problems: [], warnings: [], refusals: [], podFaults: [], dryRun: false, tuning };
const conditionOf = (facts: Partial<ConditionFacts>, type: string) =>
  fleetConditions(planned, { ...fine, ...facts }).find((one) => one.type === type);
const missing = { reason: "SecretMissing", message: "create the Secret jwt" };

test("all of them are always there", () => {
  expect(fleetConditions(planned, fine).map((one) => one.type)).toEqual([
    ...["Available", "Progressing", "Degraded", "ScalingActive", "DrainBlocked", "RolloutPaused", "SpecAccepted", "TuningVerified"],
  ]);
});

test.each([
  ["Available", "False", "SecretMissing"],
  ["Progressing", "False", "SecretMissing"],
  ["Degraded", "True", "SecretMissing"],
  ["SpecAccepted", "False", "SecretMissing"],
])("a spec that cannot be followed: %s is %s, and says what to do", (type, status, reason) => {
  const condition = conditionOf({ problems: [missing] }, type);
  expect(condition).toMatchObject({ status, reason });
  expect(condition?.message).toContain("create the Secret jwt");
});

test("a warning is told, and nothing is wrong", () => {
  const warnings = [{ reason: "StoreVolatile", message: "kept in memory" }];
  expect(conditionOf({ warnings }, "SpecAccepted")).toMatchObject({
    status: "True",
    reason: "AcceptedWithWarnings",
    message: "kept in memory",
  });
  expect(conditionOf({ warnings }, "Degraded")).toMatchObject({ status: "False" });
});

test.each([
  [{ refusals: ["creating pods was refused: exceeded quota"] }, "WriteRefused", "exceeded quota"],
  [{ podFaults: ["demo-default-0: ErrImagePull"] }, "PodsFail", "ErrImagePull"],
])("%j makes it degraded, in words", (facts, reason, told) => {
  expect(conditionOf(facts, "Degraded")).toMatchObject({ status: "True", reason });
  expect(conditionOf(facts, "Degraded")?.message).toContain(told);
});

test("a refusal is also why it does not go on", () => {
  expect(conditionOf({ refusals: ["exceeded quota"] }, "Progressing")).toMatchObject({ status: "True", reason: "WriteRefused" });
});

test("with dryRun nothing is said to be changed, only what would be", () => {
  const condition = conditionOf({ dryRun: true }, "Progressing");
  expect(condition).toMatchObject({ status: "False", reason: "DryRun" });
  expect(condition?.message).toContain("would");
});

test("a message has a bound, however many pods have something to say", () => {
  const podFaults = Array.from({ length: 1_000 }, (_, index) => `demo-default-${index}: ErrImagePull`);
  expect(conditionOf({ podFaults }, "Degraded")?.message.length).toBeLessThanOrEqual(2_000);
});
