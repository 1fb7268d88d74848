import { limits } from "@pushfleet/protocol";
import {
  hostPortExpected,
  isHostPort,
  isKafkaTopic,
  isKeyPrefix,
  isRedisAddress,
  kafkaTopicExpected,
  redisAddressExpected,
} from "@pushfleet/service";
import { defaultSettings, describeInfeasible, estimateDrain } from "../../core/index.js";
import type { PushGatewaySpec } from "../../generated/push-gateway.js";
import { fillPools } from "../../manifest/index.js";
import { hasCredentials } from "./configuration-parts.js";
import type { Collision } from "./fleet-collisions.js";
import { haproxyCapacity, podsMax } from "./haproxy-configuration.js";
import { clashingFleets } from "./names.js";
import { poolsOnSameNodes } from "./pool-overlap.js";
import { sysctlFault, wantedSysctls } from "./sysctls.js";

export interface SpecProblem {
  /** error: nothing new can be made from this spec; what runs goes on. warning: the fleet runs, and a person should know. */
  readonly severity: "error" | "warning";
  /** One word, for a condition. */
  readonly reason: string;
  /** Of the spec, such as `spec.gateway.auth`. */
  readonly path: string;
  /** What is wrong and what to do. */
  readonly message: string;
}

/** What the operator knows of the fleet's surroundings. */
export interface KnownSurroundings {
  /** Entries of the Secrets that are there and their sizes in bytes, by the Secret's name. */
  readonly secrets: ReadonlyMap<string, Readonly<Record<string, number>>>;
  /** Names of the fleet and of other PushGateways in the namespace. */
  readonly name: string;
  readonly otherFleets: readonly string[];
  /** With fleets of the whole cluster. */
  readonly collisions: readonly Collision[];
}

/** Why a spec that the API took cannot be followed on Kubernetes, or not quite; errors first. */
export function fleetProblems(spec: PushGatewaySpec, known: KnownSurroundings): readonly SpecProblem[] {
  const problems = [
    ...registryProblems(spec),
    ...storeProblems(spec),
    ...authProblems(spec),
    ...addressProblems(spec),
    ...secretProblems(spec, known),
    ...poolProblems(spec),
    ...replicasProblems(spec),
    ...drainProblems(spec),
    ...sysctlProblems(spec),
    ...nameProblems(known),
    ...collisionProblems(known),
    ...loadBalancerProblems(spec),
  ];
  return problems.sort((a, b) => Number(a.severity === "warning") - Number(b.severity === "warning"));
}

const error = (reason: string, path: string, message: string): SpecProblem => ({ severity: "error", reason, path, message });
const warning = (reason: string, path: string, message: string): SpecProblem => ({ severity: "warning", reason, path, message });

function* registryProblems({ registry }: PushGatewaySpec): Iterable<SpecProblem> {
  if (registry?.kind === "Redis") return;
  const found = registry === undefined ? "registry is not set" : "registry.kind Memory lives inside one process";
  yield error("RegistryMissing", "spec.registry", `${found}: gateways and routers need a Redis; set registry.kind Redis and registry.url`);
}

/** The stores that this release's router has. */
const routerStores: readonly NonNullable<PushGatewaySpec["store"]>["kind"][] = ["Memory"];

function* storeProblems({ store, router }: PushGatewaySpec): Iterable<SpecProblem> {
  if (store === undefined) {
    yield error("StoreMissing", "spec.store", `store is not set: set store.kind to ${routerStores.join(" or ")}`);
  } else if (!routerStores.includes(store.kind)) {
    const possible = routerStores.join(" or ");
    const message = `this release's router cannot keep notifications in ${store.kind}: set store.kind to ${possible}, with router.maxReplicas 1`;
    yield error("StoreUnsupported", "spec.store.kind", message);
  } else if (store.kind === "Memory") {
    if (router.maxReplicas > 1) {
      const message = `store.kind Memory lives inside one router: set router.minReplicas and router.maxReplicas to 1, not ${router.maxReplicas}`;
      yield error("StoreNotShared", "spec.router.maxReplicas", message);
    }
    yield warning("StoreVolatile", "spec.store.kind", "store.kind Memory: what a device has missed is gone when the router stops");
  }
}

function* authProblems({ gateway: { auth } }: PushGatewaySpec): Iterable<SpecProblem> {
  if (auth.hs256SecretRef !== undefined || auth.jwksUrl !== undefined) return;
  const message = "no key checks the clients' tokens: set gateway.auth.hs256SecretRef (an entry of a Secret) or gateway.auth.jwksUrl";
  yield error("KeySourceMissing", "spec.gateway.auth", message);
}

