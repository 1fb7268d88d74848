import {
  type FleetSpecInput,
  type FleetStatus,
  fleetSpec,
  type GatewayReport,
  type Observed,
  type ObservedPod,
  type PodGrant,
  podName,
} from "../../operator/src/core/index.js";

/** Short ways to say what a planner sees, for tables of named rows. Everything not said is ordinary: a serving pod, a calm fleet. */

export const now = 1_000_000;

export interface PodSketch extends Partial<Omit<ObservedPod, "report" | "grant">> {
  readonly connections?: number;
  readonly report?: Partial<GatewayReport> | "none";
  readonly grant?: Partial<PodGrant>;
}

/** A serving pod of pool `default`, revision r1, that has the mark of epoch 1. */
export function pod(slot: number, sketch: PodSketch = {}): ObservedPod {
  const { connections = 0, report, grant, ...rest } = sketch;
  const name = podName("demo", rest.pool ?? "default", slot, rest.revision ?? "r1");
  return {
    ...{ name, uid: `uid-${name}`, version: "1", pool: "default", slot, revision: "r1", createdAtMs: now - 600_000 },
    ...{ phase: "running", ready: true, terminating: false },
    ...(report === "none" ? {} : { report: reportOf(connections, report) }),
    grant: grantOf(grant),
    ...rest,
  };
}

/** One whose process has not started. */
export function pendingPod(slot: number, sketch: PodSketch = {}): ObservedPod {
  return pod(slot, { phase: "pending", ready: false, report: "none", createdAtMs: now - 1_000, ...sketch });
}

/** One that moves its clients at `reconnectsPerSecond`, and whose gateway has accepted that. */
export function drainingPod(slot: number, sketch: PodSketch & { readonly rate: number }): ObservedPod {
  const { rate, grant, report, ...rest } = sketch;
  const serial = grant?.serial ?? 1;
  return pod(slot, {
    ready: false,
    report: report === "none" ? "none" : { state: "draining", remaining: rest.connections ?? 0, ...report },
    grant: {
      purpose: "drain",
      reason: "scaleDown",
      reconnectsPerSecond: rate,
      deadlineMs: now + 600_000,
      stragglerGraceMs: 30_000,
      serial,
      ...grant,
    },
    accepted: { epoch: grant?.epoch ?? 1, serial, atMs: now - 5_000, renewedAtMs: now - 1_000 },
    ...rest,
  });
}

function reportOf(connections: number, sketch: Partial<GatewayReport> = {}): GatewayReport {
  return {
    ...{ state: "serving", connections, effectiveMaxConnections: 1_000_000, handshakes: connections, resumed: 0 },
    ...{ reconnectsSent: 0, remaining: connections, epoch: 1 },
    ...sketch,
  };
}

export function grantOf(sketch: Partial<PodGrant> = {}): PodGrant {
  return {
    ...{ purpose: "serve", reason: "none", reconnectsPerSecond: 0, heldPerSecond: 0, deadlineMs: 0, stragglerGraceMs: 0 },
    ...{ epoch: 1, serial: 0, sinceMs: now - 600_000, extensions: 0 },
    ...sketch,
  } as PodGrant;
}

export interface FleetSketch {
  readonly spec?: Partial<FleetSpecInput>;
  readonly pool?: Partial<NonNullable<FleetSpecInput["pools"]>[number]>;
  readonly pods?: readonly ObservedPod[];
  readonly epoch?: number;
  readonly deleting?: boolean;
  readonly status?: FleetStatus | undefined;
}

/** A pool of soft 100 and hard 200 connections a pod, at least 1, at most 10 pods; a budget of 10 moves a second. */
export function fleet(sketch: FleetSketch = {}): Observed {
  const pool = {
    name: "default",
    revision: "r1",
    minReplicas: 1,
    maxReplicas: 10,
    softConnections: 100,
    hardConnections: 200,
    ...sketch.pool,
  };
  return {
    spec: fleetSpec({ name: "demo", pools: [pool], drain: { reconnectsPerSecond: 10 }, ...sketch.spec }),
    deleting: sketch.deleting ?? false,
    epoch: sketch.epoch ?? 1,
    pods: sketch.pods ?? [],
    status: sketch.status,
  };
}
