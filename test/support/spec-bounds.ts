import { fieldRows } from "./field-rows.js";
import { type Given, joinRows, type ManifestRows, rowMaker } from "./manifest-rows.js";
import { wholeManifest } from "./whole-manifest.js";

const { integer, text, choice, flag, list, map, mapping, quantities } = fieldRows(rowMaker(wholeManifest));

const secretName = {
  minLength: 1,
  maxLength: 253,
  pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
  unlike: "My_secret",
};
const secretEntry = { minLength: 1, maxLength: 253, pattern: "^[-._a-zA-Z0-9]+$", unlike: "a/b" };
const image = { minLength: 1, maxLength: 512, pattern: "^[!-~]+$", unlike: "registry.example/gateway:1 " };
const url2048 = { minLength: 1, maxLength: 2048 };
const redisUrl = {
  ...url2048,
  shortest: "redis://a",
  like: (length: number) => "redis://".padEnd(length, "a").slice(0, length),
};
/** The longest is a DNS name of 253 characters, a slash and 63 more. */
const labelKey = (length: number): string => (length <= 63 ? "a".repeat(length) : `${"a".repeat(length - 64)}/${"a".repeat(63)}`);
const topic = { minLength: 1, maxLength: 249, pattern: "^[a-zA-Z0-9._-]+$", unlike: "a topic" };
const algorithms = ["HS256", "RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"];
const anyKeySource: Given = { "spec.gateway.auth.jwksUrl": undefined };
const secretKey: Given = {
  "spec.gateway.auth.jwksUrl": undefined,
  "spec.gateway.auth.algorithms": undefined,
  "spec.gateway.auth.hs256SecretRef": { name: "jwt", key: "key" },
};
const notCassandra: Given = {
  "spec.store.contactPoints": undefined,
  "spec.store.localDataCenter": undefined,
  "spec.store.keyspace": undefined,
};
const redisStore: Given = { ...notCassandra, "spec.store.kind": "Redis", "spec.store.url": "redis://redis:6379" };
const memoryStore: Given = { ...notCassandra, "spec.router.maxReplicas": 1, "spec.store.allowVolatile": true };

const resources = (path: string): ManifestRows => joinRows(mapping(path), quantities(`${path}.limits`), quantities(`${path}.requests`));

const gateway = joinRows(
  mapping("spec.gateway"),
  text("spec.gateway.image", image),
  integer("spec.gateway.workers", 1, 128),
  resources("spec.gateway.resources"),
  mapping("spec.gateway.tls", ["secretName"]),
  text("spec.gateway.tls.secretName", secretName),
  mapping("spec.gateway.auth"),
  mapping("spec.gateway.auth.hs256SecretRef", ["name", "key"], secretKey),
  text("spec.gateway.auth.hs256SecretRef.name", secretName, secretKey),
  text("spec.gateway.auth.hs256SecretRef.key", secretEntry, secretKey),
  text("spec.gateway.auth.jwksUrl", {
    ...url2048,
    shortest: "http://a",
    like: (length) => "https://".padEnd(length, "a").slice(0, length),
  }),
  text("spec.gateway.auth.issuer", url2048),
  text("spec.gateway.auth.audience", url2048),
  list(
    "spec.gateway.auth.algorithms",
    { minItems: 1, maxItems: 8, element: (index) => algorithms[index] ?? "HS512", unique: "set" },
    anyKeySource,
  ),
  choice("spec.gateway.auth.algorithms[0]", algorithms, { HS256: anyKeySource, ES256: { "spec.gateway.auth.algorithms": [] } }),
  integer("spec.gateway.auth.maxLifetimeSeconds", 1, 86_400),
  mapping("spec.gateway.limits"),
  integer("spec.gateway.limits.handshakesPerSecond", 1, 100_000),
  mapping("spec.gateway.heartbeat"),
  integer("spec.gateway.heartbeat.intervalSeconds", 5, 300),
  integer("spec.gateway.heartbeat.timeoutSeconds", 6, 900),
  list("spec.gateway.allowedOrigins", { minItems: 1, maxItems: 64, element: (index) => `https://${index}.example`, unique: "set" }),
  text("spec.gateway.allowedOrigins[0]", {
    minLength: 1,
    maxLength: 512,
    shortest: "*",
    like: (length) => "https://".padEnd(length, "a").slice(0, length),
  }),
  list("spec.gateway.extraPorts", { maxItems: 16, element: (index) => 8081 + index, unique: "set" }),
  integer("spec.gateway.extraPorts[0]", 1024, 65_535),
);