/** The API's patterns let some addresses pass (an API of an earlier release: more) that a gateway or a router refuses at its start; it would start
 *  over and over. */
function* addressProblems({ gateway, registry, store, router }: PushGatewaySpec): Iterable<SpecProblem> {
  for (const [path, url] of [
    ["spec.registry.url", registry?.url],
    ["spec.store.url", store?.url],
  ] as const) {
    if (url !== undefined && !(isRedisAddress(url) && URL.canParse(url)))
      yield error("AddressInvalid", path, `${path.slice(5)} is no address of a Redis: write ${redisAddressExpected}`);
    if (url !== undefined && hasCredentials(url)) {
      yield warning("PasswordInSpec", path, `${path.slice(5)} holds a password: whoever can read this PushGateway can read it`);
    }
  }
  if (registry?.keyPrefix !== undefined && !isKeyPrefix(registry.keyPrefix)) {
    yield error("KeyPrefixInvalid", "spec.registry.keyPrefix", "registry.keyPrefix has a space or a brace in it: remove it");
  }
  const { jwksUrl } = gateway.auth;
  if (jwksUrl !== undefined && !URL.canParse(jwksUrl)) {
    yield error(
      "AddressInvalid",
      "spec.gateway.auth.jwksUrl",
      `gateway.auth.jwksUrl is no URL: "${jwksUrl}"; write it as https://host/path`,
    );
  }
  for (const broker of router.kafka?.brokers ?? []) {
    if (isHostPort(broker)) continue;
    yield error(
      "AddressInvalid",
      "spec.router.kafka.brokers",
      `router.kafka.brokers: ${JSON.stringify(broker)} is not ${hostPortExpected}`,
    );
  }
  for (const field of ["topic", "deadLetterTopic", "clientEventsTopic", "outcomesTopic"] as const) {
    const topic = router.kafka?.[field];
    if (topic === undefined || isKafkaTopic(topic)) continue;
    yield error("TopicInvalid", `spec.router.kafka.${field}`, `router.kafka.${field} "${topic}" is not ${kafkaTopicExpected}`);
  }
}

function* secretProblems(
  { gateway, router, certificateAuthority }: PushGatewaySpec,
  { secrets }: KnownSurroundings,
): Iterable<SpecProblem> {
  const tls = ["tls.crt", "tls.key"];
  const { hs256SecretRef } = gateway.auth;
  if (hs256SecretRef !== undefined) {
    const { name, key } = hs256SecretRef;
    yield* missingEntries("gateway.auth.hs256SecretRef", name, [key], secrets);
    const bytes = secrets.get(name)?.[key];
    if (bytes !== undefined && bytes > 0 && bytes < limits.hs256KeyBytesMin) {
      const message = `the HS256 key (entry ${key} of Secret ${name}) has ${bytes} bytes: use at least ${limits.hs256KeyBytesMin} (RFC 7518 section 3.2)`;
      yield warning("KeyTooShort", "spec.gateway.auth.hs256SecretRef", message);
    }
  }
  if (router.http !== undefined) {
    const { name, key } = router.http.apiTokensSecretRef;
    yield* missingEntries("router.http.apiTokensSecretRef", name, [key], secrets);
  }
  if (gateway.tls !== undefined) yield* missingEntries("gateway.tls.secretName", gateway.tls.secretName, tls, secrets);
  if (certificateAuthority !== undefined) {
    yield* missingEntries("certificateAuthority.secretName", certificateAuthority.secretName, tls, secrets);
  }
}

function* missingEntries(
  field: string,
  name: string,
  keys: readonly string[],
  secrets: KnownSurroundings["secrets"],
): Iterable<SpecProblem> {
  const entries = secrets.get(name);
  const path = `spec.${field}`;
  if (entries === undefined) {
    yield error(
      "SecretMissing",
      path,
      `${field} names the Secret ${name}, which is not in this namespace: create it with ${keys.join(" and ")}`,
    );
    return;
  }
  for (const key of keys.filter((one) => (entries[one] ?? 0) === 0)) {
    yield error("SecretIncomplete", path, `the Secret ${name} (${field}) has no entry ${key}, or it is empty: add it`);
  }
}

