import { expect, test } from "vitest";
import { otherBudgets } from "./other-budgets.js";

const labels = { "pushfleet.dev/fleet": "demo", "app.kubernetes.io/component": "gateway" };
const pods = [{ apiVersion: "v1", kind: "Pod", metadata: { name: "demo-default-0-1a2b3c4d", labels } }];

test.each([
  ["a label of theirs", { matchLabels: { "pushfleet.dev/fleet": "demo" } }, true],
  ["everything", {}, true],
  ["nothing", undefined, false],
  ["another fleet", { matchLabels: { "pushfleet.dev/fleet": "other" } }, false],
  ["one label of theirs and one they have not", { matchLabels: { ...labels, app: "web" } }, false],
  ["a value of several", { matchExpressions: [{ key: "pushfleet.dev/fleet", operator: "In", values: ["other", "demo"] }] }, true],
  ["another value", { matchExpressions: [{ key: "pushfleet.dev/fleet", operator: "In", values: ["other"] }] }, false],
  ["a value of a label they have not", { matchExpressions: [{ key: "app", operator: "In", values: ["web"] }] }, false],
  ["all but others", { matchExpressions: [{ key: "pushfleet.dev/fleet", operator: "NotIn", values: ["other"] }] }, true],
  ["all but them", { matchExpressions: [{ key: "pushfleet.dev/fleet", operator: "NotIn", values: ["demo"] }] }, false],
  ["all but a label they have not", { matchExpressions: [{ key: "app", operator: "NotIn", values: ["web"] }] }, true],
  ["whoever has the label", { matchExpressions: [{ key: "pushfleet.dev/fleet", operator: "Exists" }] }, true],
  ["whoever has another", { matchExpressions: [{ key: "app", operator: "Exists" }] }, false],
  ["whoever has not the label", { matchExpressions: [{ key: "pushfleet.dev/fleet", operator: "DoesNotExist" }] }, false],
  ["whoever has not another", { matchExpressions: [{ key: "app", operator: "DoesNotExist" }] }, true],
])("a budget of somebody else's that selects %s is told or not", (_what, selector, isTold) => {
  const budget = { apiVersion: "policy/v1", kind: "PodDisruptionBudget", metadata: { name: "theirs" }, spec: { selector } };
  const told = otherBudgets("demo", pods, [budget]);
  expect(told).toEqual(
    isTold
      ? [expect.stringMatching(/PodDisruptionBudget theirs selects pods of this fleet \(gateway\), .*pushfleet.dev\/fleet: demo$/)]
      : [],
  );
});
