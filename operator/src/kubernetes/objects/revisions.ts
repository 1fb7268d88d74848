import { revisionOf } from "../../core/index.js";
import type { PushGatewaySpec } from "../../generated/push-gateway.js";
import type { Pool } from "./fleet.js";
import { haproxySizes } from "./haproxy-configuration.js";

/** What a pool's revision is a hash of: exactly what the user's spec says about the pod and about the configuration it reads once, at its start.
 *  Fields are picked by name: a newer schema that fills in a new default must not roll fleets whose users changed nothing, so a new field
 *  comes in here only where it differs from what its absence meant.
 *
 *  - `gateway.limits` is in: gateway.yaml is read at start, and two pods of one revision must not behave differently.
 *  - replicas, softConnections, `drain`, `rollout`, `autoscaling` are out: the operator tells a running gateway its drain, and a new pod has
 *    the drain of its day in its environment (instantiate-pod.ts).
 *  - `loadBalancer` is out: the gateways do not know what is before them.
 *  - `certificateAuthority` is out: certificates are loaded without a restart.
 *  - nothing of the operator is in: its images, its version, its way to make pods.
 *  - the pool's name is in, so that pool `b-c` of fleet `a` and pool `c` of fleet `a-b` never make pods of one name. */
export function templateInputs(spec: PushGatewaySpec, pool: Pool) {
  const { image, workers, resources, tls, auth, limits, heartbeat, allowedOrigins, extraPorts } = spec.gateway;
  const { profile, sysctls, unsafeSysctls, nofile } = pool.tuning;
  return {
    pool: pool.name,
    gateway: { image, workers, resources, tls, auth, limits, heartbeat, allowedOrigins, extraPorts },
    hardConnections: pool.hardConnections,
    nodeSelector: pool.nodeSelector,
    tolerations: pool.tolerations,
    topologySpreadConstraints: pool.topologySpreadConstraints,
    tuning: { profile, sysctls, unsafeSysctls, nofile },
    registry: registryInputs(spec),
  };
}

/** Eight hex digits: the part of a pod's name that moves with the spec. */
export function poolRevision(spec: PushGatewaySpec, pool: Pool): string {
  return revisionOf(templateInputs(spec, pool));
}

/** As `templateInputs`, for the routers. How many there are is not in it. */
export function routerInputs(spec: PushGatewaySpec) {
  const { image, resources, kafka, http } = spec.router;
  return { part: "router", image, resources, kafka, http, registry: registryInputs(spec), store: spec.store };
}

export function routerRevision(spec: PushGatewaySpec): string {
  return revisionOf(routerInputs(spec));
}

/** As `templateInputs`, for the HAProxies: of the pools only the sizes, which move seldom. */
export function haproxyInputs(spec: PushGatewaySpec) {
  const { image, resources } = spec.loadBalancer.haproxy ?? {};
  return { part: "haproxy", image, resources, extraPorts: spec.gateway.extraPorts, ...haproxySizes(spec) };
}

export function haproxyRevision(spec: PushGatewaySpec): string {
  return revisionOf(haproxyInputs(spec));
}

function registryInputs({ registry }: PushGatewaySpec) {
  return registry === undefined ? undefined : { kind: registry.kind, url: registry.url, keyPrefix: registry.keyPrefix };
}
