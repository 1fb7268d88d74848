import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { anyFleet, exampleFleet, exampleOperator } from "../../../../test/support/example-fleet.js";
import type { KubernetesObject } from "../api/types.js";
import { buildResumeSecret } from "./configuration-objects.js";
import { minAvailableNever } from "./disruption-budgets.js";
import type { Fleet } from "./fleet.js";
import { buildFleetObjects } from "./fleet-objects.js";
import type { NetworkPolicy } from "./network-policies.js";
import { gatewayWish, haproxyWish, routerWish } from "./recipes.js";
import { chooseRevision } from "./stored-revision.js";

function objectsOf(fleet: Fleet, routerReplicas = 2): readonly KubernetesObject[] {
  const hasHaproxy = fleet.spec.loadBalancer.kind === "HAProxy";
  return buildFleetObjects(fleet, exampleOperator, {
    revisions: fleet.spec.pools.map((pool) => chooseRevision([], gatewayWish(fleet, pool, exampleOperator)).inForce),
    router: chooseRevision([], routerWish(fleet, exampleOperator)).inForce,
    routerReplicas,
    haproxy: hasHaproxy ? chooseRevision([], haproxyWish(fleet, exampleOperator)).inForce : undefined,
  });
}

const find = (objects: readonly KubernetesObject[], kind: string, name: string): unknown => {
  const found = objects.find((one) => one.kind === kind && one.metadata.name === name);
  if (found === undefined)
    throw new Error(`no ${kind} ${name} among ${objects.map((one) => `${one.kind} ${one.metadata.name}`).join(", ")}`);
  return found;
};

const haproxyFleet = exampleFleet({ loadBalancer: { kind: "HAProxy" } });

describe("what a fleet owns", () => {
  test("is listed in full", () => {
    const names = (fleet: Fleet) => objectsOf(fleet).map((one) => `${one.kind} ${one.metadata.name.replace(/-[0-9a-f]{8}$/, "-*")}`);
    const plain = [
      "ServiceAccount demo-gateway",
      "ServiceAccount demo-router",
      "NetworkPolicy demo-gateway",
      "NetworkPolicy demo-router",
      "ConfigMap demo-default-*",
      "ConfigMap demo-router-*",
      "Service demo-gateways",
      "Service demo-router",
      "Service demo",
      "PodDisruptionBudget demo-gateways",
      "PodDisruptionBudget demo-router",
      "Deployment demo-router",
    ];
    expect(names(exampleFleet())).toEqual(plain);
    expect(names(haproxyFleet)).toEqual(
      expect.arrayContaining([
        ...plain,
        "ServiceAccount demo-haproxy",
        "NetworkPolicy demo-haproxy",
        "ConfigMap demo-haproxy-*",
        "PodDisruptionBudget demo-haproxy",
        "Deployment demo-haproxy",
      ]),
    );
  });

  test("has a name that fits, an owner and labels, whatever the spec", () => {
    fc.assert(
      fc.property(anyFleet, (fleet) => {
        const objects = objectsOf(fleet);
        const keys = objects.map((one) => `${one.kind}/${one.metadata.name}`);
        expect(new Set(keys).size).toBe(keys.length);
        for (const { metadata } of objects) {
          expect(metadata.name).toMatch(/^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/);
          expect(metadata.namespace).toBe(fleet.namespace);
          expect(metadata.ownerReferences).toMatchObject([{ uid: fleet.uid, controller: true, blockOwnerDeletion: true }]);
          expect(metadata.labels).toMatchObject({
            "pushfleet.dev/fleet": fleet.name,
            "app.kubernetes.io/managed-by": "pushfleet-operator",
          });
          for (const value of Object.values(metadata.labels ?? {})) expect(value.length).toBeLessThanOrEqual(63);
        }
      }),
      { numRuns: 30 },
    );
  });

  test("keeps the configuration of an older revision while pods read it, and its address Secret is left alone", () => {
    const before = exampleFleet({ registry: { kind: "Redis", url: "redis://a:b@one:6379" } });
    const fleet = exampleFleet({ registry: { kind: "Redis", url: "redis://a:b@two:6379" } });
    const [pool] = fleet.spec.pools;
    if (pool === undefined) throw new Error("a fleet without a pool");
    const old = chooseRevision([], gatewayWish(before, pool, exampleOperator)).inForce;
    const now = chooseRevision([old], gatewayWish(fleet, pool, exampleOperator)).inForce;
    const router = chooseRevision([], routerWish(fleet, exampleOperator)).inForce;
    const objects = buildFleetObjects(fleet, exampleOperator, { revisions: [old, now], router, routerReplicas: 1 });
    const names = (kind: string) => objects.filter((one) => one.kind === kind).map((one) => one.metadata.name);
    expect(names("ConfigMap")).toEqual([`demo-default-${old.revision}`, `demo-default-${now.revision}`, `demo-router-${router.revision}`]);
    expect(names("Secret")).toEqual([`demo-default-${now.revision}`, `demo-router-${router.revision}`]);
  });
});

