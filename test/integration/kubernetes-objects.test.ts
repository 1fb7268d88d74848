import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { podName } from "../../operator/src/core/index.js";
import { resourcePath } from "../../operator/src/kubernetes/api/resource-path.js";
import { resources } from "../../operator/src/kubernetes/api/resources.js";
import type { KubernetesObject, Resource } from "../../operator/src/kubernetes/api/types.js";
import { gatewayLeaf, planCertificates, routerLeaf } from "../../operator/src/kubernetes/certificates/index.js";
import {
  buildControllerRevision,
  buildFleetObjects,
  buildResumeSecret,
  chooseRevision,
  type Fleet,
  gatewayWish,
  haproxyWish,
  instantiatePod,
  type NodeVersions,
  routerWish,
} from "../../operator/src/kubernetes/objects/index.js";
import { KUBERNETES_START_DEADLINE_MS, type KubernetesServer, startKubernetes } from "../peers/kubernetes.js";
import { describeWithPeers } from "../peers/peer.js";
import { waitFor } from "../peers/wait-for.js";
import { exampleFleet, exampleOperator, firstGrant as grant } from "../support/example-fleet.js";

const auth = { hs256SecretRef: { name: "jwt", key: "key" } };
const nodes: readonly NodeVersions[] = [{ kubeletVersion: "v1.34.4", kernelVersion: "6.1.0" }];

/** Every object that is ever made for a fleet, in the order in which it is made. */
async function everything(fleet: Fleet): Promise<readonly KubernetesObject[]> {
  const hasHaproxy = fleet.spec.loadBalancer.kind === "HAProxy";
  const pools = fleet.spec.pools.map((pool) => chooseRevision([], gatewayWish(fleet, pool, exampleOperator)).inForce);
  const router = chooseRevision([], routerWish(fleet, exampleOperator)).inForce;
  const haproxy = hasHaproxy ? chooseRevision([], haproxyWish(fleet, exampleOperator)).inForce : undefined;
  const pods = pools.map(({ pool = "", revision, template }) => {
    const name = podName(fleet.name, pool, 0, revision);
    return instantiatePod(template, { fleet, name, pool, slot: 0, revision, grant, nodes });
  });
  const wanted = [routerLeaf(fleet, true), ...pods.map(({ metadata }) => gatewayLeaf(fleet, { name: metadata.name, isNew: true }))];
  const certificates = await planCertificates({ fleet, secrets: new Map(), wanted, nowMs: Date.now() });
  return [
    ...[...pools, router, ...(haproxy === undefined ? [] : [haproxy])].map((one) => buildControllerRevision(fleet, one)),
    ...certificates.writes.map(({ secret }) => secret),
    buildResumeSecret(fleet, new Uint8Array(32)),
    ...buildFleetObjects(fleet, exampleOperator, { revisions: pools, router, routerReplicas: 1, haproxy }),
    ...pods,
  ];
}

interface Example {
  readonly name: string;
  readonly spec: object;
}

const example = (name: string, spec: object): Example => ({ name, spec });

const fleets: readonly (readonly [string, Example])[] = [
  ["the smallest fleet", example("small", {})],
  [
    "a fleet with all there is",
    example("whole", {
      gateway: {
        auth: { jwksUrl: "https://issuer.example/jwks" },
        tls: { secretName: "clients" },
        workers: 128,
        extraPorts: [8081, 8082, 8083, 8084, 8085, 8086, 8087],
        resources: { limits: { cpu: 8, memory: "32Gi" }, requests: { cpu: "500m" } },
      },
      pools: [
        {
          name: "blue",
          nodeSelector: { role: "a" },
          tolerations: [{ key: "a", operator: "Exists", effect: "NoExecute", tolerationSeconds: 5 }],
        },
        {
          name: "green",
          nodeSelector: { role: "b" },
          topologySpreadConstraints: [
            { maxSkew: 1, topologyKey: "zone", whenUnsatisfiable: "DoNotSchedule", minDomains: 2, nodeTaintsPolicy: "Honor" },
          ],
        },
      ],
      registry: { kind: "Redis", url: "rediss://me:secret@redis:6379" },
      router: { minReplicas: 1, maxReplicas: 1, resources: { limits: { memory: "1Gi" } }, kafka: { brokers: ["kafka:9092"] } },
      loadBalancer: {
        kind: "HAProxy",
        haproxy: { replicas: 3, resources: { limits: { cpu: 2 } } },
        service: {
          type: "LoadBalancer",
          annotations: { "example.com/a": "b" },
          externalTrafficPolicy: "Local",
          sessionAffinity: "ClientIP",
        },
      },
    }),
  ],
  [
    "a fleet with the longest names",
    example(`${"f".repeat(28)}`, { pools: [{ name: "p".repeat(20) }], loadBalancer: { kind: "HAProxy" } }),
  ],
  ["a fleet inside the cluster", example("inside", { gateway: { auth }, loadBalancer: { service: { type: "ClusterIP" } } })],
];

