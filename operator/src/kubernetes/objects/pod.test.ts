import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { anyFleet, exampleFleet, exampleOperator } from "../../../../test/support/example-fleet.js";
import { type PodGrant, parseGrant, podName } from "../../core/index.js";
import type { Fleet, Pool } from "./fleet.js";
import { instantiatePod } from "./instantiate-pod.js";
import { buildPodTemplate } from "./pod-template.js";
import { poolRevision } from "./revisions.js";
import { isSafeOn, type NodeVersions } from "./sysctls.js";

const grant: PodGrant = {
  purpose: "serve",
  reconnectsPerSecond: 0,
  heldPerSecond: 0,
  deadlineMs: 0,
  stragglerGraceMs: 0,
  epoch: 3,
  serial: 1,
  sinceMs: 5,
  extensions: 0,
  reason: "none",
};
const newNodes: readonly NodeVersions[] = [{ kubeletVersion: "v1.34.4", kernelVersion: "6.1.0" }];
const oldNodes: readonly NodeVersions[] = [...newNodes, { kubeletVersion: "v1.28.1", kernelVersion: "5.4.0" }];

function firstPool(fleet: Fleet): Pool {
  const [pool] = fleet.spec.pools;
  if (pool === undefined) throw new Error("a fleet without a pool");
  return pool;
}

function makePod(fleet: Fleet, nodes = newNodes, pool = firstPool(fleet), slot = 3) {
  const revision = poolRevision(fleet.spec, pool);
  const template = buildPodTemplate(fleet, pool, exampleOperator, revision);
  const name = podName(fleet.name, pool.name, slot, revision);
  return instantiatePod(template, { fleet, name, pool: pool.name, slot, revision, grant, nodes });
}

const withPool = (pool: object) => exampleFleet({ pools: [{ name: "default", ...pool }] });
const sysctlNames = (fleet: Fleet, nodes?: readonly NodeVersions[]) =>
  (makePod(fleet, nodes).spec?.securityContext?.sysctls ?? []).map(({ name }) => name);