describe("Services", () => {
  test("clients reach the gateways, or the HAProxies where there are any", () => {
    expect(find(objectsOf(exampleFleet()), "Service", "demo")).toMatchObject({
      spec: {
        type: "LoadBalancer",
        selector: { "app.kubernetes.io/component": "gateway", "pushfleet.dev/fleet": "demo" },
        ports: [{ port: 80, targetPort: "clients" }],
        externalTrafficPolicy: "Cluster",
        sessionAffinity: "None",
      },
    });
    expect(find(objectsOf(haproxyFleet), "Service", "demo")).toMatchObject({
      spec: { selector: { "app.kubernetes.io/component": "haproxy" } },
    });
  });

  test("take port, annotations, policy and affinity of the spec; a ClusterIP has no external policy", () => {
    const service = { type: "NodePort", port: 8443, annotations: { a: "b" }, externalTrafficPolicy: "Local", sessionAffinity: "ClientIP" };
    expect(find(objectsOf(exampleFleet({ loadBalancer: { service } })), "Service", "demo")).toMatchObject({
      metadata: { annotations: { a: "b" } },
      spec: { type: "NodePort", ports: [{ port: 8443 }], externalTrafficPolicy: "Local", sessionAffinity: "ClientIP" },
    });
    const inside = find(objectsOf(exampleFleet({ loadBalancer: { service: { type: "ClusterIP" } } })), "Service", "demo");
    expect(inside).not.toHaveProperty("spec.externalTrafficPolicy");
    const gateway = { tls: { secretName: "clients" }, auth: { hs256SecretRef: { name: "jwt", key: "key" } } };
    expect(find(objectsOf(exampleFleet({ gateway })), "Service", "demo")).toMatchObject({ spec: { ports: [{ port: 443 }] } });
  });

  test("the headless ones name every gateway, ready or not, and only ready routers", () => {
    expect(find(objectsOf(exampleFleet()), "Service", "demo-gateways")).toMatchObject({
      spec: { clusterIP: "None", publishNotReadyAddresses: true },
    });
    const routers = find(objectsOf(exampleFleet()), "Service", "demo-router");
    expect(routers).toMatchObject({
      spec: {
        clusterIP: "None",
        ports: [
          { name: "grpc", port: 9200 },
          { name: "admin", port: 9092 },
        ],
      },
    });
    expect(routers).not.toHaveProperty("spec.publishNotReadyAddresses");
  });
});

test("no eviction of a gateway is ever granted, one that is not ready included", () => {
  expect(find(objectsOf(exampleFleet()), "PodDisruptionBudget", "demo-gateways")).toMatchObject({
    spec: {
      minAvailable: minAvailableNever,
      unhealthyPodEvictionPolicy: "IfHealthyBudget",
      selector: { matchLabels: { "app.kubernetes.io/component": "gateway", "pushfleet.dev/fleet": "demo" } },
    },
  });
  const podsMax = 16 * (1000 + 100);
  expect(minAvailableNever).toBeGreaterThan(podsMax);
});

