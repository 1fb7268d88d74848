import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { anySpec, completeSpec, exampleFleet, exampleOperator, smallestSpec } from "../../../../test/support/example-fleet.js";
import { gatewayWish, haproxyWish, routerWish } from "./recipes.js";
import { haproxyRevision, poolRevision, routerRevision } from "./revisions.js";
import { buildControllerRevision, chooseRevision, readControllerRevision, type StoredRevision } from "./stored-revision.js";

const pool = { name: "default", minReplicas: 3, maxReplicas: 10 };
const auth = smallestSpec.gateway.auth;
const revision = (over: object): string => {
  const spec = completeSpec({ ...smallestSpec, pools: [pool], ...over });
  const [first] = spec.pools;
  if (first === undefined) throw new Error("a spec without pools");
  return poolRevision(spec, first);
};

describe("a pool's revision", () => {
  test.each([
    ["gateway.image", { gateway: { auth, image: "mine:1" } }],
    ["gateway.workers", { gateway: { auth, workers: 4 } }],
    ["gateway.resources", { gateway: { auth, resources: { limits: { memory: "1Gi" } } } }],
    ["gateway.tls", { gateway: { auth, tls: { secretName: "clients" } } }],
    ["gateway.auth", { gateway: { auth: { ...auth, issuer: "me" } } }],
    ["gateway.limits", { gateway: { auth, limits: { handshakesPerSecond: 1 } } }],
    ["gateway.heartbeat", { gateway: { auth, heartbeat: { intervalSeconds: 20, timeoutSeconds: 90 } } }],
    ["gateway.allowedOrigins", { gateway: { auth, allowedOrigins: ["https://a.example"] } }],
    ["gateway.extraPorts", { gateway: { auth, extraPorts: [8081] } }],
    ["hardConnections", { pools: [{ ...pool, hardConnections: 600_000 }] }],
    ["nodeSelector", { pools: [{ ...pool, nodeSelector: { a: "b" } }] }],
    ["tolerations", { pools: [{ ...pool, tolerations: [{ key: "a", operator: "Exists" }] }] }],
    ["topologySpreadConstraints", { pools: [{ ...pool, topologySpreadConstraints: [] }] }],
    ["tuning.profile", { pools: [{ ...pool, tuning: { profile: "None" } }] }],
    ["tuning.sysctls", { pools: [{ ...pool, tuning: { sysctls: { "net.core.somaxconn": "1024" } } }] }],
    ["tuning.unsafeSysctls", { pools: [{ ...pool, tuning: { unsafeSysctls: "None" } }] }],
    ["tuning.nofile", { pools: [{ ...pool, tuning: { nofile: 2_000_000 } }] }],
    ["registry", { registry: { kind: "Redis", url: "redis://other:6379" } }],
    ["the pool's name", { pools: [{ ...pool, name: "other" }] }],
  ])("moves with %s", (_, over) => {
    expect(revision(over)).not.toBe(revision({}));
    expect(revision(over)).toMatch(/^[0-9a-f]{8}$/);
  });

  test.each([
    ["replicas", { pools: [{ ...pool, minReplicas: 5, maxReplicas: 50 }], replicas: 7 }],
    ["softConnections", { pools: [{ ...pool, softConnections: 100 }] }],
    ["drain", { drain: { deadlineSeconds: 99, reconnectsPerSecond: 5 } }],
    ["rollout", { rollout: { maxSurge: 4, adoptOperatorTemplate: true } }],
    ["autoscaling", { autoscaling: { mode: "None" } }],
    ["the load balancer", { loadBalancer: { kind: "HAProxy" } }],
    ["routers", { router: { minReplicas: 1, maxReplicas: 1, image: "mine" } }],
    ["the authority", { certificateAuthority: { secretName: "ca" } }],
    ["dryRun", { dryRun: true }],
  ])("stays with %s", (_, over) => {
    expect(revision(over)).toBe(revision({}));
  });

  test("does not know the operator: only what it is told of the spec", () => {
    const other = { ...exampleOperator, images: { gateway: "new", router: "new", haproxy: "new" } };
    const fleet = exampleFleet({ loadBalancer: { kind: "HAProxy" } });
    fc.assert(
      fc.property(anySpec, (spec) => {
        for (const one of spec.pools) {
          const of = { ...fleet, spec };
          expect(gatewayWish(of, one, other).inputs).toBe(gatewayWish(of, one, exampleOperator).inputs);
        }
      }),
      { numRuns: 20 },
    );
    expect(routerWish(fleet, other).inputs).toBe(routerWish(fleet, exampleOperator).inputs);
    expect(haproxyWish(fleet, other).inputs).toBe(haproxyWish(fleet, exampleOperator).inputs);
  });

  test("keeps apart pools of different fleets whose pods would else have one name", () => {
    // fleet "a", pool "b-c" and fleet "a-b", pool "c"
    expect(revision({ pools: [{ ...pool, name: "b-c" }] })).not.toBe(revision({ pools: [{ ...pool, name: "c" }] }));
  });
});

