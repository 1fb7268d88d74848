import { type BadManifest, type Given, type GoodManifest, joinRows } from "./manifest-rows.js";
import { podRules } from "./pod-rule-rows.js";
import { bad, good, rule } from "./rule-rows.js";
import { specBounds } from "./spec-bounds.js";
import { wholeManifest } from "./whole-manifest.js";
import { writtenManifests } from "./written-manifests.js";

export type { BadManifest, GoodManifest } from "./manifest-rows.js";

const gateway = "spec.gateway";
const auth = `${gateway}.auth`;
const oneSource = "auth has two key sources: keep hs256SecretRef";
const noPublicHs256 = "HS256 with a public key set would let anyone";
const secretIsHs256 = "hs256SecretRef verifies HS256 only";
const portsKeptClear = "extraPorts may not hold 8080 (the first client port) nor 9091 to 9228";
const secretRef = { name: "jwt", key: "key" };
const jwksUrl = "https://issuer.example/jwks";

const origin = 'an origin must be "*", or a scheme and a host as a browser sends them, without a slash or a path after it';
const keySetAddress = "jwksUrl must be http://host[:port]/path or https://host[:port]/path";

const gatewayRules = joinRows(
  ...[
    "app.example.com",
    "https://app.example.com/",
    "https://app.example.com/path",
    "https://App.example.com",
    "https://",
    "a b://c",
    "**",
  ].map((value) =>
    rule(`${gateway}.allowedOrigins[0]`, `${gateway}.allowedOrigins[1]`, origin, { [`${gateway}.allowedOrigins`]: ["*", value] }),
  ),
  good(`${gateway}.allowedOrigins`, [
    "null",
    "https://app.example.com",
    "http://[fd00::1]:3000",
    "chrome-extension://abc",
    "capacitor://localhost",
  ]),
  ...[
    "file:///keys",
    "https://",
    "https://issuer example/",
    "https://issuer.example:65536/",
    "https://issuer.example#keys",
    "issuer.example/jwks",
  ].map((value) => rule(`${auth}.jwksUrl`, `${auth}.jwksUrl`, keySetAddress, { [`${auth}.jwksUrl`]: value })),
  ...["http://issuer", "https://me:secret@issuer.example:65535?keys=1", "https://[fd00::1]:8443/.well-known/jwks.json#one"].map((value) =>
    good(`${auth}.jwksUrl`, value),
  ),
  ...[[8080], [9091], [9228], [8081, 9100]].map((extraPorts) =>
    rule(gateway, `${gateway}.extraPorts`, portsKeptClear, { [`${gateway}.extraPorts`]: extraPorts }),
  ),
  good(`${gateway}.extraPorts`, [8079, 8081, 9090, 9229]),
  rule(auth, auth, oneSource, { [auth]: { hs256SecretRef: secretRef, jwksUrl } }),
  rule(auth, `${auth}.algorithms`, noPublicHs256, { [auth]: { jwksUrl, algorithms: ["RS256", "HS256"] } }),
  rule(auth, `${auth}.algorithms`, secretIsHs256, { [auth]: { hs256SecretRef: secretRef, algorithms: ["HS256", "RS256"] } }),
  good(auth, { hs256SecretRef: secretRef, algorithms: ["HS256"] }),
  good(auth, { hs256SecretRef: secretRef }),
  good(auth, { jwksUrl, algorithms: ["ES256", "EdDSA"] }),
  good(auth, { algorithms: ["HS256", "RS256"] }),
  ...[30, 29].map((timeoutSeconds) =>
    rule(
      `${gateway}.heartbeat`,
      `${gateway}.heartbeat.timeoutSeconds`,
      "heartbeat.timeoutSeconds must be above heartbeat.intervalSeconds",
      {
        [`${gateway}.heartbeat`]: { intervalSeconds: 30, timeoutSeconds },
      },
    ),
  ),
  rule(`${gateway}.heartbeat`, `${gateway}.heartbeat.timeoutSeconds`, "heartbeat.timeoutSeconds must be above heartbeat.intervalSeconds", {
    [`${gateway}.heartbeat`]: { intervalSeconds: 90 },
  }),
  good(`${gateway}.heartbeat`, { intervalSeconds: 89 }),
);

