import { limits } from "@pushfleet/protocol";
import type { PushGatewaySpec } from "../../generated/push-gateway.js";
import { parseQuantity } from "../../manifest/index.js";
import type { Fleet, OperatorFacts } from "./fleet.js";
import { gatewaysName, serviceDnsNames } from "./names.js";
import { clientPorts, ports } from "./ports.js";

/** Sizes of an HAProxy. Both are powers of two, so that a small change of a pool starts no HAProxy anew: each holds sockets. */
export interface HaproxySizes {
  /** Gateway pods it has a place for; those beyond wait until another is gone. */
  readonly servers: number;
  /** Of open files, however many its container may have: HAProxy sets memory aside for each. */
  readonly openFilesMax: number;
}

export function haproxySizes(spec: PushGatewaySpec): HaproxySizes {
  const connections = spec.pools.reduce((sum, pool) => sum + pool.maxReplicas * pool.hardConnections, 0);
  const sharing = Math.max(1, haproxyReplicas(spec) - 1); // one may be away
  return {
    servers: Math.min(powerOfTwo(Math.max(limits.haproxyServersMin, podsMax(spec) * limits.haproxyServersShare)), limits.haproxyServersMax),
    openFilesMax: powerOfTwo(Math.max(limits.haproxyOpenFilesMin, (2 * connections) / sharing)),
  };
}

/** Gateways that a fleet may have at a time, without those that still drain. */
export function podsMax({ pools, rollout }: PushGatewaySpec): number {
  return pools.reduce((sum, pool) => sum + pool.maxReplicas + rollout.maxSurge, 0);
}

/** What the schema fills in when `haproxy` is given; the whole object may be absent. */
const replicasDefault = 3;

export function haproxyReplicas({ loadBalancer }: PushGatewaySpec): number {
  return loadBalancer.haproxy?.replicas ?? replicasDefault;
}

/** Connections that the HAProxies can open to one gateway (replicas × client ports × 64,512), and the most that a gateway may hold. Below,
 *  the proxies are full before the gateways are. */
export function haproxyCapacity(spec: PushGatewaySpec): { readonly capacity: number; readonly needed: number } {
  return {
    capacity: haproxyReplicas(spec) * clientPorts(spec).length * limits.connectionsPerProxyServer,
    needed: Math.max(0, ...spec.pools.map((pool) => pool.hardConnections)),
  };
}

/** haproxy.cfg for HAProxy 2.6 and later.
 *
 *  - No `maxconn`: HAProxy computes it from the open files it may have.
 *  - No `on-marked-down shutdown-sessions`: a cordoned gateway keeps its connections.
 *  - Servers come and go by DNS, so nothing is ever reloaded.
 *  - A backend for each client port: within one, HAProxy gives an address of a DNS answer to one server only. A connection takes any port by
 *    chance, and there the gateway with the fewest. */
export function haproxyConfiguration(fleet: Fleet, operator: OperatorFacts): string {
  const { openFilesMax } = haproxySizes(fleet.spec);
  const threads = threadCount(fleet.spec);
  return `global
    log stdout format raw local0 notice
    fd-hard-limit ${openFilesMax}
    hard-stop-after ${limits.haproxyStopSeconds}s
${threads === undefined ? "" : `    nbthread ${threads}\n`}
defaults
    mode tcp
    log global
    option dontlog-normal
    option dontlognull
    option clitcpka
    option srvtcpka
    option redispatch
    retries 3
    timeout connect ${limits.haproxyConnectSeconds}s
    timeout client ${limits.haproxyFirstByteSeconds}s
    timeout server ${limits.haproxyFirstByteSeconds}s
    timeout tunnel ${limits.haproxyTunnelSeconds}s

resolvers cluster
    parse-resolv-conf
    accepted_payload_size ${limits.haproxyDnsBytes}
    resolve_retries 3
    timeout resolve 1s
    timeout retry 1s
    hold valid 1s
    hold obsolete ${limits.haproxyResolveHoldSeconds}s

frontend clients
    bind :${ports.clients}
${chooseBackend(clientPorts(fleet.spec))}

${backends(fleet, operator)}
frontend admin
    mode http
    bind :${ports.haproxyAdmin}
    http-request return status 200 content-type text/plain string "ok" if { path /healthz }
    http-request return status 200 content-type text/plain string "ok" if { path /readyz } { nbsrv(${backendName(ports.clients)}) gt 0 }
    http-request return status 503 content-type text/plain string "no gateway is ready" if { path /readyz }
    http-request return status 404 content-type text/plain string "not found"
`;
}

const backendName = (port: number): string => `gateways-${port}`;

/** Rule i takes one of the n - i that are left: each port has the same share, but for one without any gateway. */
function chooseBackend([first, ...others]: readonly number[]): string {
  const rules = others.map((port, index) => {
    const name = backendName(port);
    return `    use_backend ${name} if { rand(${others.length + 1 - index}) eq 0 } { nbsrv(${name}) gt 0 }`;
  });
  return [...rules, `    default_backend ${backendName(first ?? ports.clients)}`].join("\n");
}

function backends(fleet: Fleet, operator: OperatorFacts): string {
  const { servers } = haproxySizes(fleet.spec);
  const host = serviceDnsNames(gatewaysName(fleet), fleet.namespace, operator.clusterDomain).at(-1) ?? "";
  const backend = (port: number): string => `backend ${backendName(port)}
    balance leastconn
    option httpchk GET /readyz
    http-check expect status 200
    default-server check port ${ports.gatewayAdmin} inter 1s fall 1 rise 1 resolvers cluster init-addr none
    server-template gateway- 1-${servers} ${host}:${port}
`;
  return clientPorts(fleet.spec).map(backend).join("\n");
}

/** HAProxy by itself starts one a core of the node, whatever its limit. */
function threadCount({ loadBalancer }: PushGatewaySpec): number | undefined {
  const cpu = loadBalancer.haproxy?.resources?.limits?.["cpu"];
  return cpu === undefined ? undefined : Math.min(Math.max(1, Math.floor(parseQuantity(cpu) ?? 1)), limits.haproxyThreadsMax);
}

function powerOfTwo(atLeast: number): number {
  return 2 ** Math.ceil(Math.log2(atLeast));
}
