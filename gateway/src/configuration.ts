import { type Fault, idExpected, limits } from "@pushfleet/protocol";
import { ownProcessFaults, registrySchema } from "@pushfleet/registry";
import { fileFaults, grpcFaults, HostPort, Port, type Refinement, Secret, Strict, tlsFileFaults } from "@pushfleet/service";
import { type Static, Type } from "@sinclair/typebox";
import { authFaults } from "./shell/authenticator.js";

const Host = (defaultHost: string) => Type.String({ minLength: 1, default: defaultHost });
const File = () => Type.String({ minLength: 1 });
const Ms = (options: { readonly minimum: number; readonly maximum: number; readonly default: number }) => Type.Integer(options);

const listenSchema = Strict(
  {
    host: Host("127.0.0.1"),
    port: Port({ default: 8080 }),
    /** A TCP proxy has at most 64,512 connections to one address and port. */
    extraPorts: Type.Array(Port(), { default: [], maxItems: 64 }),
    /** `Origin` headers of browsers, "*" for all. Other clients send none, and are let in. */
    allowedOrigins: Type.Array(Type.String({ minLength: 1 }), { default: ["*"] }),
    /** Addresses whose PROXY v2 header is believed. */
    trustedProxies: Type.Array(Type.String({ minLength: 1 }), { default: [] }),
    tls: Type.Optional(Strict({ certFile: File(), keyFile: File() })),
  },
  { default: {} },
);

const authSchema = Strict(
  {
    hs256Secret: Type.Optional(Secret()),
    hs256SecretFile: Type.Optional(File()),
    jwksUrl: Type.Optional(Type.String({ minLength: 1 })),
    jwksFile: Type.Optional(File()),
    issuer: Type.Optional(Type.String({ minLength: 1 })),
    audience: Type.Optional(Type.Union([Type.String({ minLength: 1 }), Type.Array(Type.String({ minLength: 1 }), { minItems: 1 })])),
    algorithms: Type.Optional(Type.Array(Type.String(), { minItems: 1 })),
    maxLifetimeSeconds: Type.Integer({ minimum: 1, maximum: 86_400, default: limits.queryTokenLifetimeSecondsDefault }),
    resumeSecret: Type.Optional(Secret()),
  },
  { default: {} },
);

const grpcSchema = Strict(
  {
    host: Host("127.0.0.1"),
    port: Port({ default: 9101 }),
    /** What routers and other gateways dial, when it is not `host`. */
    advertiseHost: Type.Optional(Type.String({ minLength: 1 })),
    tls: Type.Optional(Strict({ certFile: File(), keyFile: File(), caFile: File() })),
  },
  { default: {} },
);

/** gateway.yaml (DESIGN §9). Times in ms unless the name says otherwise. */
export const gatewaySchema = Strict({
  id: Type.String({ pattern: "^[A-Za-z0-9._:@-]{1,128}$", expected: idExpected }),
  /** Name of the failure domain, as routers and operators see it. */
  zone: Type.Optional(Type.String({ maxLength: 128 })),
  listen: listenSchema,
  admin: Type.Optional(Strict({ host: Host("127.0.0.1"), port: Port({ default: 9091 }) }, { default: {} })),
  grpc: grpcSchema,
  /** Processes that share the client ports. Default: one a core. */
  workers: Type.Optional(Type.Integer({ minimum: 1, maximum: limits.workersMax })),
  auth: authSchema,
  registry: registrySchema,
  router: Strict({ addresses: Type.Array(HostPort(), { default: ["127.0.0.1:9200"], maxItems: 100 }) }, { default: {} }),
  limits: Strict(
    {
      maxConnections: Type.Integer({ minimum: 1, maximum: 10_000_000, default: 650_000 }),
      handshakesPerSecond: Type.Integer({ minimum: 1, maximum: 1_000_000, default: 5_000 }),
    },
    { default: {} },
  ),
  heartbeat: Strict(
    {
      intervalMs: Ms({ minimum: 100, maximum: 600_000, default: limits.heartbeatIntervalMs }),
      timeoutMs: Ms({ minimum: 200, maximum: 3_600_000, default: limits.heartbeatTimeoutMs }),
    },
    { default: {} },
  ),
  drain: Strict(
    {
      reconnectsPerSecond: Type.Number({ minimum: 0.1, maximum: 1_000_000, default: 1000 }),
      deadlineMs: Ms({ minimum: 0, maximum: 86_400_000, default: 1_500_000 }),
      stragglerGraceMs: Ms({ minimum: 0, maximum: 3_600_000, default: 30_000 }),
    },
    { default: {} },
  ),
});

export type GatewayConfig = Static<typeof gatewaySchema>;

/** What the schema cannot say; for `validateConfiguration` and `loadConfiguration`. */
export const gatewayRefinements: readonly Refinement<GatewayConfig>[] = [
  { path: "auth", faults: ({ auth }) => authFaults(auth) },
  { path: "heartbeat", faults: heartbeatFaults },
  { path: "grpc", faults: grpcFaults },
  { path: "listen", faults: listenFaults },
];

/** What holds for a process only: in local mode the parts share their memory, and no router is dialled. */
export const processRefinements: readonly Refinement<GatewayConfig>[] = [
  ...gatewayRefinements,
  { path: "registry", faults: (config) => ownProcessFaults(config, "routers") },
  { path: "workers", faults: workersFaults },
  {
    path: "router",
    faults: ({ router }) =>
      router.addresses.length === 0 ? [{ path: "router.addresses", value: router.addresses, expected: 'at least one "host:port"' }] : [],
  },
];

/** What holds where the gateway runs: the files that it names are there. */
export const gatewayFileRefinements: readonly Refinement<GatewayConfig>[] = [
  {
    path: "listen.tls",
    faults: ({ listen: { tls } }) => fileFaults({ "listen.tls.certFile": tls?.certFile, "listen.tls.keyFile": tls?.keyFile }),
  },
  { path: "grpc.tls", faults: ({ grpc }) => tlsFileFaults(grpc.tls) },
  {
    path: "auth",
    faults: ({ auth }) => fileFaults({ "auth.hs256SecretFile": auth.hs256SecretFile, "auth.jwksFile": auth.jwksFile }),
  },
];

function heartbeatFaults({ heartbeat }: GatewayConfig): readonly Fault[] {
  if (heartbeat.timeoutMs > heartbeat.intervalMs) return [];
  return [
    { path: "heartbeat.timeoutMs", value: heartbeat.timeoutMs, expected: `more than heartbeat.intervalMs (${heartbeat.intervalMs})` },
  ];
}

function listenFaults({ listen }: GatewayConfig): readonly Fault[] {
  const ports = [listen.port, ...listen.extraPorts].filter((port) => port !== 0);
  const twice = ports.find((port, index) => ports.indexOf(port) !== index);
  return twice === undefined ? [] : [{ path: "listen.extraPorts", value: twice, expected: "each port once" }];
}

/** Workers can share only a port that they all know; by default there is one a core. */
function workersFaults({ workers, listen }: GatewayConfig): readonly Fault[] {
  if (workers === 1 || ![listen?.port, ...(listen?.extraPorts ?? [])].includes(0)) return [];
  return [
    {
      path: "workers",
      value: workers ?? "one a core",
      expected: "1 where a client port is 0: several workers share the ports they are given",
    },
  ];
}
