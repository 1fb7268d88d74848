import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseManifest } from "./parse-manifest.js";
import { fillPools } from "./pool-replicas.js";
import { toFleetSpec } from "./to-fleet-spec.js";

const small = { minReplicas: 1, maxReplicas: 3 };
const large = { minReplicas: 2, maxReplicas: 10 };

describe("spec.replicas fills the pools in their order, each to its minimum first", () => {
  test.each<readonly [string, readonly (typeof small)[], number, readonly number[]]>([
    ["fewer than the minimums are cut to them", [small, large], 1, [1, 2]],
    ["exactly the minimums", [small, large], 3, [1, 2]],
    ["one more goes to the first pool", [small, large], 4, [2, 2]],
    ["the first pool is full before the second grows", [small, large], 6, [3, 3]],
    ["exactly the maximums", [small, large], 13, [3, 10]],
    ["more than the maximums are cut to them", [small, large], 16_000, [3, 10]],
    ["the order of the list decides", [large, small], 4, [3, 1]],
    ["one pool", [large], 7, [7]],
    ["a pool that may not grow", [{ minReplicas: 2, maxReplicas: 2 }, large], 6, [2, 4]],
  ])("%s", (_what, pools, replicas, expected) => {
    expect(fillPools(pools, replicas)).toEqual(expected);
  });

  const bounds = fc.tuple(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 0, max: 50 }));
  test("whatever is asked for, every pool is within its bounds and the sum is as near as they allow", () => {
    fc.assert(
      fc.property(fc.array(bounds, { minLength: 1, maxLength: 16 }), fc.integer({ min: 1, max: 2_000 }), (given, replicas) => {
        const pools = given.map(([minReplicas, more]) => ({ minReplicas, maxReplicas: minReplicas + more }));
        const filled = fillPools(pools, replicas);
        const least = pools.reduce((sum, pool) => sum + pool.minReplicas, 0);
        const most = pools.reduce((sum, pool) => sum + pool.maxReplicas, 0);
        expect(filled.reduce((sum, count) => sum + count, 0)).toBe(Math.min(most, Math.max(least, replicas)));
        for (const [index, pool] of pools.entries()) {
          expect(filled[index]).toBeGreaterThanOrEqual(pool.minReplicas);
          expect(filled[index]).toBeLessThanOrEqual(pool.maxReplicas);
        }
      }),
    );
  });
});

function fleetOf(spec: string) {
  const parsed = parseManifest(`apiVersion: pushfleet.dev/v1alpha1\nkind: PushGateway\nmetadata: { name: demo }\nspec: ${spec}`);
  if (parsed.kind !== "manifest") throw new Error(JSON.stringify(parsed.faults));
  return toFleetSpec(parsed.manifest);
}

const pools = "pools: [{ name: a, minReplicas: 1, maxReplicas: 3 }, { name: b, minReplicas: 2, maxReplicas: 10 }]";

describe("the planner's view of a manifest", () => {
  test.each([
    ["External", "{ mode: External }, replicas: 7", [3, 4]],
    ["Builtin, which does not read spec.replicas", "{ mode: Builtin }, replicas: 7", [undefined, undefined]],
    ["None, which stays at the minimums", "{ mode: None }, replicas: 7", [undefined, undefined]],
  ])("asks for replicas of each pool with mode %s", (_what, autoscaling, expected) => {
    expect(fleetOf(`{ autoscaling: ${autoscaling}, ${pools} }`).pools.map((pool) => pool.replicas)).toEqual(expected);
  });

  test("a revision moves with what gateways are made of, and with nothing else", () => {
    const revisionOf = (spec: string) => fleetOf(spec).pools[0]?.revision;
    const before = revisionOf("{ pools: [{ name: a }] }");
    for (const same of [
      "{ pools: [{ name: a, minReplicas: 5, maxReplicas: 50 }] }",
      "{ pools: [{ name: a }], drain: { reconnectsPerSecond: 7 }, rollout: { paused: true }, autoscaling: { stabilizationSeconds: 1 } }",
      "{ pools: [{ name: a }, { name: b }], loadBalancer: { service: { port: 81 } }, dryRun: true }",
    ])
      expect(revisionOf(same), same).toBe(before);
    for (const other of [
      "{ pools: [{ name: a, hardConnections: 650001 }] }",
      "{ pools: [{ name: a }], gateway: { heartbeat: { intervalSeconds: 20 } } }",
      '{ pools: [{ name: a }], gateway: { allowedOrigins: ["https://app.example.com"] } }',
    ])
      expect(revisionOf(other), other).not.toBe(before);
  });
});