const [replicasOrder, connectionsOrder, openFiles] = [
  "minReplicas must be at most maxReplicas: raise maxReplicas or lower minReplicas",
  "softConnections (what the autoscaler aims at) must be at most hardConnections",
  "tuning.nofile must be at least hardConnections + 1,024",
];
const secondPool = (fields: object): Given => ({ "spec.pools": [{ name: "first" }, { name: "second", ...fields }] });
const sysctls = "spec.pools[0].tuning.sysctls";
const sysctlNames = "a sysctl name is written with dots, starts with net. or fs.";

const poolRules = joinRows(
  rule("spec.pools[0]", "spec.pools[1].minReplicas", replicasOrder, secondPool({ minReplicas: 11 })),
  rule("spec.pools[0]", "spec.pools[1].minReplicas", replicasOrder, secondPool({ maxReplicas: 2 })),
  rule("spec.pools[0]", "spec.pools[1].softConnections", connectionsOrder, secondPool({ softConnections: 650_001 })),
  rule("spec.pools[0]", "spec.pools[1].softConnections", connectionsOrder, secondPool({ hardConnections: 1000 })),
  rule("spec.pools[0]", "spec.pools[1].tuning.nofile", openFiles, secondPool({ hardConnections: 998_977 })),
  rule("spec.pools[0]", "spec.pools[1].tuning.nofile", openFiles, secondPool({ tuning: { nofile: 651_023 } })),
  good("spec.pools[0]", { name: "edges", minReplicas: 10, softConnections: 650_000, tuning: { nofile: 651_024 } }),
  good("spec.pools[0]", { name: "edges", softConnections: 998_976, hardConnections: 998_976 }),
  ...["kernel.pid_max", "net", "net/core/somaxconn", "net.core.Somaxconn", `net.${"a".repeat(125)}`].map((name) =>
    rule(sysctls, sysctls, sysctlNames, { "spec.pools[0]": { name: "default", tuning: { sysctls: { [name]: "1" } } } }),
  ),
  good("spec.pools[0]", { name: "default", tuning: { sysctls: { "fs.nr_open": "1", [`net.${"a".repeat(124)}`]: "-1\t2 3" } } }),
);

const memoryRouters = "store.kind Memory lives inside one router: set router.minReplicas and router.maxReplicas to 1";
const memoryKafka = "store.kind Memory loses notifications whose Kafka offsets are already committed";
const oneRouter = { minReplicas: 1, maxReplicas: 1 };
const kafka = { brokers: ["kafka:9092"] };

const fleetRules = joinRows(
  rule("spec", "spec.replicas", "autoscaling.mode External takes its target from spec.replicas", {
    "spec.autoscaling": { mode: "External" },
  }),
  good("spec", { autoscaling: { mode: "External" }, replicas: 1 }),
  rule("spec", "spec.router.maxReplicas", memoryRouters, { "spec.store": { kind: "Memory" } }),
  rule("spec", "spec.router.maxReplicas", memoryRouters, {
    "spec.store": { kind: "Memory" },
    "spec.router": { minReplicas: 1, maxReplicas: 2 },
  }),
  rule("spec", "spec.store.allowVolatile", memoryKafka, { "spec.store": { kind: "Memory" }, "spec.router": { ...oneRouter, kafka } }),
  good("spec", { store: { kind: "Memory" }, router: oneRouter }),
  good("spec", { store: { kind: "Memory", allowVolatile: true }, router: { ...oneRouter, kafka } }),
  rule("spec.router", "spec.router.minReplicas", "router.minReplicas must be at most router.maxReplicas", {
    "spec.router": { minReplicas: 21 },
  }),
  rule("spec.router", "spec.router.minReplicas", "router.minReplicas must be at most router.maxReplicas", {
    "spec.router": { maxReplicas: 1 },
  }),
  good("spec.router", { minReplicas: 20 }),
);

const [cassandraNeeds, cassandraOnly] = ["store.kind Cassandra needs contactPoints", "are read with store.kind Cassandra only"];
const url = "redis://redis:6379";
const cassandra = { kind: "Cassandra", contactPoints: ["cassandra"], localDataCenter: "dc1", keyspace: "pushfleet" };

