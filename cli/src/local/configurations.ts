import { type GatewayConfig, gatewaySchema } from "@pushfleet/gateway";
import type { Manifest } from "@pushfleet/operator";
import { describeFault, type Fault } from "@pushfleet/protocol";
import type { RegistryConfig } from "@pushfleet/registry";
import { type RouterConfig, routerSchema } from "@pushfleet/router";
import { type Configured, validateConfiguration } from "@pushfleet/service";

const loopback = "127.0.0.1";
/** A token may live this long here, unless the manifest names another bound: nobody wants to paste one every five minutes. */
const localMaxLifetimeSeconds = 3600;

/** What a right manifest may ask for and a fleet on one machine cannot do: it is not started, rather than started as something else. */
export function localFaults({ spec }: Manifest): readonly Fault[] {
  const { store, router } = spec;
  if (store !== undefined && store.kind !== "Memory")
    return [{ path: "spec.store.kind", value: store.kind, expected: "Memory, or no store: local mode keeps notifications in memory" }];
  if (router.kafka === undefined || store?.allowVolatile === true) return [];
  const expected = "true beside router.kafka: what is committed and only in memory is lost with this process";
  return [{ path: "spec.store.allowVolatile", value: store?.allowVolatile, expected }];
}

/** What a right manifest says of who gets in, and a fleet on one machine does by its own rules: it is started, and tells. A line each. */
export function localNotices({ spec: { gateway, router } }: Manifest): readonly string[] {
  const { hs256SecretRef, jwksUrl } = gateway.auth;
  const token = "tokens are checked with --jwt-secret (HS256)";
  const unread: readonly (readonly [path: string, value: unknown, instead: string])[] = [
    ["spec.gateway.auth.hs256SecretRef", hs256SecretRef, token],
    ["spec.gateway.auth.jwksUrl", jwksUrl, token],
    ["spec.gateway.tls", gateway.tls, `clients come to ${loopback} without TLS`],
    ["spec.router.http", router.http, `publishers on ${loopback} need no token`],
  ];
  return unread.flatMap(([path, value, instead]) => (value === undefined ? [] : [`${path}: is not read in local mode: ${instead}`]));
}

/** What is read once, when the fleet starts: an edit of it waits for the next start. By path, as JSON. */
export function readAtStart({ namespace, spec }: Manifest): ReadonlyMap<string, string> {
  const parts = {
    "metadata.namespace": namespace,
    "spec.router.kafka": spec.router.kafka,
    "spec.registry": spec.registry,
    "spec.store": spec.store,
  };
  return new Map(Object.entries(parts).map(([path, value]) => [path, JSON.stringify(value ?? null)]));
}

/** An edited manifest as the running fleet can follow it: what is read at the start is as it was. */
export function withStarted({ name, spec }: Manifest, started: Manifest): Manifest {
  const { registry, store, router } = started.spec;
  const followed = withoutUndefined({ ...spec, registry, store, router: { ...spec.router, kafka: router.kafka } });
  return { name, namespace: started.namespace, spec: followed as Manifest["spec"] };
}

/** Redis when the manifest names it, this process's memory otherwise. */
export function registryConfiguration({ name, namespace, spec }: Manifest): RegistryConfig {
  const registry = spec.registry;
  if (registry?.kind !== "Redis" || registry.url === undefined) return { kind: "memory" };
  return { kind: "redis", url: registry.url, keyPrefix: registry.keyPrefix ?? `${namespace}/${name}:` };
}

/** The manifest's words in those of router.yaml. */
export function routerConfiguration(manifest: Manifest, httpPort: number): RouterConfig {
  const { kafka } = manifest.spec.router;
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
  const pool = pools.find((one) => one.name === pod.pool);
  return expectRight(
    validateConfiguration(
      gatewaySchema,
      withoutUndefined({
        id: pod.name,
        listen: { host: loopback, port: 0, allowedOrigins: gateway.allowedOrigins },
        admin: { host: loopback, port: 0 },
        grpc: { host: loopback, port: 0 },
        workers: 1,
        auth: {
          hs256Secret: jwtSecret,
          issuer: gateway.auth.issuer,
          audience: gateway.auth.audience,
          maxLifetimeSeconds: gateway.auth.maxLifetimeSeconds ?? localMaxLifetimeSeconds,
        },
        registry: registryConfiguration(manifest),
        router: { addresses: [] },
        limits: { maxConnections: pool?.hardConnections, handshakesPerSecond: gateway.limits.handshakesPerSecond },
        heartbeat: { intervalMs: seconds(gateway.heartbeat.intervalSeconds), timeoutMs: seconds(gateway.heartbeat.timeoutSeconds) },
        drain: {
          reconnectsPerSecond: drain.reconnectsPerSecond,
          deadlineMs: seconds(drain.deadlineSeconds),
          stragglerGraceMs: seconds(drain.stragglerGraceSeconds),
        },
      }),
    ),
  );
}

function seconds(value: number): number {
  return value * 1000;
}

/** The manifest was checked: a fault here is a bug in the mapping. */
function expectRight<T>(configured: Configured<T>): T {
  if (configured.kind === "configuration") return configured.value;
  throw new Error(configured.faults.map(describeFault).join("; "));
}

function withoutUndefined(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}
