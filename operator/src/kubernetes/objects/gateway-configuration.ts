import { limits } from "@pushfleet/protocol";
import type { PushGatewaySpec } from "../../generated/push-gateway.js";
import { parseQuantity } from "../../manifest/index.js";
import { type Configuration, registryConfiguration } from "./configuration-parts.js";
import type { Fleet, Pool } from "./fleet.js";
import { routerName } from "./names.js";
import { paths, tlsFiles } from "./paths.js";
import { ports } from "./ports.js";

/** gateway.yaml of one revision of a pool (DESIGN §9). What differs from pod to pod, or may change while the revision does not, comes by the
 *  environment: id, zone, advertised address, drain (pod-template.ts, instantiate-pod.ts). */
export function gatewayConfiguration(fleet: Fleet, pool: Pool): Configuration {
  const { gateway } = fleet.spec;
  const workers = workerCount(gateway);
  return {
    listen: {
      host: "0.0.0.0",
      port: ports.clients,
      extraPorts: gateway.extraPorts,
      allowedOrigins: gateway.allowedOrigins,
      ...(gateway.tls === undefined ? {} : { tls: { certFile: `${paths.clientTls}/tls.crt`, keyFile: `${paths.clientTls}/tls.key` } }),
    },
    admin: { host: "0.0.0.0", port: ports.gatewayAdmin },
    grpc: { host: "0.0.0.0", port: ports.gatewayGrpc, tls: tlsFiles },
    ...(workers === undefined ? {} : { workers }),
    auth: authConfiguration(gateway.auth),
    registry: registryConfiguration(fleet),
    router: { addresses: [`${routerName(fleet)}.${fleet.namespace}.svc:${ports.routerGrpc}`] },
    limits: { maxConnections: pool.hardConnections, handshakesPerSecond: gateway.limits.handshakesPerSecond },
    heartbeat: { intervalMs: gateway.heartbeat.intervalSeconds * 1000, timeoutMs: gateway.heartbeat.timeoutSeconds * 1000 },
  };
}

/** The limit is read here and not left to the process, which may see all cores of its node. `undefined`: one a core of the node. */
export function workerCount({ workers, resources }: PushGatewaySpec["gateway"]): number | undefined {
  const cpu = resources?.limits?.["cpu"];
  if (workers !== undefined || cpu === undefined) return workers;
  return Math.min(Math.max(1, Math.floor(parseQuantity(cpu) ?? 1)), limits.podWorkersMax);
}

/** What the schema of the API promises where `algorithms` is absent; the gateway by itself would take more. */
const keySetAlgorithms = ["RS256", "ES256"];

function authConfiguration(auth: PushGatewaySpec["gateway"]["auth"]): Configuration {
  const { hs256SecretRef, jwksUrl, issuer, audience, algorithms } = auth;
  const allowed = algorithms ?? (jwksUrl === undefined ? undefined : keySetAlgorithms);
  return {
    ...(hs256SecretRef === undefined ? {} : { hs256SecretFile: paths.hs256 }),
    ...(jwksUrl === undefined ? {} : { jwksUrl }),
    ...(issuer === undefined ? {} : { issuer }),
    ...(audience === undefined ? {} : { audience }),
    ...(allowed === undefined ? {} : { algorithms: allowed }),
    maxLifetimeSeconds: auth.maxLifetimeSeconds ?? limits.queryTokenLifetimeSecondsDefault,
  };
}