describe("network policies (I7)", () => {
  const policy = (fleet: Fleet, name: string) => find(objectsOf(fleet), "NetworkPolicy", name) as NetworkPolicy;
  const of = (component: string) => ({
    podSelector: { matchLabels: { "app.kubernetes.io/component": component, "pushfleet.dev/fleet": "demo" } },
  });
  const operator = { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "pushfleet-system" } } };
  const tcp = (port: number) => ({ protocol: "TCP", port });
  const grpc = { protocol: "TCP", port: 9101, endPort: 9228 };

  test("anybody reaches a gateway's client ports; its gRPC is for routers, gateways and the operator, its admin port for the operator", () => {
    const gateway = { auth: { hs256SecretRef: { name: "jwt", key: "key" } }, extraPorts: [8081] };
    const { spec } = policy(exampleFleet({ gateway }), "demo-gateway");
    expect(spec.podSelector).toEqual(of("gateway").podSelector);
    expect(spec.policyTypes).toEqual(["Ingress"]);
    expect(spec.ingress).toEqual([
      { ports: [tcp(8080), tcp(8081)] },
      { from: [of("router"), of("gateway")], ports: [grpc] },
      { from: [operator], ports: [grpc, tcp(9091)] },
    ]);
  });

  test("behind HAProxies only they reach a gateway's client ports, and its health", () => {
    expect(policy(haproxyFleet, "demo-gateway").spec.ingress[0]).toEqual({ from: [of("haproxy")], ports: [tcp(8080), tcp(9091)] });
    expect(policy(haproxyFleet, "demo-haproxy").spec.ingress).toEqual([{ ports: [tcp(8080)] }, { from: [operator], ports: [tcp(9093)] }]);
  });

  test("a router is for gateways, routers and the operator", () => {
    expect(policy(exampleFleet(), "demo-router").spec.ingress).toEqual([
      { from: [of("gateway"), of("router")], ports: [tcp(9200)] },
      { from: [operator], ports: [tcp(9200), tcp(9092)] },
    ]);
  });

  test("nothing but client ports is open to all, whatever the spec", () => {
    fc.assert(
      fc.property(anyFleet, (fleet) => {
        const policies = objectsOf(fleet).filter((one): one is NetworkPolicy => one.kind === "NetworkPolicy");
        const open = policies.flatMap((one) => one.spec.ingress.filter((rule) => rule.from === undefined).flatMap((rule) => rule.ports));
        const clients = [8080, ...fleet.spec.gateway.extraPorts];
        expect(open.filter(({ port, endPort }) => !clients.includes(port) || endPort !== undefined)).toEqual([]);
      }),
      { numRuns: 20 },
    );
  });
});

describe("Deployments", () => {
  test("routers are replaced one by one, or one after the other where the store is inside", () => {
    const memory = find(objectsOf(exampleFleet(), 1), "Deployment", "demo-router");
    expect(memory).toMatchObject({ spec: { replicas: 1, strategy: { type: "Recreate" } } });
    const redis = exampleFleet({ store: { kind: "Redis", url: "redis://redis:6379" }, router: { minReplicas: 2, maxReplicas: 4 } });
    expect(find(objectsOf(redis, 3), "Deployment", "demo-router")).toMatchObject({
      spec: { replicas: 3, strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } },
    });
  });

  test.each(["demo-router", "demo-haproxy"])("the pods of %s are selected and keep the restricted Pod Security Standard", (name) => {
    const deployment = find(objectsOf(haproxyFleet), "Deployment", name) as {
      readonly spec: {
        readonly selector: { readonly matchLabels: object };
        readonly template: { readonly metadata: { readonly labels: object }; readonly spec: { readonly containers: readonly object[] } };
      };
    };
    const { selector, template } = deployment.spec;
    expect(template.metadata.labels).toMatchObject(selector.matchLabels);
    expect(template.spec).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
    });
    for (const container of template.spec.containers) {
      expect(container).toMatchObject({
        securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ["ALL"] } },
      });
    }
  });
});

test("the resume key is text that a gateway can read from its environment", () => {
  const secret = buildResumeSecret(exampleFleet(), new Uint8Array(32).fill(251));
  expect(Buffer.from(secret.data?.["key"] ?? "", "base64").toString()).toMatch(/^[\w-]{43}$/);
});
