import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { KUBERNETES_START_DEADLINE_MS } from "../peers/kubernetes.js";
import { describeWithPeers } from "../peers/peer.js";
import { type RedisServer, startRedis } from "../peers/redis.js";
import { waitFor } from "../peers/wait-for.js";
import { conditionOf, fleetImages, type OperatorCluster, startOperatorCluster } from "../support/operator-cluster.js";
import { KeptOperator } from "../support/operator-kept.js";
import { clientSecret, fleetManifest, onePool, publishersSecret, ServedFleet } from "../support/operator-served.js";

const images = { gateway: "pushfleet/gateway:test", router: "pushfleet/router:test", haproxy: "haproxy:test" };
const nextImages = { ...images, gateway: "pushfleet/gateway:next", router: "pushfleet/router:next" };
const kubeletImages = {
  ...fleetImages,
  [nextImages.gateway]: fleetImages["pushfleet/gateway:test"],
  [nextImages.router]: fleetImages["pushfleet/router:test"],
};

describeWithPeers(["kubernetes", "redis-server"], "a fleet in the hands of its users", () => {
  const place = { namespace: "push", name: "demo" };
  let cluster: OperatorCluster;
  let redis: RedisServer;
  let operator: KeptOperator;
  let served: ServedFleet;

  beforeAll(async () => {
    [redis, cluster] = await Promise.all([startRedis(), startOperatorCluster({ images: kubeletImages })]);
    await cluster.createNamespace("push", clientSecret);
    operator = await KeptOperator.start(cluster);
    await cluster.apply(publishersSecret("push"), fleetManifest(place, redis.url, { autoscaling: { mode: "External" }, replicas: 2 }));
    await settled(2);
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
  const settled = (pods: number, deadlineMs = 30_000, name = "demo") =>
    cluster.waitForFleet(
      "push",
      name,
      `settled with ${pods}`,
      (one) => one.status?.pods?.serving === pods && conditionOf(one, "Progressing").reason === "Settled",
      deadlineMs,
    );

  async function restartOperator(changes: object = {}): Promise<void> {
    await operator.stop();
    operator = await KeptOperator.start(cluster, { changes });
  }

  /** Every pod of the fleet, gateways and routers, with its uid and image. */
  async function podsOf(name = "demo"): Promise<readonly string[]> {
    const path = '{range .items[*]}{.metadata.uid} {.spec.containers[0].image}{"\\n"}{end}';
    return (await push("get", "pods", "-l", `pushfleet.dev/fleet=${name}`, "-o", `jsonpath=${path}`)).trim().split("\n").sort();
  }

  test("kubectl get shows how it is, kubectl scale and an autoscaler reach it, and kubectl explain says what may be set", async () => {
    const [head = "", row = ""] = (await push("get", "pgw")).split("\n");
    expect(head.trim().split(/\s+/)).toEqual(["NAME", "GATEWAYS", "CONNECTIONS", "CAPACITY", "DRAINING", "AVAILABLE", "NEXT", "AGE"]);
    expect(row).toMatch(/^demo +2 +\d+ +2000 +0 +True +\d+s/);
    await push("scale", "pgw", "demo", "--replicas=3");
    await settled(3);
    const scale = JSON.parse(await push("get", "--raw", "/apis/pushfleet.dev/v1alpha1/namespaces/push/pushgateways/demo/scale")) as {
      readonly status: { readonly replicas: number; readonly selector: string };
    };
    expect(scale.status.replicas).toBe(3);
    const counted = (await push("get", "pods", "-l", scale.status.selector, "-o", "name")).trim().split("\n");
    expect(counted.sort()).toEqual((await cluster.gateways("push", "demo")).map(({ metadata }) => `pod/${metadata.name}`).sort());
    const manual = await cluster.kubectl(["explain", "pushgateway.spec.pools"]);
    expect(manual).toMatch(/softConnections\t<integer>\n +\S+/);
    expect(manual).not.toContain("<no description>");
  }, 60_000);

  test("two field managers on the same fields and a grant written by hand end in one more write each, and then in none", async () => {
    const named = (name: string) => ({ metadata: { name, namespace: "push" } });
    const others = [
      { apiVersion: "apps/v1", kind: "Deployment", ...named("demo-router"), spec: { replicas: 2 } },
      { apiVersion: "v1", kind: "Service", ...named("demo-router"), spec: { ports: [{ name: "more", port: 9999 }] } },
      { apiVersion: "policy/v1", kind: "PodDisruptionBudget", ...named("demo-gateways"), spec: { minAvailable: 0 } },
    ];
    const [gateway] = await cluster.gateways("push", "demo");
    const name = gateway?.metadata.name ?? expect.unreachable();
    const seen = async () => [
      await push("get", "deployment", "demo-router", "-o", "jsonpath={.spec.replicas}"),
      await push("get", "service", "demo-router", "-o", "jsonpath={.spec.ports[*].port}"),
      await push("get", "pdb", "demo-gateways", "-o", "jsonpath={.spec.minAvailable}"),
      (await push("get", "pod", name, "-o", "jsonpath={.metadata.annotations.pushfleet\\.dev/grant}")).includes("serve"),
    ];
    const before = await seen();
    const felt = await served.during(async () => {
      await cluster.kubectl(
        ["apply", "--validate=false", "--server-side", "--force-conflicts", "--field-manager=another", "-f", "-"],
        JSON.stringify({ apiVersion: "v1", kind: "List", items: others }),
      );
      await push("annotate", "pod", name, "--overwrite", "pushfleet.dev/grant={}");
      await waitFor(async () => JSON.stringify(await seen()) === JSON.stringify(before), { what: "all as it was", deadlineMs: 20_000 });
      await settled(3);
      const writesBefore = await operator.writes();
      await delay(6_000); // longer than a settled fleet waits until it is looked at again
      expect((await operator.writes()) - writesBefore).toBeLessThan(2);
    });
    expect(felt).toMatchObject({ handOvers: 0, losses: 0 });
    const events = await push(
      "get",
      "events",
      "--field-selector",
      "reason=PutBack",
      "-o",
      'jsonpath={range .items[*]}{.message}{"\\n"}{end}',
    );
    expect(events.trim().split("\n").sort()).toEqual([
      "Deployment demo-router was changed by somebody else and has been put back",
      "PodDisruptionBudget demo-gateways was changed by somebody else and has been put back",
      "Service demo-router was changed by somebody else and has been put back",
    ]);
  }, 60_000);

  test("an operator that would make other pods rolls nothing until it is told to", async () => {
    const before = await podsOf();
    const felt = await served.during(async () => {
      await restartOperator({ images: nextImages });
      const shown = await cluster.waitForFleet("push", "demo", "outdated", ({ status }) => status?.templateOutdated === true);
      expect(shown.status?.pods?.serving).toBe(3);
      await edit({ drain: { reconnectsPerSecond: 100 } }); // an edit that is no reason to roll
      await settled(3);
    });
    expect(await podsOf()).toEqual(before);
    expect(felt).toMatchObject({ handOvers: 0, losses: 0 });
    await edit({ rollout: { adoptOperatorTemplate: true } });
    await cluster.waitForFleet("push", "demo", "up to date", ({ status }) => status?.templateOutdated === false);
    const isRolled = async (): Promise<boolean> => {
      const pods = await podsOf();
      return pods.length === before.length && pods.every((one) => one.endsWith(":next"));
    };
    await waitFor(isRolled, { what: "all pods to be of the new operator's images", deadlineMs: 60_000, intervalMs: 500 });
    await settled(3);
    await served.look();
    await served.expectServed();
    expect(served.devices.map(({ losses }) => losses)).toEqual([0, 0, 0, 0]);
  }, 150_000);

  test("dryRun shows what would be done, also after a restart, and does nothing", async () => {
    const before = await podsOf();
    const felt = await served.during(async () => {
      await edit({ dryRun: true, replicas: 4 });
      const creates = (one: { readonly action: string }): boolean => one.action === "CreatePod";
      const planned = await cluster.waitForFleet("push", "demo", "planning", ({ status }) => status?.plan?.some(creates) === true);
      expect(conditionOf(planned, "Progressing")).toMatchObject({ status: "False", reason: "DryRun" });
      await push("delete", "service", "demo-router");
      await restartOperator({ images: nextImages });
      const knowing = await cluster.waitForFleet(
        "push",
        "demo",
        "knowing its clients",
        ({ status }) => status?.connections === 4 && status.plan?.some(creates) === true,
      );
      expect(knowing.status?.pods?.serving).toBe(3);
      expect(await push("get", "service", "demo-router", "--ignore-not-found", "-o", "name")).toBe("");
    });
    expect(felt).toMatchObject({ handOvers: 0, losses: 0 });
    expect(await podsOf()).toEqual(before);
    await edit({ dryRun: false });
    await settled(4);
    expect(await push("get", "service", "demo-router", "-o", "name")).toBe("service/demo-router\n");
  }, 90_000);

  test("a fleet with dryRun from its start is planned and nothing is made, until it is taken away", async () => {
    const planned = { namespace: "push", name: "planned" };
    await cluster.apply(fleetManifest(planned, redis.url, { dryRun: true, pools: [onePool()] }));
    const shown = await cluster.waitForFleet("push", "planned", "planned", ({ status }) => (status?.plan?.length ?? 0) >= 2);
    expect(shown.status?.plan?.map(({ action }) => action)).toEqual(["CreatePod", "CreatePod"]);
    expect(shown.metadata.finalizers ?? []).toEqual([]);
    const kinds = "pods,services,deployments,configmaps,secrets,pdb,networkpolicies,serviceaccounts,controllerrevisions";
    expect(await push("get", kinds, "-l", "pushfleet.dev/fleet=planned", "-o", "name")).toBe("");
    await edit({ dryRun: false }, "planned");
    await settled(2, 30_000, "planned");
  }, 60_000);
});