describe("a gateway pod", () => {
  const pod = makePod(exampleFleet({ drain: { deadlineSeconds: 100, stragglerGraceSeconds: 7, reconnectsPerSecond: 9 } }));
  const spec = pod.spec;
  const [container, ...others] = spec?.containers ?? [];

  test("says which one it is, whose it is, and what the operator wants of it", () => {
    expect(pod.metadata.labels).toMatchObject({
      "app.kubernetes.io/name": "pushfleet",
      "app.kubernetes.io/managed-by": "pushfleet-operator",
      "app.kubernetes.io/instance": "demo",
      "app.kubernetes.io/component": "gateway",
      "pushfleet.dev/fleet": "demo",
      "pushfleet.dev/pool": "default",
      "pushfleet.dev/slot": "3",
    });
    expect(pod.metadata.labels).not.toHaveProperty(["pushfleet.dev/counted"]);
    expect(parseGrant(pod.metadata.annotations?.["pushfleet.dev/grant"])).toEqual(grant);
    expect(pod.metadata.ownerReferences).toMatchObject([{ kind: "PushGateway", name: "demo", controller: true, blockOwnerDeletion: true }]);
  });

  test("keeps every rule of the restricted Pod Security Standard", () => {
    expect(spec?.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
    expect(spec?.securityContext?.runAsUser).toBeGreaterThan(0);
    expect(container?.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      runAsNonRoot: true,
      capabilities: { drop: ["ALL"] },
    });
    expect(spec).not.toHaveProperty("hostNetwork");
    expect(spec).not.toHaveProperty("hostPID");
    expect(spec).not.toHaveProperty("hostIPC");
    expect(container?.ports?.every((port) => port.hostPort === undefined)).toBe(true);
    expect(others).toEqual([]);
    expect(spec).not.toHaveProperty("initContainers");
    for (const volume of spec?.volumes ?? [])
      expect(Object.keys(volume)).toEqual(["name", expect.stringMatching(/^(emptyDir|configMap|secret)$/)]);
    expect(spec?.automountServiceAccountToken).toBe(false);
  });

  test("is ready when the operator says so and /readyz answers", () => {
    expect(spec?.readinessGates).toEqual([{ conditionType: "pushfleet.dev/accepting" }]);
    expect(container?.readinessProbe?.httpGet).toMatchObject({ path: "/readyz", port: 9091 });
    expect(container?.livenessProbe?.httpGet).toMatchObject({ path: "/healthz", port: 9091 });
    expect(container?.startupProbe?.httpGet).toMatchObject({ path: "/healthz", port: 9091 });
    expect(container?.lifecycle?.preStop).toEqual({ sleep: { seconds: 5 } });
    expect(spec?.restartPolicy).toBe("Always");
  });

  test("has the time of a whole drain, and is told the same", () => {
    expect(spec?.terminationGracePeriodSeconds).toBe(100 + 7 + 5 + 15);
    expect(container?.env).toEqual(
      expect.arrayContaining([
        { name: "PUSHFLEET_GATEWAY_DRAIN_DEADLINE_MS", value: "100000" },
        { name: "PUSHFLEET_GATEWAY_DRAIN_STRAGGLER_GRACE_MS", value: "7000" },
        { name: "PUSHFLEET_GATEWAY_DRAIN_RECONNECTS_PER_SECOND", value: "9" },
      ]),
    );
  });

  test("reads the configuration of its revision, its own certificate and the key of the tokens", () => {
    const revision = pod.metadata.labels?.["pushfleet.dev/revision"];
    expect(spec?.volumes).toEqual(
      expect.arrayContaining([
        { name: "configuration", configMap: { name: `demo-default-${revision}` } },
        { name: "tls", secret: { secretName: `${pod.metadata.name}-tls`, defaultMode: 0o440 } },
        { name: "auth", secret: { secretName: "jwt", defaultMode: 0o440, items: [{ key: "key", path: "hs256" }] } },
      ]),
    );
    expect(spec?.hostname).toBe(pod.metadata.name);
    expect(spec?.subdomain).toBe("demo-gateways");
    expect(spec?.enableServiceLinks).toBe(false);
  });

  test("is spread over zones and nodes unless the pool says otherwise, always among its own pool", () => {
    const matchLabels = { "app.kubernetes.io/component": "gateway", "pushfleet.dev/fleet": "demo", "pushfleet.dev/pool": "default" };
    expect(spec?.topologySpreadConstraints).toEqual([
      { maxSkew: 1, topologyKey: "topology.kubernetes.io/zone", whenUnsatisfiable: "ScheduleAnyway", labelSelector: { matchLabels } },
      { maxSkew: 1, topologyKey: "kubernetes.io/hostname", whenUnsatisfiable: "ScheduleAnyway", labelSelector: { matchLabels } },
    ]);
    const own = [{ maxSkew: 2, topologyKey: "rack", whenUnsatisfiable: "DoNotSchedule" }];
    expect(makePod(withPool({ topologySpreadConstraints: own })).spec?.topologySpreadConstraints).toEqual([
      { ...own[0], labelSelector: { matchLabels } },
    ]);
  });

  test("runs the image of the spec, or of the operator's release", () => {
    expect(container?.image).toBe("example/gateway@sha256:1");
    const gateway = { image: "mine:1", auth: { hs256SecretRef: { name: "jwt", key: "key" } } };
    expect(makePod(exampleFleet({ gateway })).spec?.containers[0]?.image).toBe("mine:1");
  });

  test("asks for the sysctls that all nodes of the day have safe, and for no other", () => {
    expect(sysctlNames(withPool({}), newNodes)).toEqual([
      "net.ipv4.ip_local_port_range",
      "net.ipv4.tcp_fin_timeout",
      "net.ipv4.tcp_rmem",
      "net.ipv4.tcp_wmem",
    ]);
    expect(sysctlNames(withPool({}), oldNodes)).toEqual(["net.ipv4.ip_local_port_range"]);
    expect(sysctlNames(withPool({}), [])).toEqual(["net.ipv4.ip_local_port_range"]);
    expect(sysctlNames(withPool({ tuning: { profile: "None" } }), newNodes)).toEqual([]);
  });

  test("asks for unsafe ones of its network namespace where the spec says that the kubelets allow it", () => {
    const asked = sysctlNames(withPool({ tuning: { unsafeSysctls: "Pod" } }), oldNodes);
    expect(asked).toEqual(expect.arrayContaining(["net.core.somaxconn", "net.ipv4.tcp_max_syn_backlog", "net.ipv4.tcp_rmem"]));
    expect(asked.filter((name) => /rmem_max|wmem_max|netdev|conntrack|^fs\./.test(name))).toEqual([]);
  });

  test("whatever the spec, no kubelet ends the pod with SysctlForbidden, and its names fit", () => {
    const anyNodes = fc.array(
      fc.record({
        kubeletVersion: fc.constantFrom("v1.27.0", "v1.29.3", "v1.31.1", "v1.32.0", "v1.34.4"),
        kernelVersion: fc.constantFrom("4.4.0", "4.14.1", "5.15.0"),
      }),
    );
    fc.assert(
      fc.property(anyFleet, anyNodes, fc.integer({ min: 0, max: 9999 }), (fleet, nodes, slot) => {
        for (const pool of fleet.spec.pools) {
          const made = makePod(fleet, nodes, pool, slot);
          expect(made.metadata.name.length).toBeLessThanOrEqual(63);
          expect(made.metadata.name).toMatch(/^[a-z]([-a-z0-9]*[a-z0-9])?$/);
          const names = (made.spec?.containers[0]?.ports ?? []).map(({ name = "" }) => name);
          expect(names.filter((name) => name.length > 15)).toEqual([]);
          expect(new Set(names).size).toBe(names.length);
          const numbers = (made.spec?.containers[0]?.ports ?? []).map(({ containerPort }) => containerPort);
          expect(new Set(numbers).size).toBe(numbers.length);
          if (pool.tuning.unsafeSysctls === "Pod") continue;
          for (const { name } of made.spec?.securityContext?.sysctls ?? []) expect(isSafeOn(name, nodes)).toBe(true);
        }
      }),
      { numRuns: 30 },
    );
  });
});
