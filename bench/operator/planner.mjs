import { fleetSpec, plan, podName } from "@pushfleet/operator";
import { median } from "../statistics.mjs";

const pods = 500;
const startMs = 1_000_000_000;

/** plan() for one fleet of 500 pods, each with a status that moves, with what it remembers from plan to plan.
 * @param {number} plans @returns {Promise<{ medianMs: number }>} */
export async function measurePlanner(plans) {
  const pool = { name: "default", revision: "r1", minReplicas: pods, maxReplicas: pods, softConnections: 50_000, hardConnections: 60_000 };
  const spec = fleetSpec({ name: "demo", pools: [pool], drain: { reconnectsPerSecond: 1000 } });
  /** @type {import("@pushfleet/operator").FleetStatus | undefined} */
  let status;
  const times = [];
  for (let round = 0; round < plans; round++) {
    const nowMs = startMs + 5_000 * round;
    const observed = {
      spec,
      deleting: false,
      epoch: 1,
      pods: Array.from({ length: pods }, (_, slot) => observedPod(slot, round, nowMs)),
      status,
    };
    const beganMs = performance.now();
    const planned = plan(observed, nowMs);
    times.push(performance.now() - beganMs);
    status = planned.status;
  }
  return { medianMs: median(times.slice(plans >> 2)) };
}

/** @param {number} slot @param {number} round @param {number} nowMs @returns {import("@pushfleet/operator").ObservedPod} */
function observedPod(slot, round, nowMs) {
  const name = podName("demo", "default", slot, "r1");
  const connections = 20_000 + ((slot * 31 + round * 17) % 200);
  return {
    name,
    uid: `uid-${name}`,
    version: "1",
    pool: "default",
    slot,
    revision: "r1",
    createdAtMs: startMs - 600_000,
    node: `node-${slot % 50}`,
    zone: `zone-${slot % 3}`,
    phase: "running",
    ready: true,
    terminating: false,
    grant: {
      purpose: "serve",
      reason: "none",
      reconnectsPerSecond: 0,
      heldPerSecond: 0,
      deadlineMs: 0,
      stragglerGraceMs: 0,
      epoch: 1,
      serial: 0,
      sinceMs: startMs - 600_000,
      extensions: 0,
    },
    accepted: { epoch: 1, serial: 0, atMs: nowMs - 5_000, renewedAtMs: nowMs - 1_000 },
    report: {
      state: "serving",
      connections,
      effectiveMaxConnections: 60_000,
      handshakes: 20_000 + round,
      resumed: 0,
      reconnectsSent: 0,
      remaining: connections,
      epoch: 1,
    },
  };
}