describeWithPeers(["kubernetes"], "what a fleet owns, on a real API server", () => {
  let kubernetes: KubernetesServer;

  beforeAll(async () => {
    kubernetes = await startKubernetes();
    await createNamespace("push", "restricted");
    await createNamespace("privileged", "privileged");
  }, KUBERNETES_START_DEADLINE_MS * 2);
  afterAll(async () => kubernetes?.stop());

  async function createNamespace(name: string, level: string): Promise<void> {
    const labels = { "pod-security.kubernetes.io/enforce": level };
    const content = { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
    const answer = await kubernetes.request("POST", "/api/v1/namespaces", { type: "application/json", content });
    expect(answer.status).toBe(201);
  }

  /** Server-side apply as the operator does it, unknown fields refused. Returns the object, or throws with the server's words. */
  async function apply(object: KubernetesObject, dryRun = false): Promise<KubernetesObject> {
    const resource = Object.values<Resource>(resources).find((one) => one.kind === object.kind);
    if (resource === undefined) throw new Error(`no resource for ${object.kind}`);
    const path = resourcePath(resource, { namespace: object.metadata.namespace ?? "", name: object.metadata.name });
    const query = `fieldManager=pushfleet-operator&force=true&fieldValidation=Strict${dryRun ? "&dryRun=All" : ""}`;
    const answer = await kubernetes.request("PATCH", `${path}?${query}`, { type: "application/apply-patch+yaml", content: object });
    if (answer.status >= 300) throw new Error(`${object.kind} ${object.metadata.name}: ${JSON.stringify(answer.body)}`);
    return answer.body as KubernetesObject;
  }

  /** The fleet with the PushGateway that owns its objects: the garbage collector takes what has an owner that is not there. */
  async function createFleet({ name, spec }: Example, namespace = "push"): Promise<Fleet> {
    const fleet = exampleFleet(spec, { name, namespace });
    const object = { apiVersion: "pushfleet.dev/v1alpha1", kind: "PushGateway", metadata: { name, namespace }, spec: fleet.spec };
    const { uid } = (await apply(object)).metadata;
    if (uid === undefined) throw new Error("a PushGateway without a uid");
    return { ...fleet, uid };
  }

  describe.each(fleets)("%s", (_, one) => {
    test("is taken whole in a namespace that enforces the restricted Pod Security Standard, and a second time changes nothing", async () => {
      for (const object of await everything(await createFleet(one))) {
        const first = await apply(object);
        const second = await apply(object);
        const what = `${object.kind} ${object.metadata.name}`;
        // Where others write a status, a changed spec shows in the generation.
        if (first.metadata.generation !== undefined) expect(second.metadata.generation, what).toBe(first.metadata.generation);
        else expect(second.metadata.resourceVersion, what).toBe(first.metadata.resourceVersion);
      }
    });
  });

  test("examples/kubernetes.yaml is applied as it is", async () => {
    const file = new URL("../../examples/kubernetes.yaml", import.meta.url).pathname;
    const { status, stdout, stderr } = await kubernetes.kubectl(["apply", "-n", "push", "--server-side", "--validate=strict", "-f", file]);
    expect(stderr).toBe("");
    expect(stdout).toContain("pushgateway.pushfleet.dev/demo serverside-applied");
    expect(status).toBe(0);
  });

  test("the pods of routers and HAProxies are taken too, which the API server judges only when their Deployments make them", async () => {
    const objects = await everything(await createFleet(example("deployed", { loadBalancer: { kind: "HAProxy" } })));
    for (const object of objects) await apply(object);
    const selector = "pushfleet.dev/fleet=deployed,app.kubernetes.io/component in (router,haproxy)";
    const count = async (): Promise<number> => {
      const { body } = await kubernetes.request("GET", `/api/v1/namespaces/push/pods?labelSelector=${encodeURIComponent(selector)}`);
      return (body as { readonly items: readonly unknown[] }).items.length;
    };
    await waitFor(async () => (await count()) === 1 + 3, { what: "the pods of both Deployments" });
  });

  test("unsafe sysctls are taken where the namespace is privileged, and only there", async () => {
    const spec = { pools: [{ name: "default", tuning: { unsafeSysctls: "Pod" } }] };
    const podOf = async (namespace: string): Promise<KubernetesObject> => {
      const objects = await everything(await createFleet(example("unsafe", spec), namespace));
      for (const object of objects.filter(({ kind }) => kind === "ServiceAccount")) await apply(object);
      const pod = objects.find(({ kind }) => kind === "Pod");
      if (pod === undefined) throw new Error("no pod");
      return pod;
    };
    await apply(await podOf("privileged"), true);
    await expect(apply(await podOf("push"), true)).rejects.toThrow(/forbidden sysctls|PodSecurity/);
  });

  test("no eviction of a running gateway is granted, ready or not", async () => {
    const objects = await everything(await createFleet(example("evicted", {})));
    for (const object of objects.filter(({ kind }) => kind === "PodDisruptionBudget" || kind === "ServiceAccount")) await apply(object);
    const pod = objects.find(({ kind }) => kind === "Pod");
    if (pod === undefined) throw new Error("no pod");
    await apply(pod);
    const path = `/api/v1/namespaces/push/pods/${pod.metadata.name}`;
    const evict = () => {
      const content = { apiVersion: "policy/v1", kind: "Eviction", metadata: { name: pod.metadata.name, namespace: "push" } };
      return kubernetes.request("POST", `${path}/eviction`, { type: "application/json", content });
    };
    for (const ready of ["True", "False"]) {
      const status = { phase: "Running", conditions: [{ type: "Ready", status: ready }] };
      await kubernetes.request("PATCH", `${path}/status`, { type: "application/merge-patch+json", content: { status } });
      const budget = "/apis/policy/v1/namespaces/push/poddisruptionbudgets/evicted-gateways";
      const isCounted = async (): Promise<boolean> => {
        const { body } = await kubernetes.request("GET", budget);
        const { status: seen } = body as { readonly status?: { readonly expectedPods?: number; readonly currentHealthy?: number } };
        return seen?.expectedPods === 1 && seen.currentHealthy === (ready === "True" ? 1 : 0);
      };
      await waitFor(isCounted, { what: `the budget to count a pod with Ready ${ready}` });
      expect(await evict()).toMatchObject({ status: 429 });
    }
    expect(await kubernetes.request("GET", path)).toMatchObject({ status: 200 });
  });
});
