import { describe, expect, test } from "vitest";
import { completeSpec, smallestSpec } from "../../../../test/support/example-fleet.js";
import { fleetProblems, type KnownSurroundings } from "./fleet-problems.js";

const known: KnownSurroundings = { name: "demo", otherFleets: [], collisions: [], secrets: new Map([["jwt", { key: 32 }]]) };
const problems = (over: object, facts: Partial<KnownSurroundings> = {}) =>
  fleetProblems(completeSpec({ ...smallestSpec, ...over }), { ...known, ...facts });
const said = (over: object, facts: Partial<KnownSurroundings> = {}) => problems(over, facts).map((one) => `${one.severity} ${one.reason}`);
const volatile = "warning StoreVolatile";

describe("why a spec cannot be followed", () => {
  test("the smallest fleet has only the warning about its store", () => {
    expect(said({})).toEqual([volatile]);
  });

  const auth = smallestSpec.gateway.auth;
  const redis = (url: string, more: object = {}) => ({ registry: { kind: "Redis", url, ...more } });
  test.each<[string, object, Partial<KnownSurroundings>]>([
    ["error RegistryMissing", { registry: undefined }, {}],
    ["error RegistryMissing", { registry: { kind: "Memory" } }, {}],
    ["error StoreMissing", { store: undefined }, {}],
    ["error StoreUnsupported", { store: { kind: "Redis", url: "redis://redis:6379" } }, {}],
    ["error StoreUnsupported", { store: { kind: "Cassandra", contactPoints: ["c"], localDataCenter: "dc1", keyspace: "k" } }, {}],
    ["error StoreNotShared", { router: { minReplicas: 1, maxReplicas: 2 } }, {}],
    ["error KeySourceMissing", { gateway: {} }, {}],
    ["error SecretMissing", {}, { secrets: new Map() }],
    ["error SecretIncomplete", {}, { secrets: new Map([["jwt", { other: 32 }]]) }],
    ["error SecretIncomplete", {}, { secrets: new Map([["jwt", { key: 0 }]]) }],
    ["warning KeyTooShort", {}, { secrets: new Map([["jwt", { key: 10 }]]) }],
    ["error SecretMissing", { gateway: { auth, tls: { secretName: "clients" } } }, {}],
    ["error SecretMissing", { certificateAuthority: { secretName: "ca" } }, {}],
    ["error AddressInvalid", redis("redis://"), {}],
    ["error AddressInvalid", redis("redis:// redis"), {}],
    ["error AddressInvalid", redis("redis://redis:99999"), {}],
    ["error AddressInvalid", { gateway: { auth: { jwksUrl: "https://" } } }, {}],
    ["error AddressInvalid", { router: { minReplicas: 1, maxReplicas: 1, kafka: { brokers: ["a b:9092"] } } }, {}],
    ["error KeyPrefixInvalid", redis("redis://redis:6379", { keyPrefix: "a b" }), {}],
    ["warning PasswordInSpec", redis("redis://me:secret@redis:6379"), {}],
    ["error NamesClash", {}, { otherFleets: ["demo-router"] }],
    ["error NamesClash", {}, { name: "demo-gateways", otherFleets: ["demo"] }],
    ["error KeyPrefixShared", {}, { collisions: [{ field: "registry.keyPrefix", value: "", other: { namespace: "a", name: "b" } }] }],
    ["error GroupShared", {}, { collisions: [{ field: "router.kafka.groupId", value: "x", other: { namespace: "a", name: "b" } }] }],
    ["warning SysctlInvalid", { pools: [{ name: "a", tuning: { sysctls: { "net.ipv4.route.flush": "1" } } }] }, {}],
    ["warning LoadBalancerTooSmall", { loadBalancer: { kind: "HAProxy" } }, {}],
    ["warning ReplicasOutOfBounds", { autoscaling: { mode: "External" }, replicas: 50, pools: [{ name: "a", maxReplicas: 2 }] }, {}],
    ["warning ReplicasOutOfBounds", { autoscaling: { mode: "External" }, replicas: 1, pools: [{ name: "a", minReplicas: 2 }] }, {}],
    ["warning DrainTooSlow", { drain: { reconnectsPerSecond: 100 } }, {}],
    ["warning DrainTooSlow", { drain: { deadlineSeconds: 50 }, pools: [{ name: "a", softConnections: 1, hardConnections: 1 }] }, {}],
  ])("%s for %j with %j", (expected, over, facts) => {
    const found = problems(over, facts);
    expect(found.map((one) => `${one.severity} ${one.reason}`)).toContain(expected);
    for (const { path, message, reason } of found) {
      expect(path).toMatch(/^(spec|metadata)\./);
      expect(message.length).toBeGreaterThan(30);
      expect(reason).toMatch(/^[A-Z][A-Za-z0-9]+$/);
    }
  });

  test.each<[string, object, Partial<KnownSurroundings>]>([
    ["NamesClash", {}, { otherFleets: ["other", "demo-routers"] }],
    ["LoadBalancerTooSmall", { loadBalancer: { kind: "HAProxy" }, gateway: { auth, extraPorts: [8081, 8082, 8083] } }, {}],
    ["StoreNotShared", {}, {}],
    ["DrainTooSlow", { drain: { deadlineSeconds: 1360 } }, {}],
    ["ReplicasOutOfBounds", { autoscaling: { mode: "External" }, replicas: 2, pools: [{ name: "a", minReplicas: 2, maxReplicas: 3 }] }, {}],
  ])("no %s for %j with %j", (reason, over, facts) => {
    expect(problems(over, facts).map((one) => one.reason)).not.toContain(reason);
  });

  test("a drain that cannot be over in time is told with the numbers and what would do, before any is due", () => {
    const [told] = problems({ drain: { deadlineSeconds: 1359 } }).filter((one) => one.reason === "DrainTooSlow");
    expect(told?.message).toBe(
      "a full gateway of pool default needs 2 × 650000 connections ÷ 1000/s + 30 s to settle + 30 s grace = 1360 s to drain, over the deadline of " +
        "1359 s; raise drain.reconnectsPerSecond to 1001 or raise drain.deadlineSeconds to 1360: until then it is never drained while it is so full",
    );
  });

  test("errors come first", () => {
    expect(said({ registry: undefined })).toEqual(["error RegistryMissing", volatile]);
  });
});