const redisAddress = "an address of a Redis must be redis://[user:password@]host[:port][/database]";
const redisAddresses = joinRows(
  ...[
    "redis://",
    "redis://redis:65536",
    "redis://redis:0",
    "redis://:6379",
    "redis://redis/first",
    "redis://re dis",
    "redis://fd00::1",
  ].flatMap((address) => [
    rule("spec.registry.url", "spec.registry.url", redisAddress, { "spec.registry": { kind: "Redis", url: address } }),
    rule("spec.store.url", "spec.store.url", redisAddress, { "spec.store": { kind: "Redis", url: address } }),
  ]),
  ...["redis://redis:65535/15", "rediss://me:p%40ss@redis_1.push:1", "redis://me:p@ss@[fd00::1]/", "redis://redis?family=6"].map(
    (address) => good("spec.registry", { kind: "Redis", url: address }),
  ),
);

const brokerAddress = "a broker must be host:port, an IPv6 address in brackets, with a port from 1 to 65535";
const prefixText = "registry.keyPrefix must have neither spaces nor braces";
const broker = "spec.router.kafka.brokers[0]";
const ofBrokers = (brokers: readonly string[]): Given => ({ "spec.router": { kafka: { brokers } } });
const ofPrefix = (keyPrefix: string): Given => ({ "spec.registry": { kind: "Redis", url, keyPrefix } });

const ownTopics = "the routers read router.kafka.topic and write to the other topics, which must have other names";
const ofTopics = (topics: object): Given => ({ "spec.router": { kafka: { brokers: ["kafka:9092"], ...topics } } });

const topicRules = joinRows(
  ...[
    { topic: "notifications.dead" },
    { topic: "notifications.client_events" },
    { deadLetterTopic: "notifications.in_app" },
    { topic: "a", clientEventsTopic: "a" },
    { topic: "a", outcomesTopic: "a" },
  ].map((topics) => rule("spec.router.kafka", "spec.router.kafka.topic", ownTopics, ofTopics(topics))),
  good("spec.router", { kafka: { brokers: ["kafka:9092"], topic: "a", deadLetterTopic: "b", clientEventsTopic: "b", outcomesTopic: "b" } }),
  ...["topic", "deadLetterTopic", "clientEventsTopic", "outcomesTopic"].flatMap((name) => {
    const at = `spec.router.kafka.${name}`;
    return [".", ".."].map((value) => rule(at, at, 'Kafka has no topics named "." or ".."', ofTopics({ [name]: value })));
  }),
  good("spec.router", { kafka: { brokers: ["kafka:9092"], topic: "...", deadLetterTopic: ".a", outcomesTopic: "a." } }),
);

const addresses = joinRows(
  topicRules,
  redisAddresses,
  ...["kafka:65536", "kafka:99999", "kafka:0", "kafka:09092", "kafka", "a b:9092", "fd00::1:9092", "kafka:9092\n", "kafka:9092,b:9092"].map(
    (address) => rule(broker, broker, brokerAddress, ofBrokers([address])),
  ),
  rule(broker, "spec.router.kafka.brokers[1]", brokerAddress, ofBrokers(["kafka:9092", "kafka:70000"])),
  good("spec.router", { kafka: { brokers: ["kafka_1.push.svc.cluster.local.:65535", "127.0.0.1:1", "[fd00::1]:9092"] } }),
  ...["a b", " ", "a\t", "a:\n", "{demo}", "a{", "a}"].map((prefix) =>
    rule("spec.registry.keyPrefix", "spec.registry.keyPrefix", prefixText, ofPrefix(prefix)),
  ),
  ...["", "push/demo:", "!#$%~é"].map((keyPrefix) => good("spec.registry", { kind: "Redis", url, keyPrefix })),
);

const contactPoint = "spec.store.contactPoints[0]";
const contactPoints = joinRows(
  ...["cassandra:0", "cassandra:65536", "cassan dra", "fd00::1", "cassandra:", "a,b"].map((point) =>
    rule(contactPoint, contactPoint, "a contact point must be host or host:port", {
      "spec.store": { ...cassandra, contactPoints: [point] },
    }),
  ),
  good("spec.store", { ...cassandra, contactPoints: ["cassandra_1.push", "127.0.0.1:65535", "[fd00::1]", "[fd00::1]:9042"] }),
);