test("the routers' revision moves with what a router reads, not with how many there are", () => {
  const of = (over: object): string => routerRevision(completeSpec({ ...smallestSpec, ...over }));
  expect(of({ router: { minReplicas: 1, maxReplicas: 1, kafka: { brokers: ["kafka:9092"] } } })).not.toBe(of({}));
  expect(of({ store: { kind: "Memory", allowVolatile: false } })).not.toBe(of({}));
  expect(of({ router: { minReplicas: 2, maxReplicas: 9 } })).toBe(of({}));
});

test("the HAProxies' revision stays while their sizes do, and moves with the ports", () => {
  const of = (over: object): string => haproxyRevision(completeSpec({ ...smallestSpec, ...over }));
  expect(of({ pools: [{ ...pool, maxReplicas: 11 }] })).toBe(of({ pools: [pool] }));
  expect(of({ pools: [{ ...pool, maxReplicas: 40 }] })).not.toBe(of({ pools: [pool] }));
  expect(of({ gateway: { auth, extraPorts: [8081] } })).not.toBe(of({}));
});

describe("which revision is in force", () => {
  const fleet = exampleFleet();
  const operators = [1, 2].map((version) => ({ ...exampleOperator, images: { ...exampleOperator.images, router: `router:${version}` } }));
  const [older, newer] = operators as [typeof exampleOperator, typeof exampleOperator];
  const adopting = (on: boolean) => ({ ...fleet, spec: { ...fleet.spec, rollout: { ...fleet.spec.rollout, adoptOperatorTemplate: on } } });
  const choose = (stored: readonly StoredRevision[], operator: typeof exampleOperator, on = false) =>
    chooseRevision(stored, routerWish(adopting(on), operator));

  const first = choose([], older);
  const image = ({ template }: StoredRevision) => template.spec?.containers[0]?.image;

  test("the first one is named after the spec's inputs", () => {
    expect(first).toMatchObject({ isNew: true, isOutdated: false, inForce: { revision: routerRevision(fleet.spec), number: 1 } });
  });

  test("a newer operator goes on with the stored one, and says that it is outdated", () => {
    const then = choose([first.inForce], newer);
    expect(then).toEqual({ inForce: first.inForce, isNew: false, isOutdated: true });
    expect(choose([first.inForce], older)).toEqual({ inForce: first.inForce, isNew: false, isOutdated: false });
  });

  test("with adoptOperatorTemplate a newer operator makes a revision of its own, once, and keeps it when that is turned off", () => {
    const adopted = choose([first.inForce], newer, true);
    expect(adopted).toMatchObject({ isNew: true, isOutdated: false, inForce: { number: 2 } });
    expect(image(adopted.inForce)).toBe("router:2");
    expect(adopted.inForce.revision).not.toBe(first.inForce.revision);
    const stored = [first.inForce, adopted.inForce];
    expect(choose(stored, newer, true)).toEqual({ inForce: adopted.inForce, isNew: false, isOutdated: false });
    expect(choose(stored, newer, false)).toEqual({ inForce: adopted.inForce, isNew: false, isOutdated: false });
  });

  test("two operators that adopt in turn never meet a stored revision under a name with other contents", () => {
    let stored: readonly StoredRevision[] = [first.inForce];
    for (const operator of [newer, older, newer, older, newer]) {
      const { inForce, isNew } = choose(stored, operator, true);
      expect(image(inForce)).toBe(operator.images.router);
      if (isNew) expect(stored.map((one) => one.revision)).not.toContain(inForce.revision);
      if (isNew) stored = [...stored, inForce];
    }
  });

  test("an edit and its undoing come back to the stored revision", () => {
    const edited = { ...fleet, spec: { ...fleet.spec, router: { ...fleet.spec.router, image: "mine" } } };
    const second = chooseRevision([first.inForce], routerWish(edited, newer));
    expect(second).toMatchObject({ isNew: true });
    expect(choose([first.inForce, second.inForce], newer)).toMatchObject({ isNew: false, inForce: first.inForce });
  });

  test("a revision survives its ControllerRevision as JSON, and one edited into nonsense is as good as absent", () => {
    const object = JSON.parse(JSON.stringify(buildControllerRevision(fleet, first.inForce)));
    expect(object).toMatchObject({
      apiVersion: "apps/v1",
      kind: "ControllerRevision",
      metadata: { name: `demo-router-${first.inForce.revision}` },
    });
    expect(readControllerRevision(object)).toEqual(JSON.parse(JSON.stringify(first.inForce)));
    for (const data of [undefined, {}, { ...object.data, template: { spec: {} } }, { ...object.data, files: { a: 1 } }]) {
      expect(readControllerRevision({ ...object, data })).toBeUndefined();
    }
    expect(readControllerRevision({ ...object, metadata: { ...object.metadata, labels: {} } })).toBeUndefined();
  });
});
