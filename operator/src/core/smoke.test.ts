import { test } from "vitest";
import { SimulatedWorld } from "../../../test/support/simulated-world.js";
import { SimulatedOperator } from "../../../test/support/simulated-operator.js";
import { fleetSpec, describeNext } from "./index.js";
test("smoke", () => {
  let s = 7; const random = () => ((s = (s * 1103515245 + 12345) % 2147483648) / 2147483648);
  const spec = fleetSpec({ name: "demo", pools: [{ name: "default", revision: "r1", minReplicas: 2, maxReplicas: 8, softConnections: 100, hardConnections: 160 }], autoscaling: { stabilizationMs: 5000 }, drain: { reconnectsPerSecond: 20, deadlineMs: 120000, stragglerGraceMs: 3000 }, rollout: { soakMs: 2000 } });
  const world = new SimulatedWorld(spec, random);
  const op = new SimulatedOperator({ world, epoch: 1, settings: { timeToReadyMs: 2000, arrivalHalfLifeMs: 3000 }, random, status: undefined });
  let last = "";
  for (let i = 0; i < 4000; i++) {
    world.step();
    if (i === 100) world.changeLoad(300);
    if (i === 600) world.changeLoad(-200);
    if (i === 2000) world.edit({ ...spec, pools: spec.pools.map((p) => ({ ...p, revision: "r2" })) });
    if (i % 300 === 0) world.churn(0.1);
    if (i % 10 === 0) {
      const acts = op.reconcile();
      const st = op.status!;
      const line = describeNext(st).replace(/\d+ s more|\d+ connections left|\d+ s to/g, "N");
      if (line !== last) console.log((i / 10).toFixed(0), st.pods.map((p) => `${p.slot}${p.revision}:${p.state}${p.connections}`).join(" "), "b", st.budget.inUse, "|", describeNext(st));
      last = line;
    }
  }
  console.log(world.violations.slice(0, 5));
  console.log(op.status!.conditions.map((c) => `${c.type}=${c.status} ${c.reason}: ${c.message}`).join("\n"));
});
