import { setTimeout as delay } from "node:timers/promises";
import { limits } from "@pushfleet/protocol";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithPeers } from "../peers/peer.js";
import { type TemporaryFolder, temporaryFolder } from "../peers/temporary-folder.js";
import { waitFor } from "../peers/wait-for.js";
import { AuditLog } from "../support/audit-log.js";
import { onePool } from "../support/fleet-manifest.js";
import { conditionOf, type FleetObject } from "../support/operator-cluster.js";
import { DEMO_START_DEADLINE_MS, DemoFleet } from "../support/operator-demo.js";
import { KeptOperator } from "../support/operator-kept.js";
import { clientSecret } from "../support/operator-served.js";

/** Less than it takes until a settled fleet is looked at without any cause (limits.planSettledMs). */
const TELL_MS = 8_000;
/** A fleet must be well again this long after the last cause of its trouble is gone. */
const HEAL_MS = 20_000;

describeWithPeers(["kubernetes", "redis-server"], "a fleet that cannot be as its spec says", () => {
  let folder: TemporaryFolder;
  let audit: AuditLog;
  const demo = new DemoFleet();
  let operator: KeptOperator;

  beforeAll(async () => {
    folder = await temporaryFolder("operator-refusals");
    audit = await AuditLog.of("admin", folder.path, "writes");
    await demo.start({}, { apiServerFlags: audit.flags });
    operator = await KeptOperator.start(demo.cluster);
    await demo.serve(4);
  }, DEMO_START_DEADLINE_MS);

  afterAll(async () => {
    await operator?.stop();
    await demo.stop();
    await folder?.remove();
  });

  /** Waits until the fleet says so, in a condition of that type. */
  const told = (
    name: string,
    type: string,
    expected: { readonly status: string; readonly reason: string; readonly message: RegExp },
    deadlineMs?: number,
  ) =>
    demo.cluster.waitForFleet(
      "push",
      name,
      `${type} ${expected.status} ${expected.reason} ${expected.message}`,
      (one) => {
        const { status, reason, message } = conditionOf(one, type);
        return status === expected.status && reason === expected.reason && expected.message.test(message);
      },
      deadlineMs,
    );

  const warnings = async (reason: string, name = "demo"): Promise<string> =>
    await demo.kubectl(
      "get",
      "events",
      "--field-selector",
      `type=Warning,reason=${reason},involvedObject.name=${name}`,
      "-o",
      "jsonpath={.items[*].message}",
    );

  /** How often the API server was heard to refuse something of that pod, as the events count it. */
  const eventsAbout = async (pod: string): Promise<number> => {
    const listed = await demo.kubectl("get", "events.v1.events.k8s.io", "--field-selector=type=Warning,reason=WriteRefused", "-o", "json");
    const { items } = JSON.parse(listed) as {
      readonly items: readonly { readonly note?: string; readonly series?: { readonly count: number } }[];
    };
    return items.filter(({ note }) => note?.startsWith(`${pod}: `)).reduce((sum, { series }) => sum + (series?.count ?? 1), 0);
  };

  const namesOf = async (name = "demo") =>
    (await demo.cluster.gateways("push", name)).map(({ metadata }) => `${metadata.name} ${metadata.uid}`);

  /** A gateway beside which its node has no other, so that only one is drained when the node is cordoned. */
  async function aloneOnItsNode(): Promise<{ readonly pod: string; readonly node: string }> {
    const gateways = await demo.cluster.gateways("push", "demo");
    const placed = gateways.map(({ metadata, spec }) => ({ pod: metadata.name, node: spec?.nodeName ?? "" }));
    const alone = placed.find(({ pod, node }) => placed.every((other) => other.pod === pod || other.node !== node));
    if (alone === undefined) throw new Error(`every node has several gateways: ${JSON.stringify(placed)}`);
    return alone;
  }

  /** Lets five seconds pass, and holds what was written for this fleet since then against the time that passed by the clock: what was refused, and
   *  an event of it, not more often than the pauses between the attempts allow, and nothing else for ever. Other fleets are not counted: of one that
   *  is deleted pods and status are written meanwhile. */
  async function expectPauses(name: string, sinceMs: number): Promise<void> {
    await delay(5_000); // the span in which it would be tried again
    const counts = new Map<string, number>();
    const refused = new Set<string>();
    for (const { what, object, isRefused } of await audit.writes("pushfleet-operator", sinceMs)) {
      if (object !== name && !object.startsWith(`${name}-`) && !object.startsWith(`${name}.`)) continue;
      counts.set(what, (counts.get(what) ?? 0) + 1);
      if (isRefused || what.includes(" events ")) refused.add(what);
    }
    const passedMs = Date.now() - sinceMs;
    const tooOften = [...counts].filter(([what, count]) => count > (refused.has(what) ? attemptsWithin(passedMs) : (2 * passedMs) / 1000));
    expect(tooOften).toEqual([]);
    expect(counts.size).toBeGreaterThan(0);
  }

  const available = (one: FleetObject) => conditionOf(one, "Available").status;

  const policy = "pods-need-a-friend";
  const selects = { matchLabels: { "kubernetes.io/metadata.name": "push" } };

  /** Such an operation on pods of the namespace is denied unless the CEL expression holds. */
  const denyPods = (operation: "CREATE" | "UPDATE", unless: string) =>
    demo.cluster.apply(
      {
        apiVersion: "admissionregistration.k8s.io/v1",
        kind: "ValidatingAdmissionPolicy",
        metadata: { name: policy },
        spec: {
          matchConstraints: {
            namespaceSelector: selects,
            resourceRules: [{ apiGroups: [""], apiVersions: ["v1"], operations: [operation], resources: ["pods"] }],
          },
          validations: [{ expression: unless, message: "ask the platform team for a friend" }],
        },
      },
      {
        apiVersion: "admissionregistration.k8s.io/v1",
        kind: "ValidatingAdmissionPolicyBinding",
        metadata: { name: policy },
        spec: { policyName: policy, validationActions: ["Deny"] },
      },
    );
  const allowPods = () => demo.cluster.kubectl(["delete", "validatingadmissionpolicybinding", policy]);

  test.each([
    {
      cause: "an admission policy that denies pods",
      begin: () => denyPods("CREATE", "false"),
      end: allowPods,
      message: /creating pods was refused: .*ask the platform team for a friend: ask who runs that policy/,
    },
    {
      cause: "a quota that is used up",
      begin: () =>
        demo.cluster.apply({
          apiVersion: "v1",
          kind: "ResourceQuota",
          metadata: { name: "few", namespace: "push" },
          spec: { hard: { pods: "3" } },
        }),
      end: () => demo.kubectl("delete", "resourcequota", "few"),
      message:
        /creating pods was refused: .*exceeded quota: few, requested: pods=1, used: pods=\d, limited: pods=\d: raise the ResourceQuota/,
    },
  ])(
    "$cause is told in conditions and events, tried ever more slowly, and gone once it is gone",
    async ({ begin, end, message }) => {
      const before = await namesOf();
      const pods = before.length;
      const felt = await demo.served.during(async () => {
        await begin();
        const trial = { apiVersion: "v1", kind: "Pod", metadata: { name: "trial", namespace: "push" }, spec: restrictedPodSpec };
        const isDenied = async () =>
          (await demo.cluster.kubernetes.kubectl(["create", "--dry-run=server", "-f", "-"], JSON.stringify(trial))).status !== 0;
        await waitFor(isDenied, { what: "pods to be denied", deadlineMs: 20_000, intervalMs: 200 });
        const sinceMs = Date.now();
        await demo.edit({ pools: [onePool({ minReplicas: pods + 1 })] });
        await told("demo", "Progressing", { status: "True", reason: "WriteRefused", message });
        const shown = await told("demo", "Degraded", { status: "True", reason: "WriteRefused", message });
        expect(available(shown)).toBe("True");
        expect(await warnings("WriteRefused")).toContain(`demo-default-${pods}-`);
        await expectPauses("demo", sinceMs);
        await end();
        await demo.settled(pods + 1, HEAL_MS);
      });
      expect(felt).toMatchObject({ losses: 0, handOvers: 0 });
      expect(await namesOf()).toEqual(expect.arrayContaining(before));
    },
    120_000,
  );

  const whole = (pods: number) => ({ pools: [onePool({ minReplicas: pods })] });

  test.each([
    {
      cause: "a Secret that is not there",
      change: { gateway: { auth: { hs256SecretRef: { name: "absent" } } } },
      undo: { gateway: { auth: { hs256SecretRef: { name: "jwt" } } } },
      reason: "SecretMissing",
      message: /gateway\.auth\.hs256SecretRef names the Secret absent, .*: create it with key/,
    },
    {
      cause: "two pools on the same nodes",
      change: { pools: [onePool(), onePool({ name: "second" })] },
      undo: undefined,
      reason: "PoolsOverlap",
      message: /pools default and second select the same nodes, .*give their nodeSelectors different values/,
    },
    {
      cause: "a store that this release has not",
      change: { store: { kind: "Cassandra", contactPoints: ["cassandra"], localDataCenter: "dc1", keyspace: "push", allowVolatile: null } },
      undo: { store: { kind: "Memory", contactPoints: null, localDataCenter: null, keyspace: null, allowVolatile: true } },
      reason: "StoreUnsupported",
      message: /cannot keep notifications in Cassandra: set store\.kind to/,
    },
  ])(
    "an edit that names $cause touches nothing that runs, says what to do, and can be taken back",
    async ({ change, undo, reason, message }) => {
      const before = await namesOf();
      const felt = await demo.served.during(async () => {
        await demo.edit(change);
        await told("demo", "SpecAccepted", { status: "False", reason, message });
        await told("demo", "Progressing", { status: "False", reason, message });
        const shown = await told("demo", "Degraded", { status: "True", reason, message });
        expect(available(shown)).toBe("True");
        await waitFor(async () => message.test(await warnings(reason)), { what: `an event ${reason}` });
        await demo.edit(undo ?? whole(before.length));
        await demo.settled(before.length, HEAL_MS);
      });
      expect(felt).toMatchObject({ losses: 0, handOvers: 0 });
      expect(await namesOf()).toEqual(before);
    },
    60_000,
  );

  test.each([
    { part: "gateway", pods: /demo-default-\d+-[0-9a-f]+: container gateway (ErrImagePull|ImagePullBackOff) \(.*not found/ },
    { part: "router", pods: /demo-router-\S+: container router (ErrImagePull|ImagePullBackOff) \(.*not found/ },
  ])(
    "a $part image that cannot be pulled is told, what ran serves on, and taking it back is enough",
    async ({ part, pods }) => {
      const before = await namesOf();
      const felt = await demo.served.during(async () => {
        await demo.edit({ [part]: { image: `pushfleet/${part}:absent` } });
        const failing = await told("demo", "Degraded", { status: "True", reason: "PodsFail", message: pods }, TELL_MS);
        expect(available(failing)).toBe("True");
        await waitFor(async () => pods.test(await warnings("PodsFail")), { what: "an event" });
        await demo.edit({ [part]: { image: null } });
        await demo.settled(before.length, HEAL_MS);
      });
      expect(felt).toMatchObject({ losses: 0, handOvers: 0 });
      expect(await namesOf()).toEqual(before);
    },
    60_000,
  );

  test("a fleet that would use another's keys on one Redis makes nothing and says whose they are; the other is not touched", async () => {
    const keyPrefix = "push/demo:"; // demo's own, which its spec does not say
    await demo.apply({ name: "twin", spec: { registry: { kind: "Redis", url: demo.redis.url, keyPrefix } } });
    const message = /registry\.keyPrefix "push\/demo:" is that of the PushGateway demo in namespace push, .*remove registry\.keyPrefix/;
    await told("twin", "SpecAccepted", { status: "False", reason: "KeyPrefixShared", message });
    expect(await namesOf("twin")).toEqual([]);
    await demo.settled((await namesOf()).length);
    await demo.edit({ registry: { keyPrefix: null } }, "twin");
    await demo.cluster.waitForFleet("push", "twin", "made", ({ status }) => (status?.pods?.serving ?? 0) > 0);
    await demo.kubectl("delete", "pgw", "twin", "--wait=false");
    await demo.served.expectServed();
  });

  // A fleet of its own each.
  test.concurrent.each([
    {
      cause: "a Secret that is made later",
      name: "late",
      spec: { gateway: { workers: 1, auth: { hs256SecretRef: { name: "later", key: "key" } } } },
      reason: "SecretMissing",
      message: /names the Secret later, /,
      mend: () => demo.kubectl("create", "secret", "generic", "later", `--from-literal=key=${clientSecret}`),
    },
    {
      cause: "a node for its pool",
      name: "nowhere",
      spec: { pools: [onePool({ nodeSelector: { role: "push" }, minReplicas: 1 })] },
      reason: "PodsFail",
      message: /nowhere-default-0-\S+: Unschedulable \(0\/3 nodes are available: 3 node\(s\) didn't match/,
      mend: () => demo.cluster.kubectl(["label", "node", "node-a", "role=push"]),
    },
    {
      cause: "a Redis that is there",
      name: "crashing",
      spec: { registry: { kind: "Redis", url: "redis://127.0.0.1:1" } },
      reason: "PodsFail",
      message: /crashing-default-0-\S+: container gateway \S+ \(exit code 1 Error: start failed: no Redis at 127\.0\.0\.1:1 /,
      mend: () => demo.edit({ registry: { url: demo.redis.url } }, "crashing"),
    },
    {
      cause: "kernel settings that its namespace admits",
      name: "privileged",
      spec: { pools: [onePool({ tuning: { unsafeSysctls: "Pod", sysctls: { "net.core.somaxconn": "65535" } } })] },
      reason: "WriteRefused",
      message: /violates PodSecurity "restricted:latest": .*: set tuning\.unsafeSysctls/,
      mend: () => demo.edit({ pools: [onePool({ tuning: { unsafeSysctls: "None" } })] }, "privileged"),
    },
  ])(
    "a new fleet that waits for $cause says so, and serves once it has it",
    async ({ name, spec, reason, message, mend }) => {
      const sinceMs = Date.now();
      await demo.apply({ name, spec });
      const shown = await told(name, "Degraded", { status: "True", reason, message });
      expect(available(shown)).toBe("False");
      await waitFor(async () => (await warnings(reason, name)) !== "", { what: `an event ${reason}` });
      await expectPauses(name, sinceMs);
      await mend();
      await demo.settled(name === "nowhere" ? 1 : 2, HEAL_MS, name);
      await demo.kubectl("delete", "pgw", name, "--wait=false");
      await demo.served.expectServed();
    },
    90_000,
  );

  test("a drain that a policy refuses is told once, tried ever more slowly, moves nobody meanwhile, and goes on once it is allowed", async () => {
    const before = await namesOf();
    const { pod, node } = await aloneOnItsNode();
    const grant = "pushfleet.dev/grant";
    const message = /patching the grant to drain of pods was refused: .*ask the platform team for a friend: ask who runs that policy/;
    const felt = await demo.served.during(async () => {
      await denyPods(
        "UPDATE",
        `!('${grant}' in object.metadata.annotations) || !object.metadata.annotations['${grant}'].contains('drain')`,
      );
      const isDenied = async () =>
        (await demo.cluster.kubernetes.kubectl(["-n", "push", "annotate", "pod", pod, `${grant}=drain`, "--overwrite", "--dry-run=server"]))
          .status !== 0;
      await waitFor(isDenied, { what: "the policy to be in force", deadlineMs: 20_000, intervalMs: 200 });
      const told = await eventsAbout(pod);
      await demo.cluster.kubectl(["cordon", node]);
      const shown = await demo.cluster.waitForFleet("push", "demo", "a refused drain", (one) =>
        message.test(conditionOf(one, "Degraded").message),
      );
      expect(conditionOf(shown, "Degraded")).toMatchObject({ status: "True", reason: "WriteRefused" });
      await expectPauses("demo", Date.now());
      expect((await eventsAbout(pod)) - told).toBe(1);
      expect(await namesOf()).toEqual(expect.arrayContaining(before));
    });
    expect(felt).toMatchObject({ losses: 0, handOvers: 0 });
    await allowPods();
    await waitFor(async () => !(await namesOf()).some((one) => one.startsWith(`${pod} `)), { what: "the drain", deadlineMs: HEAL_MS });
    await demo.cluster.kubectl(["uncordon", node]);
    await demo.settled(before.length, HEAL_MS);
    await demo.served.expectServed();
  }, 60_000);

  // Last: about one object only so many events are written in a while (limits.eventBurst), and the tests above look for theirs.
  test("a label that a policy keeps from being put back is told, tried ever more slowly, and there once the policy is gone", async () => {
    const [pod = ""] = (await namesOf()).map((one) => one.split(" ")[0] ?? "");
    const slot = "pushfleet.dev/slot";
    const slotOf = () => demo.kubectl("get", "pod", pod, "-o", "jsonpath={.metadata.labels.pushfleet\\.dev/slot}");
    const before = await slotOf();
    const degraded = async () =>
      [await demo.cluster.fleet("push", "demo")].flatMap((one) => (one ? [conditionOf(one, "Degraded").message] : []));
    const felt = await demo.served.during(async () => {
      await denyPods("UPDATE", `!('${slot}' in object.metadata.labels) || '${slot}' in oldObject.metadata.labels`);
      let sinceMs = 0;
      // Until the policy is in force the label comes back.
      const isKeptAway = async () => {
        sinceMs = Date.now();
        await demo.kubectl("label", "pod", pod, `${slot}-`);
        const message = /patching the labels of pods was refused: .*ask the platform team for a friend: ask who runs that policy/;
        await waitFor(async () => (await slotOf()) !== "" || (await degraded()).some((one) => message.test(one)), {
          what: "the label to be put back, or to be told why not",
        });
        return (await slotOf()) === "";
      };
      await waitFor(isKeptAway, { what: "the policy to be in force", deadlineMs: 20_000, intervalMs: 200 });
      await expectPauses("demo", sinceMs);
      await allowPods();
      await waitFor(async () => (await slotOf()) === before, { what: "the label", deadlineMs: HEAL_MS });
      await demo.settled((await namesOf()).length, HEAL_MS);
    });
    expect(felt).toMatchObject({ losses: 0, handOvers: 0 });
  }, 60_000);
});

/** How often something that is refused is tried at most within such a time, by the pauses of limits.ts. */
function attemptsWithin(spanMs: number): number {
  let count = 1;
  for (let pauseMs: number = limits.createRefusedMs, atMs = pauseMs; atMs <= spanMs; count += 1) {
    pauseMs = Math.min(limits.createRefusedMaxMs, 2 * pauseMs);
    atMs += pauseMs;
  }
  return count;
}

const restrictedPodSpec = {
  securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: "RuntimeDefault" } },
  containers: [{ name: "c", image: "none", securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } } }],
};
