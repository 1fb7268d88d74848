import { describe, test } from "vitest";
import { observePeer, type PeerName, type PeerState } from "./peer-state.mjs";

export type { PeerName } from "./peer-state.mjs";

export type SuitePlan =
  | { readonly kind: "run" }
  | { readonly kind: "skip"; readonly reason: string }
  | { readonly kind: "fail"; readonly reason: string };

/**
 * A suite that needs real peers: `describeWithPeers(["redis", "kafka-server"], "the router", () => { … })`. Where one cannot
 * be had, its tests are skipped by name, with the reason in the suite's name; under CI=true the suite fails instead. It starts
 * nothing: the suite's `beforeAll` does, with `useRedis`, `startKafka` and so on.
 */
export function describeWithPeers(peers: readonly PeerName[], suite: string, define: () => void): void {
  const plan = planSuite(
    peers.map((peer) => [peer, observePeer(peer)]),
    process.env["CI"] === "true",
  );
  switch (plan.kind) {
    case "run":
      return void describe(suite, define);
    case "skip":
      return void describe.skip(`${suite} [${plan.reason}]`, define);
    case "fail":
      return void describe(suite, () => {
        test("has its peers", () => {
          throw new Error(plan.reason);
        });
      });
  }
}

/** What becomes of a suite with these peers. The reason names each missing one and what to do about it. */
export function planSuite(peers: readonly (readonly [PeerName, PeerState])[], isCi: boolean): SuitePlan {
  const reasons = peers.flatMap(([peer, state]) => (state.kind === "missing" ? [`${peer}: ${state.reason}`] : []));
  if (reasons.length === 0) return { kind: "run" };
  return { kind: isCi ? "fail" : "skip", reason: reasons.join("; ") };
}
