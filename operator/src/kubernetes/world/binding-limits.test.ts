import { expect, test } from "vitest";
import { type GatewayLimit, memoryWarnings, tuningVerified } from "./binding-limits.js";

const pools = [{ name: "default", hardConnections: 650_000, tuning: { nofile: 1_000_000 } }];
const gateway = (pod: string, effectiveMaxConnections: number, bindingLimit: string): GatewayLimit => ({
  ...{ pod, pool: "default", effectiveMaxConnections, bindingLimit },
});

test("a gateway with too few open files is named, with the line that would mend it", () => {
  const condition = tuningVerified([gateway("a", 13_976, "nofile"), gateway("b", 650_000, "maxConnections")], pools);
  expect(condition).toMatchObject({ type: "TuningVerified", status: "False", reason: "OpenFilesTooFew" });
  expect(condition.message).toMatch(/^a may hold 13976 connections only.*LimitNOFILE=1000000/);
});

test.each([
  [[], "no gateway reports"],
  [[gateway("a", 650_000, "maxConnections")], "open files are enough on all 1 gateways"],
])("what nobody measured is unknown: %j", (gateways, told) => {
  const condition = tuningVerified(gateways, pools);
  expect(condition).toMatchObject({ status: "Unknown", reason: "NotMeasured" });
  expect(condition.message).toContain(told);
});

test("memory that binds is a warning with both numbers", () => {
  const [warning, ...others] = memoryWarnings([gateway("a", 51_200, "memory"), gateway("b", 51_200, "memory")], pools);
  expect(others).toEqual([]);
  expect(warning?.message).toMatch(/may hold 51200 connections by their memory limit, not hardConnections 650000/);
});
