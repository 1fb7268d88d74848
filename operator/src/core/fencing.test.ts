import { limits } from "@pushfleet/protocol";
import { describe, expect, test } from "vitest";
import { fleet, grantOf, now, pod } from "../../../test/support/observed-fleet.js";
import { formatGrant, parseGrant } from "./grant-annotation.js";
import { type ObservedPod, plan, rivalOf } from "./index.js";

describe("two leaders, each with a Lease of its own", () => {
  const own = { epoch: 4, leader: "b" };

  test.each([
    ["nobody else's mark is no rival", [{ epoch: 4, leader: "b" }], "none"],
    ["a lower epoch is taken over", [{ epoch: 3, leader: "c" }], "none"],
    ["a higher epoch leads, whoever it is", [{ epoch: 5, leader: "a" }], "leads"],
    ["of one epoch the leader whose name comes later leads", [{ epoch: 4, leader: "c" }], "leads"],
    ["and the other one finds an equal, above whose epoch it has to rise", [{ epoch: 4, leader: "a" }], "equal"],
    ["one without a name comes before all", [{ epoch: 4 }], "equal"],
    ["the highest mark decides", [{ epoch: 4, leader: "a" }, { epoch: 4, leader: "c" }, { epoch: 1 }], "leads"],
    ["a pod without a mark says nothing", [undefined], "none"],
  ] as const)("%s", (_, marks, expected) => {
    expect(rivalOf(marks, own)).toBe(expected);
  });

  test.each(["a", "c"])("neither does anything as long as %s has the same epoch", (leader) => {
    const pods = [pod(0, { grant: { epoch: 4, leader } }), pod(1, { grant: own })];
    const { actions, status } = plan({ ...fleet({ pods, epoch: 4, pool: { minReplicas: 5 } }), leader: "b" }, now);
    expect(actions).toEqual([]);
    expect(status.conditions.find(({ type }) => type === "Degraded")?.reason).toBe("Deposed");
  });

  test("what a leader writes bears its name, and is read back with it", () => {
    const { actions } = plan({ ...fleet({ pods: [pod(0)], epoch: 4, pool: { minReplicas: 2 } }), leader: "b" }, now);
    const grants = actions.flatMap((action) => ("grant" in action ? [action.grant] : []));
    expect(grants.map(({ epoch, leader }) => ({ epoch, leader }))).toEqual([own, own]);
    for (const grant of grants) expect(parseGrant(formatGrant(grant))).toEqual(grant);
  });
});

describe("a pod on which a new leader may write nothing", () => {
  const pods = [pod(0, { connections: 50 }), pod(1, { connections: 50, refusesGrants: true, grant: { epoch: 1, leader: "a" } })];
  const marked = pods.map((one, index) => (index === 0 ? { ...one, grant: { ...grantOf(), epoch: 2 } } : one));
  const drained = (observed: readonly ObservedPod[], afterMs: number) => {
    const { status } = plan(fleet({ pods: observed, epoch: 2, deleting: true }), now);
    const { actions } = plan(fleet({ pods: observed, epoch: 2, deleting: true, status }), now + afterMs);
    return actions.flatMap((one) => (one.kind === "writeGrant" && one.pod === pods[0]?.name ? [one.grant.reconnectsPerSecond] : []));
  };

  test("does not keep the clients of the others from being moved, once a leader before it can be told nothing of it either", () => {
    expect(drained(marked, 2 * limits.grantRenewMs - 1)).toEqual([0]);
    expect(drained(marked, 2 * limits.grantRenewMs)).toEqual([5]);
  });

  test("is waited for where nobody has refused anything", () => {
    const open = marked.map((one) => ({ ...one, refusesGrants: false }));
    expect(drained(open, 2 * limits.grantRenewMs)).toEqual([0]);
  });

  test("keeps the rate that is written on it", () => {
    const moving = marked.map((one, index) =>
      index === 0 ? one : { ...one, grant: { ...grantOf(), purpose: "drain" as const, reconnectsPerSecond: 8, deadlineMs: now + 900_000 } },
    );
    const [rate = 0] = drained(moving, 2 * limits.grantRenewMs);
    expect(rate).toBe(2);
  });
});