function* poolProblems({ pools }: PushGatewaySpec): Iterable<SpecProblem> {
  for (const [one, other] of poolsOnSameNodes(pools)) {
    const message =
      `pools ${one.name} and ${other.name} select the same nodes, so that a node may get gateways of both: give their nodeSelectors different ` +
      "values of one label, or taint the nodes of one and let only that pool tolerate it";
    yield error("PoolsOverlap", "spec.pools", message);
  }
}

/** An autoscaler would wait for ever for what the pools' bounds do not allow. */
function* replicasProblems({ autoscaling, pools, replicas }: PushGatewaySpec): Iterable<SpecProblem> {
  if (autoscaling.mode !== "External" || replicas === undefined) return;
  const made = fillPools(pools, replicas).reduce((sum, each) => sum + each, 0);
  if (made === replicas) return;
  const bound = made < replicas ? "maxReplicas" : "minReplicas";
  const message =
    `replicas ${replicas} is ${made < replicas ? "above" : "below"} what the pools' ${bound} allow together, so that there will be ${made}: ` +
    `change pools[].${bound}, or the bounds of the autoscaler that writes replicas`;
  yield warning("ReplicasOutOfBounds", "spec.replicas", message);
}

/** DrainBlocked tells it of gateways that are full already: when they have to go. */
function* drainProblems({
  pools,
  drain: { reconnectsPerSecond, deadlineSeconds, stragglerGraceSeconds },
}: PushGatewaySpec): Iterable<SpecProblem> {
  const drain = { reconnectsPerSecond, deadlineMs: deadlineSeconds * 1000, stragglerGraceMs: stragglerGraceSeconds * 1000 };
  for (const { name, hardConnections } of pools) {
    if (estimateDrain(hardConnections, reconnectsPerSecond, drain, defaultSettings).feasible) continue;
    const why = describeInfeasible(`a full gateway of pool ${name}`, hardConnections, drain, defaultSettings);
    yield warning("DrainTooSlow", "spec.drain", `${why}: until then it is never drained while it is so full`);
  }
}

function* sysctlProblems({ pools }: PushGatewaySpec): Iterable<SpecProblem> {
  for (const { name: pool, tuning } of pools) {
    for (const sysctl of wantedSysctls(tuning)) {
      const fault = sysctlFault(sysctl);
      if (fault === undefined) continue;
      yield warning("SysctlInvalid", "spec.pools[].tuning.sysctls", `pool ${pool}: ${sysctl.name} ${fault}; it is not set`);
    }
  }
}

function* nameProblems({ name, otherFleets }: KnownSurroundings): Iterable<SpecProblem> {
  for (const other of clashingFleets(name, otherFleets)) {
    const message = `the PushGateway ${other} in this namespace needs objects of the same names as ${name}: make one of them again under another name`;
    yield error("NamesClash", "metadata.name", message);
  }
}

const collided = {
  "registry.keyPrefix": ["KeyPrefixShared", "on the same Redis: each would deliver to the other's users"],
  "router.kafka.groupId": ["GroupShared", "on the same Kafka: each would get a part of the other's notifications"],
} as const satisfies Record<Collision["field"], readonly [string, string]>;

function* collisionProblems({ collisions }: KnownSurroundings): Iterable<SpecProblem> {
  for (const { field, value, other } of collisions) {
    const [reason, harm] = collided[field];
    const message =
      `${field} "${value}" is that of the PushGateway ${other.name} in namespace ${other.namespace}, ${harm}; ` +
      `remove ${field} from this one (its default is no other fleet's) or choose another`;
    yield error(reason, `spec.${field}`, message);
  }
}

function* loadBalancerProblems(spec: PushGatewaySpec): Iterable<SpecProblem> {
  if (spec.loadBalancer.kind !== "HAProxy") return;
  if (podsMax(spec) > limits.haproxyServersMax) {
    const message =
      `the pools may have ${podsMax(spec)} gateways and an HAProxy knows at most ${limits.haproxyServersMax} (what one DNS answer names): ` +
      "make several fleets, or use loadBalancer.kind Service";
    yield warning("LoadBalancerTooSmall", "spec.pools", message);
  }
  const { capacity, needed } = haproxyCapacity(spec);
  if (capacity >= needed) return;
  const message =
    `the HAProxies can open ${capacity} connections to one gateway (replicas x client ports x ${limits.connectionsPerProxyServer}), ` +
    `which may hold ${needed}: add gateway.extraPorts or loadBalancer.haproxy.replicas`;
  yield warning("LoadBalancerTooSmall", "spec.loadBalancer.haproxy", message);
}
