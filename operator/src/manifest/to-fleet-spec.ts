import { type FleetSpec, fleetSpec } from "../core/index.js";
import type { PushGatewaySpec } from "../generated/push-gateway.js";
import { poolRevision } from "../kubernetes/objects/revisions.js";
import type { Manifest } from "./parse-manifest.js";
import { fillPools } from "./pool-replicas.js";

/** The planner's view of a manifest. A pool's revision moves with what its gateways are made of, not with how many there are. */
export function toFleetSpec(manifest: Manifest): FleetSpec {
  const { spec } = manifest;
  const { gateway, autoscaling, drain, rollout } = spec;
  const replicas = replicasOfPools(spec);
  return fleetSpec({
    name: manifest.name,
    pools: spec.pools.map((pool, index) => ({
      name: pool.name,
      revision: poolRevision(spec, pool),
      minReplicas: pool.minReplicas,
      maxReplicas: pool.maxReplicas,
      softConnections: pool.softConnections,
      hardConnections: pool.hardConnections,
      replicas: replicas?.[index],
    })),
    handshakesPerSecond: gateway.limits.handshakesPerSecond,
    autoscaling: { mode: autoscaling.mode, stabilizationMs: autoscaling.stabilizationSeconds * 1000 },
    drain: {
      reconnectsPerSecond: drain.reconnectsPerSecond,
      deadlineMs: drain.deadlineSeconds * 1000,
      stragglerGraceMs: drain.stragglerGraceSeconds * 1000,
    },
    rollout: {
      maxSurge: rollout.maxSurge,
      soakMs: rollout.soakSeconds * 1000,
      maxReconnectFailurePercent: rollout.maxReconnectFailurePercent,
      paused: rollout.paused,
    },
    dryRun: spec.dryRun,
  });
}

/** How many gateways each pool is to have when not the planner decides; nothing when it does. */
function replicasOfPools({ autoscaling, pools, replicas }: PushGatewaySpec): readonly number[] | undefined {
  // Without spec.replicas (which a rule asks for with External) the floor stands: never a surprise of a thousand gateways, never none.
  return autoscaling.mode === "External" ? fillPools(pools, replicas ?? 0) : undefined;
}