describe("pools on the same nodes", () => {
  const taint = (key: string) => ({ key, operator: "Exists", effect: "NoSchedule" });
  test.each<[string, object, object, boolean]>([
    ["neither selects", {}, {}, true],
    ["the same selector", { nodeSelector: { role: "a" } }, { nodeSelector: { role: "a" } }, true],
    ["one inside the other", {}, { nodeSelector: { role: "a" } }, true],
    ["one inside the other", { nodeSelector: { role: "a", zone: "1" } }, { nodeSelector: { role: "a" } }, true],
    ["different values", { nodeSelector: { role: "a" } }, { nodeSelector: { role: "b" } }, false],
    ["different labels", { nodeSelector: { role: "a" } }, { nodeSelector: { disk: "ssd" } }, false],
    ["tainted nodes of the narrower", {}, { nodeSelector: { role: "a" }, tolerations: [taint("a")] }, false],
    ["a taint both tolerate", { tolerations: [taint("a")] }, { nodeSelector: { role: "a" }, tolerations: [taint("a")] }, true],
    ["one tolerates all", { tolerations: [{ operator: "Exists" }] }, { nodeSelector: { role: "a" }, tolerations: [taint("a")] }, true],
    ["only the wider tolerates", { tolerations: [taint("a")] }, { nodeSelector: { role: "a" } }, true],
    ["no selectors, a taint each", { tolerations: [taint("a")] }, { tolerations: [taint("b")] }, false],
    ["no selectors, one taint", { tolerations: [taint("a")] }, {}, true],
    [
      "values of one taint",
      { tolerations: [{ key: "pool", value: "a" }] },
      { nodeSelector: { role: "b" }, tolerations: [{ key: "pool", value: "b" }] },
      false,
    ],
  ])("%s: %j and %j", (_, one, other, expected) => {
    for (const [a, b] of [
      [one, other],
      [other, one],
    ]) {
      const reasons = problems({
        pools: [
          { name: "one", ...a },
          { name: "two", ...b },
        ],
      }).map(({ reason }) => reason);
      expect(reasons.includes("PoolsOverlap")).toBe(expected);
    }
  });
});
