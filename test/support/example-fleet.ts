import { Ajv } from "ajv";
import fc from "fast-check";
import type { PodGrant } from "../../operator/src/core/index.js";
import { type PushGatewaySpec, pushGatewaySchema } from "../../operator/src/generated/push-gateway.js";
import type { Fleet, OperatorFacts } from "../../operator/src/kubernetes/objects/index.js";

const validate = new Ajv({ allErrors: true, useDefaults: true, strict: false, validateFormats: false }).compile({
  properties: { spec: (pushGatewaySchema["properties"] as { readonly spec: object }).spec },
});

/** A spec as the API server hands it out: checked against the schema, defaults filled in. Throws for one it would refuse (but for CEL rules). */
export function completeSpec(spec: object): PushGatewaySpec {
  const object = { spec: structuredClone(spec) };
  if (!validate(object)) throw new Error(`not a spec: ${JSON.stringify(validate.errors?.map((e) => `${e.instancePath} ${e.message}`))}`);
  return object.spec as PushGatewaySpec;
}

/** What a fleet on Kubernetes needs at least. */
export const smallestSpec = {
  gateway: { auth: { hs256SecretRef: { name: "jwt", key: "key" } } },
  registry: { kind: "Redis", url: "redis://redis:6379" },
  store: { kind: "Memory", allowVolatile: true },
  router: { minReplicas: 1, maxReplicas: 1 },
};

/** Fields of `spec` replace those of the smallest one. */
export function exampleFleet(spec: object = {}, over: Partial<Fleet> = {}): Fleet {
  return {
    namespace: "push",
    name: "demo",
    uid: "11111111-2222-4333-8444-555555555555",
    generation: 1,
    spec: completeSpec({ ...smallestSpec, ...spec }),
    ...over,
  };
}

export const exampleOperator: OperatorFacts = {
  images: { gateway: "example/gateway@sha256:1", router: "example/router@sha256:2", haproxy: "haproxy:3.2" },
  namespace: "pushfleet-system",
};

/** A pod's first grant. */
export const firstGrant: PodGrant = {
  purpose: "serve",
  reconnectsPerSecond: 0,
  heldPerSecond: 0,
  deadlineMs: 0,
  stragglerGraceMs: 0,
  epoch: 1,
  serial: 1,
  sinceMs: 0,
  extensions: 0,
  reason: "none",
};

const dnsLabel = (maxLength: number) => fc.stringMatching(new RegExp(`^[a-z]([-a-z0-9]{0,${maxLength - 2}}[a-z0-9])?$`));
const optional = <T>(one: fc.Arbitrary<T>) => fc.option(one, { nil: undefined });

const anyPool = (name: string) =>
  fc
    .record({
      minReplicas: fc.integer({ min: 1, max: 1000 }),
      hardConnections: fc.integer({ min: 1, max: 2_000_000 }),
      nodeSelector: optional(fc.dictionary(fc.constantFrom("role", "zone"), fc.constantFrom("a", "b"))),
      tolerations: optional(
        fc.array(fc.record({ key: fc.constantFrom("a", "b"), operator: fc.constantFrom("Exists", "Equal") }), { maxLength: 3 }),
      ),
      unsafeSysctls: fc.constantFrom("Pod", "Tuner", "None"),
      profile: fc.constantFrom("websocket-500k", "None"),
      sysctls: fc.dictionary(
        fc.constantFrom("net.core.somaxconn", "net.ipv4.tcp_rmem", "fs.nr_open", "net.ipv4.tcp_keepalive_time"),
        fc.constantFrom("1024", "4096 12288 16777216"),
      ),
    })
    .map(({ minReplicas, hardConnections, unsafeSysctls, profile, sysctls, ...rest }) => ({
      name,
      minReplicas,
      maxReplicas: 1000,
      hardConnections,
      softConnections: Math.max(1, Math.floor(hardConnections / 2)),
      ...rest,
      tuning: { unsafeSysctls, profile, sysctls, nofile: Math.max(2048, hardConnections + 1024) },
    }));

const anyAuth = fc.oneof(
  fc.record({ hs256SecretRef: fc.record({ name: dnsLabel(20), key: fc.constantFrom("key", "jwt.secret") }) }),
  fc.record({
    jwksUrl: fc.webUrl({ withFragments: false }),
    issuer: optional(fc.constant("https://issuer.example")),
    audience: optional(fc.constant("push")),
    algorithms: optional(fc.uniqueArray(fc.constantFrom("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"), { minLength: 1 })),
  }),
);

/** Specs that the API takes and that a fleet can follow. */
export const anySpec: fc.Arbitrary<PushGatewaySpec> = fc
  .record({
    pools: fc.uniqueArray(dnsLabel(20), { minLength: 1, maxLength: 4 }).chain((names) => fc.tuple(...names.map(anyPool))),
    auth: anyAuth,
    tls: optional(fc.constant({ secretName: "clients-tls" })),
    workers: optional(fc.integer({ min: 1, max: 128 })),
    image: optional(fc.constant("registry.example/gateway:1")),
    cpu: optional(fc.constantFrom(8, "500m", "1.5", "200")),
    extraPorts: fc.uniqueArray(fc.oneof(fc.integer({ min: 1024, max: 8079 }), fc.integer({ min: 9229, max: 65_535 })), { maxLength: 16 }),
    kafka: optional(fc.constant({ brokers: ["kafka-0.kafka:9092", "[fd00::1]:9092"] })),
    url: fc.constantFrom("redis://redis:6379", "rediss://user:secret@redis:6379/1"),
    keyPrefix: optional(fc.constantFrom("", "a:")),
    kind: fc.constantFrom("Service", "HAProxy"),
    serviceType: fc.constantFrom("LoadBalancer", "NodePort", "ClusterIP"),
    deadlineSeconds: fc.integer({ min: 10, max: 86_400 }),
  })
  .map(({ auth, tls, workers, image, cpu, extraPorts, pools, kafka, url, keyPrefix, kind, serviceType, deadlineSeconds }) =>
    completeSpec(
      JSON.parse(
        JSON.stringify({
          gateway: { auth, tls, workers, image, extraPorts, ...(cpu === undefined ? {} : { resources: { limits: { cpu } } }) },
          pools,
          registry: { kind: "Redis", url, keyPrefix },
          store: { kind: "Memory", allowVolatile: true },
          router: { minReplicas: 1, maxReplicas: 1, kafka },
          loadBalancer: { kind, service: { type: serviceType } },
          drain: { deadlineSeconds },
        }),
      ) as object,
    ),
  );

export const anyFleet: fc.Arbitrary<Fleet> = fc
  .record({ name: dnsLabel(28), namespace: dnsLabel(63), spec: anySpec })
  .map(({ name, namespace, spec }) => ({ name, namespace, spec, uid: "11111111-2222-4333-8444-555555555555", generation: 1 }));
