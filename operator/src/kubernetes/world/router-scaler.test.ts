import { limits } from "@pushfleet/protocol";
import { ManualClock } from "@pushfleet/service";
import { expect, test } from "vitest";
import { exampleFleet } from "../../../../test/support/example-fleet.js";
import { RouterScaler } from "./router-scaler.js";

const kafka = { brokers: ["kafka:9092"] };
const fleetOf = (router: object) => exampleFleet({ router: { minReplicas: 2, maxReplicas: 20, ...router } });

/** A scaler whose one running router (the object of another, which was evicted, is left) says this of how far it is behind. */
function scalerOf({ lag }: { readonly lag: number }) {
  const clock = new ManualClock();
  const pod = { metadata: { name: "demo-router-1" }, status: { podIP: "fd00::1" } };
  const evicted = { metadata: { name: "demo-router-0" }, status: { podIP: "fd00::2", phase: "Failed", reason: "Evicted" } };
  const asked: string[] = [];
  const parts = {
    clock,
    caches: { owned: new Map(), pods: { byIndex: () => [evicted, pod] } },
    fetchText: async (url: string) => {
      asked.push(url);
      if (!url.includes("fd00::1")) throw new Error("nobody listens");
      return `pushfleet_router_lag{topic="t"} ${lag}\n`;
    },
  };
  return { clock, asked, scaler: new RouterScaler(parts as unknown as ConstructorParameters<typeof RouterScaler>[0]) };
}

test("routers are scaled on how far they are behind, which each says itself", async () => {
  const { clock, asked, scaler } = scalerOf({ lag: 5 * limits.routerLagRecords });
  clock.advance(limits.routerLagPeriodMs);
  expect(await scaler.replicas(fleetOf({ kafka }))).toBe(5);
  expect(asked).toEqual(["http://[fd00::1]:9092/metrics"]);
});

test("a fleet whose Kafka was taken out of its spec goes back to minReplicas, one router at a time", async () => {
  const { clock, scaler } = scalerOf({ lag: 4 * limits.routerLagRecords });
  clock.advance(limits.routerLagPeriodMs);
  expect(await scaler.replicas(fleetOf({ kafka }))).toBe(4);
  const seen: number[] = [];
  for (let passedMs = 0; passedMs <= 3 * limits.routerStabilizationMs; passedMs += limits.routerLagPeriodMs) {
    clock.advance(limits.routerLagPeriodMs);
    seen.push(await scaler.replicas(fleetOf({})));
  }
  expect([...new Set(seen)]).toEqual([4, 3, 2]);
});
