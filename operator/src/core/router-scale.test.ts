import { limits } from "@pushfleet/protocol";
import { expect, test } from "vitest";
import { scaleRouters } from "./router-scale.js";

const base = { minReplicas: 2, maxReplicas: 20, current: 4, lag: 0, shrinkableSinceMs: undefined, nowMs: 0 };
const { routerLagRecords: each, routerStabilizationMs: calm } = limits;

test.each([
  ["a new fleet has the least", { current: undefined }, 2],
  ["each share of lag wants a router, at once", { lag: 7 * each - 1 }, 7],
  ["never more than the most", { lag: 500 * each }, 20],
  ["a lag that nobody told changes nothing", { lag: undefined }, 4],
  ["but a bound that moved does", { lag: undefined, minReplicas: 6 }, 6],
  ["fewer only after a while", { shrinkableSinceMs: 0, nowMs: calm - 1 }, 4],
  ["then one", { shrinkableSinceMs: 0, nowMs: calm }, 3],
  ["one router stays one with the memory store", { minReplicas: 1, maxReplicas: 1, current: 1, lag: 500 * each }, 1],
])("%s", (_name, change, replicas) => {
  expect(scaleRouters({ ...base, ...change }).replicas).toBe(replicas);
});

test("a need in between starts the wait anew", () => {
  expect(scaleRouters({ ...base, lag: 4 * each, shrinkableSinceMs: 0, nowMs: calm }).shrinkableSinceMs).toBeUndefined();
});