const pool = joinRows(
  list("spec.pools", { minItems: 1, maxItems: 16, element: (index) => ({ name: `pool-${index}` }), unique: { key: "name" } }),
  mapping("spec.pools[0]", ["name"]),
  text("spec.pools[0].name", { minLength: 1, maxLength: 20, pattern: "^[a-z]([-a-z0-9]*[a-z0-9])?$", unlike: "1-pool" }),
  integer("spec.pools[0].minReplicas", 1, 1000),
  integer("spec.pools[0].maxReplicas", 1, 1000),
  integer("spec.pools[0].softConnections", 1, 2_000_000),
  integer("spec.pools[0].hardConnections", 1, 2_000_000),
  map("spec.pools[0].nodeSelector", 16, "yes"),
  text("spec.pools[0].nodeSelector['zone']", { maxLength: 63 }),
  list("spec.pools[0].tolerations", { maxItems: 16, element: () => ({ operator: "Exists" }) }),
  mapping("spec.pools[0].tolerations[0]"),
  text("spec.pools[0].tolerations[0].key", { maxLength: 317, shortest: "a", like: labelKey }),
  choice("spec.pools[0].tolerations[0].operator", ["Exists", "Equal"], { Exists: { "spec.pools[0].tolerations[0].value": undefined } }),
  text("spec.pools[0].tolerations[0].value", { maxLength: 63 }),
  choice("spec.pools[0].tolerations[0].effect", ["NoSchedule", "PreferNoSchedule", "NoExecute"], {
    NoSchedule: { "spec.pools[0].tolerations[0].tolerationSeconds": undefined },
    PreferNoSchedule: { "spec.pools[0].tolerations[0].tolerationSeconds": undefined },
  }),
  integer("spec.pools[0].tolerations[0].tolerationSeconds", 0, 86_400),
  list("spec.pools[0].topologySpreadConstraints", {
    maxItems: 8,
    element: (index) => ({ maxSkew: 1, topologyKey: `zone-${index}`, whenUnsatisfiable: "ScheduleAnyway" }),
    unique: { key: "topologyKey,whenUnsatisfiable" },
  }),
  mapping("spec.pools[0].topologySpreadConstraints[0]", ["maxSkew", "topologyKey", "whenUnsatisfiable"]),
  integer("spec.pools[0].topologySpreadConstraints[0].maxSkew", 1, 1000),
  text("spec.pools[0].topologySpreadConstraints[0].topologyKey", { minLength: 1, maxLength: 317, like: labelKey }),
  choice("spec.pools[0].topologySpreadConstraints[0].whenUnsatisfiable", ["DoNotSchedule", "ScheduleAnyway"], {
    ScheduleAnyway: { "spec.pools[0].topologySpreadConstraints[0].minDomains": undefined },
  }),
  integer("spec.pools[0].topologySpreadConstraints[0].minDomains", 1, 1000),
  choice("spec.pools[0].topologySpreadConstraints[0].nodeAffinityPolicy", ["Honor", "Ignore"]),
  choice("spec.pools[0].topologySpreadConstraints[0].nodeTaintsPolicy", ["Honor", "Ignore"]),
  mapping("spec.pools[0].tuning"),
  choice("spec.pools[0].tuning.profile", ["websocket-500k", "None"]),
  map("spec.pools[0].tuning.sysctls", 32, "1"),
  text("spec.pools[0].tuning.sysctls['net.core.somaxconn']", {
    minLength: 1,
    maxLength: 64,
    pattern: "^-?[0-9]+([ \\t]+-?[0-9]+){0,2}$",
    unlike: "1 2 3 4",
    like: (length) => "1".repeat(length),
  }),
  choice("spec.pools[0].tuning.unsafeSysctls", ["Pod", "Tuner", "None"]),
  integer("spec.pools[0].tuning.nofile", 2048, 10_000_000, { "spec.pools[0].hardConnections": 1024 }),
);

