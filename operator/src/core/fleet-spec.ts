import type { FleetSpec, PoolSpec } from "./types.js";

/** Defaults of DESIGN §7, for what a manifest leaves out. `name` and each pool's `revision` have none. */
export function fleetSpec(given: FleetSpecInput): FleetSpec {
  const { name, pools = [], ...rest } = given;
  return {
    name,
    pools: pools.map((pool) => ({ ...defaultPool, ...defined(pool) })),
    handshakesPerSecond: rest.handshakesPerSecond ?? 5_000,
    autoscaling: { mode: "Builtin", stabilizationMs: 300_000, ...defined(rest.autoscaling ?? {}) },
    drain: { reconnectsPerSecond: 1_000, deadlineMs: 1_500_000, stragglerGraceMs: 30_000, ...defined(rest.drain ?? {}) },
    rollout: { maxSurge: 1, soakMs: 60_000, maxReconnectFailurePercent: 1, paused: false, ...defined(rest.rollout ?? {}) },
    dryRun: rest.dryRun ?? false,
  };
}

type Given<T> = { readonly [K in keyof T]?: T[K] | undefined };

export interface FleetSpecInput {
  readonly name: string;
  readonly pools?: readonly (Given<PoolSpec> & Pick<PoolSpec, "name" | "revision">)[] | undefined;
  readonly handshakesPerSecond?: number | undefined;
  readonly autoscaling?: Given<FleetSpec["autoscaling"]> | undefined;
  readonly drain?: Given<FleetSpec["drain"]> | undefined;
  readonly rollout?: Given<FleetSpec["rollout"]> | undefined;
  readonly dryRun?: boolean | undefined;
}

const defaultPool = { minReplicas: 3, maxReplicas: 10, softConnections: 500_000, hardConnections: 650_000 };

/** Without the fields that are undefined: they must not hide a default. */
function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}