const storeRules = joinRows(
  addresses,
  contactPoints,
  rule("spec.registry", "spec.registry.url", "registry.kind Redis needs registry.url", { "spec.registry": { kind: "Redis" } }),
  rule("spec.registry", "spec.registry.url", "registry.url is read with registry.kind Redis only", {
    "spec.registry": { kind: "Memory", url },
  }),
  good("spec.registry", { kind: "Redis", url: "rediss://redis" }),
  ...["contactPoints", "localDataCenter", "keyspace"].map((name) =>
    rule("spec.store", "spec.store", cassandraNeeds, { "spec.store": { ...cassandra, [name]: undefined } }),
  ),
  ...(["contactPoints", "localDataCenter", "keyspace"] as const).map((name) =>
    rule("spec.store", "spec.store", cassandraOnly, { "spec.store": { kind: "Redis", url, [name]: cassandra[name] } }),
  ),
  rule("spec.store", "spec.store.url", "store.kind Redis needs store.url", { "spec.store": { kind: "Redis" } }),
  rule("spec.store", "spec.store.url", "store.url is read with store.kind Redis only", { "spec.store": { ...cassandra, url } }),
  good("spec.store", cassandra),
  good("spec.store", { kind: "Redis", url }),
);

const loadBalancerRules = joinRows(
  rule("spec.loadBalancer", "spec.loadBalancer.haproxy", "loadBalancer.haproxy is read with loadBalancer.kind HAProxy only", {
    "spec.loadBalancer": { haproxy: {} },
  }),
  good("spec.loadBalancer", { kind: "HAProxy" }),
);

/** Around the spec. A name that is absent or empty is refused before the schema is asked. */
const envelope = joinRows(
  bad("metadata.name", "", { keyword: "minLength", bound: 1, server: "name or generateName is required", offline: "" }),
  bad("metadata.name", undefined, { keyword: "document", bound: "name", server: "name or generateName is required", offline: "" }),
  bad("metadata.name", "a".repeat(29), { keyword: "maxLength", bound: 28, server: "may not be more than 28 bytes", offline: "28" }),
  ...["1-demo", "demo-", "demo.eu"].map((name) =>
    bad("metadata.name", name, {
      keyword: "pattern",
      bound: "^[a-z]([-a-z0-9]*[a-z0-9])?$",
      server: "should match '^[a-z]([-a-z0-9]*[a-z0-9])?$'",
      offline: "",
    }),
  ),
  good("metadata.name", "a"),
  good("metadata.name", "a".repeat(28)),
  good("metadata", { name: "demo", labels: { team: "push" }, annotations: { "example.com/owner": "push" } }),
  bad("unheardOf", 1, { keyword: "unknownField", bound: true, server: 'unknown field "unheardOf"', offline: "unheardOf", at: "" }),
  bad("spec", undefined, { keyword: "required", bound: "spec", server: "Required value", offline: "required", at: "" }),
  bad("spec", null, { keyword: "required", bound: "spec", server: "Required value", offline: "required", at: "" }),
);

/** A field that is written without a value counts as absent: its default stands, if it has one. */
const nulls = joinRows(
  good("spec", { dryRun: null, gateway: null, pools: null, drain: { deadlineSeconds: null, reconnectsPerSecond: 5 } }),
  good("spec", { replicas: null, gateway: { auth: { issuer: null }, tls: null }, store: null }),
);

const rows = joinRows(
  gatewayRules,
  poolRules,
  podRules,
  fleetRules,
  storeRules,
  loadBalancerRules,
  envelope,
  nulls,
  writtenManifests,
  specBounds,
  good("spec", {}),
  good("spec", wholeManifest.spec),
);

/** Manifests that break one CEL rule or one bound of crds/pushgateway.yaml each: every one of them at least once (see
 *  bad-manifests.test.ts). Three judges refuse them: the API server, `parseManifest` and with it `pushfleet validate` and local mode. */
export const badManifests: readonly BadManifest[] = rows.bad;

/** Manifests that keep every rule and bound, by a little. */
export const goodManifests: readonly GoodManifest[] = rows.good;
