import { type GatewayConfig, gatewaySchema } from "@pushfleet/gateway";
import type { Manifest } from "@pushfleet/operator";
import { describeFault } from "@pushfleet/protocol";
import type { RegistryConfig } from "@pushfleet/registry";
import { type RouterConfig, routerSchema } from "@pushfleet/router";
import { type Configured, validateConfiguration } from "@pushfleet/service";

const loopback = "127.0.0.1";
/** A token may live this long here, unless the manifest names another bound: nobody wants to paste one every five minutes. */
const localMaxLifetimeSeconds = 3600;

/** Redis when the manifest names it, this process's memory otherwise. */
export function registryConfiguration({ name, namespace, spec }: Manifest): RegistryConfig {
  const registry = spec.registry;
  if (registry?.kind !== "Redis" || registry.url === undefined) return { kind: "memory" };
  return { kind: "redis", url: registry.url, keyPrefix: registry.keyPrefix ?? `${namespace}/${name}:` };
}

/** The manifest's words in those of router.yaml. */
export function routerConfiguration(manifest: Manifest, httpPort: number): RouterConfig {
  const kafka = manifest.spec.router?.kafka;
  return expectRight(
    validateConfiguration(routerSchema, {
      http: { host: loopback, port: httpPort },
      admin: { host: loopback, port: 0 },
      grpc: { host: loopback, port: 0 },
      ...(kafka === undefined ? {} : { kafka }),
      registry: registryConfiguration(manifest),
      store: { kind: "memory", allowVolatile: manifest.spec.store?.allowVolatile ?? false },
    }),
  );
}

/** The manifest's words in those of gateway.yaml, on ports that are free. */
export function gatewayConfiguration(
  manifest: Manifest,
  pod: { readonly name: string; readonly pool: string },
  jwtSecret: string,
): GatewayConfig {
  const { gateway, pools, drain } = manifest.spec;
  const pool = pools?.find((one) => one.name === pod.pool);
  return expectRight(
    validateConfiguration(
      gatewaySchema,
      withoutUndefined({
        id: pod.name,
        listen: { host: loopback, port: 0 },
        admin: { host: loopback, port: 0 },
        grpc: { host: loopback, port: 0 },
        workers: 1,
        auth: {
          hs256Secret: jwtSecret,
          issuer: gateway?.auth?.issuer,
          audience: gateway?.auth?.audience,
          maxLifetimeSeconds: gateway?.auth?.maxLifetimeSeconds ?? localMaxLifetimeSeconds,
        },
        registry: registryConfiguration(manifest),
        router: { addresses: [] },
        limits: { maxConnections: pool?.hardConnections, handshakesPerSecond: gateway?.limits?.handshakesPerSecond },
        heartbeat: { intervalMs: seconds(gateway?.heartbeat?.intervalSeconds), timeoutMs: seconds(gateway?.heartbeat?.timeoutSeconds) },
        drain: {
          reconnectsPerSecond: drain?.reconnectsPerSecond,
          deadlineMs: seconds(drain?.deadlineSeconds),
          stragglerGraceMs: seconds(drain?.stragglerGraceSeconds),
        },
      }),
    ),
  );
}

function seconds(value: number | undefined): number | undefined {
  return value === undefined ? undefined : value * 1000;
}

/** The manifest was checked: a fault here is a bug in the mapping. */
function expectRight<T>(configured: Configured<T>): T {
  if (configured.kind === "configuration") return configured.value;
  throw new Error(configured.faults.map(describeFault).join("; "));
}

function withoutUndefined(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}
