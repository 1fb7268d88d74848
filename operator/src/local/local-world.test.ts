import { createLogger, ManualClock } from "@pushfleet/service";
import { expect, test } from "vitest";
import { fleetSpec, plan } from "../core/index.js";
import { type LocalGateway, LocalWorld } from "./local-world.js";

/** A gateway that serves, and whose moved clients come to what `reconnects` says. */
function servingGateway(reconnects: { readonly attempted: number; readonly failed: number }): LocalGateway {
  return {
    clientAddress: "127.0.0.1:1",
    status: () => ({ state: 1, effectiveMaxConnections: 100, resumeAttempts: reconnects.attempted, resumeFailures: reconnects.failed }),
    readiness: () => ({ kind: "ready" }),
    drain: () => ({ accepted: true }),
    abortDrain: () => ({ accepted: true }),
    metrics: async () => "",
    stop: async () => {},
  };
}

test("a rollout whose moved clients do not come back is seen, and pauses itself", async () => {
  const clock = new ManualClock(1_000_000);
  const reconnects = new Map<string, { attempted: number; failed: number }>();
  const startGateway = async ({ name }: { readonly name: string }) => {
    const totals = { attempted: 0, failed: 0 };
    reconnects.set(name, totals);
    return servingGateway(totals);
  };
  const world = new LocalWorld({ startGateway, passThrough: { setTargets: () => {} }, clock, logger: createLogger("local", "silent") });
  const spec = (revision: string) => fleetSpec({ name: "demo", pools: [{ name: "default", revision, minReplicas: 1, maxReplicas: 2 }] });
  const step = async (revision: string, before?: ReturnType<typeof plan>["status"]) => {
    const observed = world.observe(spec(revision), before);
    const next = plan(observed, clock.nowMs());
    await world.apply(next.actions);
    clock.advance(1_000);
    return { observed, status: next.status };
  };
  let { status } = await step("r1");
  for (let round = 0; round < 3; round++) ({ status } = await step("r2", status));
  expect(status.conditions.find(({ type }) => type === "RolloutPaused")?.status).toBe("False");
  Object.assign(reconnects.get("demo-default-0-r1") ?? {}, { attempted: 900, failed: 900 }); // of the old revision: no fault of the new one
  Object.assign(reconnects.get("demo-default-0-r2") ?? {}, { attempted: 200, failed: 50 });
  const { observed, status: paused } = await step("r2", status);
  expect(observed.reconnectFailures).toEqual({ attempted: 200, failed: 50 });
  expect(paused.conditions.find(({ type }) => type === "RolloutPaused")?.status).toBe("True");
});