const policies = joinRows(
  mapping("spec.autoscaling"),
  choice("spec.autoscaling.mode", ["Builtin", "External", "None"]),
  integer("spec.autoscaling.stabilizationSeconds", 0, 3600),
  mapping("spec.drain"),
  integer("spec.drain.reconnectsPerSecond", 1, 100_000),
  integer("spec.drain.deadlineSeconds", 10, 86_400),
  integer("spec.drain.stragglerGraceSeconds", 0, 600),
  mapping("spec.rollout"),
  integer("spec.rollout.maxSurge", 1, 100),
  integer("spec.rollout.soakSeconds", 0, 86_400),
  integer("spec.rollout.maxReconnectFailurePercent", 0, 100),
  flag("spec.rollout.paused"),
  flag("spec.rollout.adoptOperatorTemplate"),
);

const router = joinRows(
  mapping("spec.router"),
  text("spec.router.image", image),
  integer("spec.router.minReplicas", 1, 200),
  integer("spec.router.maxReplicas", 1, 200),
  resources("spec.router.resources"),
  mapping("spec.router.http", ["apiTokensSecretRef"]),
  mapping("spec.router.http.apiTokensSecretRef", ["name", "key"]),
  text("spec.router.http.apiTokensSecretRef.name", secretName),
  text("spec.router.http.apiTokensSecretRef.key", secretEntry),
  mapping("spec.router.kafka", ["brokers"]),
  list("spec.router.kafka.brokers", { minItems: 1, maxItems: 32, element: (index) => `kafka-${index}:9092`, unique: "set" }),
  text("spec.router.kafka.brokers[0]", {
    minLength: 3,
    maxLength: 261,
    like: (length) => ":9".padStart(length, "a"),
  }),
  text("spec.router.kafka.topic", topic),
  text("spec.router.kafka.groupId", { minLength: 1, maxLength: 249 }),
  text("spec.router.kafka.deadLetterTopic", topic),
  text("spec.router.kafka.clientEventsTopic", topic),
  text("spec.router.kafka.outcomesTopic", topic),
);

const stores = joinRows(
  mapping("spec.registry", ["kind"]),
  choice("spec.registry.kind", ["Redis", "Memory"], { Memory: { "spec.registry.url": undefined } }),
  text("spec.registry.url", redisUrl),
  text("spec.registry.keyPrefix", { maxLength: 128 }),
  mapping("spec.store", ["kind"]),
  choice("spec.store.kind", ["Cassandra", "Redis", "Memory"], { Redis: redisStore, Memory: memoryStore }),
  list("spec.store.contactPoints", { minItems: 1, maxItems: 32, element: (index) => `cassandra-${index}`, unique: "set" }),
  text("spec.store.contactPoints[0]", { minLength: 1, maxLength: 261 }),
  text("spec.store.localDataCenter", { minLength: 1, maxLength: 128 }),
  text("spec.store.keyspace", { minLength: 1, maxLength: 48, pattern: "^[a-zA-Z][a-zA-Z0-9_]*$", unlike: "push-fleet" }),
  text("spec.store.url", redisUrl, redisStore),
  flag("spec.store.allowVolatile"),
);

const haproxy = "spec.loadBalancer.haproxy";
const service = "spec.loadBalancer.service";
const loadBalancer = joinRows(
  mapping("spec.loadBalancer"),
  choice("spec.loadBalancer.kind", ["Service", "HAProxy"], { Service: { [haproxy]: undefined } }),
  mapping(service),
  choice(`${service}.type`, ["LoadBalancer", "NodePort", "ClusterIP"]),
  integer(`${service}.port`, 1, 65_535),
  map(`${service}.annotations`, 64, "on"),
  text(`${service}.annotations['cloud']`, { maxLength: 3500 }),
  choice(`${service}.externalTrafficPolicy`, ["Cluster", "Local"]),
  choice(`${service}.sessionAffinity`, ["None", "ClientIP"]),
  mapping(haproxy),
  text(`${haproxy}.image`, image),
  integer(`${haproxy}.replicas`, 1, 50),
  resources(`${haproxy}.resources`),
);

/** Every bound of the spec, broken and kept. */
export const specBounds: ManifestRows = joinRows(
  mapping("spec"),
  integer("spec.replicas", 1, 16_000),
  gateway,
  pool,
  policies,
  router,
  stores,
  loadBalancer,
  mapping("spec.certificateAuthority", ["secretName"]),
  text("spec.certificateAuthority.secretName", secretName),
  flag("spec.dryRun"),
);
