import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithPeers } from "../peers/peer.js";
import { waitFor } from "../peers/wait-for.js";
import { conditionOf, fleetImages } from "../support/operator-cluster.js";
import { DEMO_START_DEADLINE_MS, DemoFleet } from "../support/operator-demo.js";
import { KeptOperator } from "../support/operator-kept.js";

const images = { gateway: "pushfleet/gateway:test", router: "pushfleet/router:test", haproxy: "haproxy:test" };
const nextImages = { ...images, gateway: "pushfleet/gateway:next", router: "pushfleet/router:next" };
const kubeletImages = {
  ...fleetImages,
  [nextImages.gateway]: fleetImages["pushfleet/gateway:test"],
  [nextImages.router]: fleetImages["pushfleet/router:test"],
};

describeWithPeers(["kubernetes", "redis-server"], "a fleet in the hands of its users", () => {
  const demo = new DemoFleet();
  let operator: KeptOperator;

  beforeAll(async () => {
    await demo.start({ images: kubeletImages });
    operator = await KeptOperator.start(demo.cluster);
    await demo.serve(4, { autoscaling: { mode: "External" }, replicas: 2 });
  }, DEMO_START_DEADLINE_MS);

  afterAll(async () => {
    await operator?.stop();
    await demo.stop();
  });

  async function restartOperator(changes: object = {}): Promise<void> {
    await operator.stop();
    operator = await KeptOperator.start(demo.cluster, { changes });
  }

  /** Every pod of the fleet, gateways and routers, with its uid and image. */
  async function podsOf(name = "demo"): Promise<readonly string[]> {
    const path = '{range .items[*]}{.metadata.uid} {.spec.containers[0].image}{"\\n"}{end}';
    return (await demo.kubectl("get", "pods", "-l", `pushfleet.dev/fleet=${name}`, "-o", `jsonpath=${path}`)).trim().split("\n").sort();
  }

  test("kubectl get shows how it is, kubectl scale and an autoscaler reach it, and kubectl explain says what may be set", async () => {
    const [head = "", row = ""] = (await demo.kubectl("get", "pgw")).split("\n");
    expect(head.trim().split(/\s+/)).toEqual(["NAME", "GATEWAYS", "CONNECTIONS", "CAPACITY", "DRAINING", "AVAILABLE", "NEXT", "AGE"]);
    expect(row).toMatch(/^demo +2 +\d+ +2000 +0 +True +\d+s/);
    await demo.kubectl("scale", "pgw", "demo", "--replicas=3");
    await demo.settled(3);
    const scale = JSON.parse(
      await demo.kubectl("get", "--raw", "/apis/pushfleet.dev/v1alpha1/namespaces/push/pushgateways/demo/scale"),
    ) as {
      readonly status: { readonly replicas: number; readonly selector: string };
    };
    expect(scale.status.replicas).toBe(3);
    const counted = (await demo.kubectl("get", "pods", "-l", scale.status.selector, "-o", "name")).trim().split("\n");
    expect(counted.sort()).toEqual((await demo.cluster.gateways("push", "demo")).map(({ metadata }) => `pod/${metadata.name}`).sort());
    const manual = await demo.cluster.kubectl(["explain", "pushgateway.spec.pools"]);
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
    const [gateway] = await demo.cluster.gateways("push", "demo");
    const name = gateway?.metadata.name ?? expect.unreachable();
    const seen = async () => [
      await demo.kubectl("get", "deployment", "demo-router", "-o", "jsonpath={.spec.replicas}"),
      await demo.kubectl("get", "service", "demo-router", "-o", "jsonpath={.spec.ports[*].port}"),
      await demo.kubectl("get", "pdb", "demo-gateways", "-o", "jsonpath={.spec.minAvailable}"),
      (await demo.kubectl("get", "pod", name, "-o", "jsonpath={.metadata.annotations.pushfleet\\.dev/grant}")).includes("serve"),
    ];
    const before = await seen();
    const felt = await demo.served.during(async () => {
      await demo.cluster.kubectl(
        ["apply", "--validate=false", "--server-side", "--force-conflicts", "--field-manager=another", "-f", "-"],
        JSON.stringify({ apiVersion: "v1", kind: "List", items: others }),
      );
      await demo.kubectl("annotate", "pod", name, "--overwrite", "pushfleet.dev/grant={}");
      await waitFor(async () => JSON.stringify(await seen()) === JSON.stringify(before), { what: "all as it was", deadlineMs: 20_000 });
      await demo.settled(3);
      const writesBefore = await operator.writes();
      await delay(6_000); // were each put back at once what the other writes, many writes would fit in
      expect((await operator.writes()) - writesBefore).toBeLessThan(2);
    });
    expect(felt).toMatchObject({ handOvers: 0, losses: 0 });
    const events = await demo.kubectl(
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
    const felt = await demo.served.during(async () => {
      await restartOperator({ images: nextImages });
      const shown = await demo.cluster.waitForFleet("push", "demo", "outdated", ({ status }) => status?.templateOutdated === true);
      expect(shown.status?.pods?.serving).toBe(3);
      await demo.edit({ drain: { reconnectsPerSecond: 100 } }); // an edit that is no reason to roll
      await demo.settled(3);
    });
    expect(await podsOf()).toEqual(before);
    expect(felt).toMatchObject({ handOvers: 0, losses: 0 });
    await demo.edit({ rollout: { adoptOperatorTemplate: true } });
    await demo.cluster.waitForFleet("push", "demo", "up to date", ({ status }) => status?.templateOutdated === false);
    const isRolled = async (): Promise<boolean> => {
      const pods = await podsOf();
      return pods.length === before.length && pods.every((one) => one.endsWith(":next"));
    };
    await waitFor(isRolled, { what: "all pods to be of the new operator's images", deadlineMs: 60_000, intervalMs: 500 });
    await demo.settled(3);
    await demo.served.look();
    await demo.served.expectServed();
    expect(demo.served.devices.map(({ losses }) => losses)).toEqual([0, 0, 0, 0]);
  }, 150_000);

  test("dryRun shows what would be done, also after a restart, and does nothing", async () => {
    const before = await podsOf();
    const felt = await demo.served.during(async () => {
      await demo.edit({ dryRun: true, replicas: 4 });
      const creates = (one: { readonly action: string }): boolean => one.action === "CreatePod";
      const planned = await demo.cluster.waitForFleet("push", "demo", "planning", ({ status }) => status?.plan?.some(creates) === true);
      expect(conditionOf(planned, "Progressing")).toMatchObject({ status: "False", reason: "DryRun" });
      await demo.kubectl("delete", "service", "demo-router");
      await restartOperator({ images: nextImages });
      const knowing = await demo.cluster.waitForFleet(
        "push",
        "demo",
        "knowing its clients",
        ({ status }) => status?.connections === 4 && status.plan?.some(creates) === true,
      );
      expect(knowing.status?.pods?.serving).toBe(3);
      expect(await demo.kubectl("get", "service", "demo-router", "--ignore-not-found", "-o", "name")).toBe("");
    });
    expect(felt).toMatchObject({ handOvers: 0, losses: 0 });
    expect(await podsOf()).toEqual(before);
    await demo.edit({ dryRun: false });
    await demo.settled(4);
    expect(await demo.kubectl("get", "service", "demo-router", "-o", "name")).toBe("service/demo-router\n");
  }, 90_000);

  test("a fleet with dryRun from its start is planned and nothing is made, until it is taken away", async () => {
    await demo.apply({ name: "planned", spec: { dryRun: true } });
    const shown = await demo.cluster.waitForFleet("push", "planned", "planned", ({ status }) => (status?.plan?.length ?? 0) >= 2);
    expect(shown.status?.plan?.map(({ action }) => action)).toEqual(["CreatePod", "CreatePod"]);
    expect(shown.metadata.finalizers ?? []).toEqual([]);
    const kinds = "pods,services,deployments,configmaps,secrets,pdb,networkpolicies,serviceaccounts,controllerrevisions";
    expect(await demo.kubectl("get", kinds, "-l", "pushfleet.dev/fleet=planned", "-o", "name")).toBe("");
    await demo.edit({ dryRun: false }, "planned");
    await demo.settled(2, 30_000, "planned");
    // Deleted, it goes all the same.
    await demo.edit({ dryRun: true }, "planned");
    await demo.kubectl("delete", "pgw", "planned", "--wait=false");
    await waitFor(async () => (await demo.cluster.fleet("push", "planned")) === undefined, {
      what: "the fleet to be gone",
      deadlineMs: 20_000,
    });
  }, 90_000);
});
