import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { KUBERNETES_START_DEADLINE_MS } from "../peers/kubernetes.js";
import { describeWithPeers } from "../peers/peer.js";
import { type RedisServer, startRedis } from "../peers/redis.js";
import { waitFor } from "../peers/wait-for.js";
import { conditionOf, type FleetObject, type OperatorCluster, startOperatorCluster } from "../support/operator-cluster.js";
import { KeptOperator } from "../support/operator-kept.js";
import { clientSecret, fleetManifest, onePool, publishersSecret, ServedFleet } from "../support/operator-served.js";

/** A fleet must be well again this long after the last cause of its trouble is gone. */
const HEAL_MS = 20_000;

describeWithPeers(["kubernetes", "redis-server"], "a fleet that cannot be as its spec says", () => {
  const place = { namespace: "push", name: "demo" };
  let cluster: OperatorCluster;
  let redis: RedisServer;
  let operator: KeptOperator;
  let served: ServedFleet;

  beforeAll(async () => {
    [redis, cluster] = await Promise.all([startRedis(), startOperatorCluster()]);
    await cluster.createNamespace("push", clientSecret);
    operator = await KeptOperator.start(cluster);
    await cluster.apply(publishersSecret("push"), fleetManifest(place, redis.url));
    await settled("demo", 2);
    served = await ServedFleet.connect(cluster, place, 4);
  }, 2 * KUBERNETES_START_DEADLINE_MS);

  afterAll(async () => {
    await served?.close();
    await operator?.stop();
    await cluster?.stop();
    await redis?.stop();
  });

  const push = (...args: readonly string[]) => cluster.kubectl(["-n", "push", ...args]);
  const edit = (spec: object, name = "demo") => push("patch", "pgw", name, "--type=merge", "-p", JSON.stringify({ spec }));

  /** Serving so many, with nothing left to do and nothing wrong. */
  const settled = (name: string, pods: number, deadlineMs = 30_000) =>
    cluster.waitForFleet(
      "push",
      name,
      `settled with ${pods}`,
      (one) =>
        one.status?.pods?.serving === pods &&
        conditionOf(one, "Progressing").reason === "Settled" &&
        conditionOf(one, "Degraded").status === "False",
      deadlineMs,
    );

  /** Waits until the fleet says so, in a condition of that type. */
  const told = (name: string, type: string, expected: { readonly status: string; readonly reason: string; readonly message: RegExp }) =>
    cluster.waitForFleet("push", name, `${type} ${expected.status} ${expected.reason} ${expected.message}`, (one) => {
      const { status, reason, message } = conditionOf(one, type);
      return status === expected.status && reason === expected.reason && expected.message.test(message);
    });

  const warnings = async (reason: string): Promise<string> =>
    await push("get", "events", "--field-selector", `type=Warning,reason=${reason}`, "-o", "jsonpath={.items[*].message}");

  const namesOf = async (name = "demo") => (await cluster.gateways("push", name)).map(({ metadata }) => `${metadata.name} ${metadata.uid}`);

  /** Writes in five seconds in which nothing happens. */
  async function writesMeanwhile(): Promise<number> {
    const before = await operator.writes();
    await delay(5_000); // the span that is measured
    return (await operator.writes()) - before;
  }

  const available = (one: FleetObject) => conditionOf(one, "Available").status;

  const policy = "pods-need-a-friend";
  const selects = { matchLabels: { "kubernetes.io/metadata.name": "push" } };

  test.each([
    {
      cause: "an admission policy that denies pods",
      begin: () =>
        cluster.apply(
          {
            apiVersion: "admissionregistration.k8s.io/v1",
            kind: "ValidatingAdmissionPolicy",
            metadata: { name: policy },
            spec: {
              matchConstraints: {
                namespaceSelector: selects,
                resourceRules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"] }],
              },
              validations: [{ expression: "false", message: "ask the platform team for a friend" }],
            },
          },
          {
            apiVersion: "admissionregistration.k8s.io/v1",
            kind: "ValidatingAdmissionPolicyBinding",
            metadata: { name: policy },
            spec: { policyName: policy, validationActions: ["Deny"] },
          },
        ),
      end: () => cluster.kubectl(["delete", "validatingadmissionpolicybinding", policy]),
      message: /creating pods was refused: .*ask the platform team for a friend: ask who runs that policy/,
    },
    {
      cause: "a quota that is used up",
      begin: () =>
        cluster.apply({
          apiVersion: "v1",
          kind: "ResourceQuota",
          metadata: { name: "few", namespace: "push" },
          spec: { hard: { pods: "3" } },
        }),
      end: () => push("delete", "resourcequota", "few"),
      message:
        /creating pods was refused: .*exceeded quota: few, requested: pods=1, used: pods=\d, limited: pods=\d: raise the ResourceQuota/,
    },
  ])(
    "$cause is told in conditions and events, tried ever more slowly, and gone once it is gone",
    async ({ begin, end, message }) => {
      const before = await namesOf();
      const pods = before.length;
      const felt = await served.during(async () => {
        await begin();
        const trial = { apiVersion: "v1", kind: "Pod", metadata: { name: "trial", namespace: "push" }, spec: restrictedPodSpec };
        const isDenied = async () =>
          (await cluster.kubernetes.kubectl(["create", "--dry-run=server", "-f", "-"], JSON.stringify(trial))).status !== 0;
        await waitFor(isDenied, { what: "pods to be denied", deadlineMs: 20_000, intervalMs: 200 });
        await edit({ pools: [onePool({ minReplicas: pods + 1 })] });
        await told("demo", "Progressing", { status: "True", reason: "WriteRefused", message });
        const shown = await told("demo", "Degraded", { status: "True", reason: "WriteRefused", message });
        expect(available(shown)).toBe("True");
        expect(await warnings("WriteRefused")).toContain(`demo-default-${pods}-`);
        // A few attempts, their event and the status.
        expect(await writesMeanwhile()).toBeLessThan(10);
        await end();
        await settled("demo", pods + 1, HEAL_MS);
      });
      expect(felt).toMatchObject({ losses: 0, handOvers: 0 });
      expect(await namesOf()).toEqual(expect.arrayContaining(before));
    },
    120_000,
  );
});

const restrictedPodSpec = {
  securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: "RuntimeDefault" } },
  containers: [{ name: "c", image: "none", securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } } }],
};
