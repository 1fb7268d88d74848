import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithPeers } from "../peers/peer.js";
import { waitFor } from "../peers/wait-for.js";
import { onePool } from "../support/fleet-manifest.js";
import { conditionOf } from "../support/operator-cluster.js";
import { DEMO_START_DEADLINE_MS, DemoFleet } from "../support/operator-demo.js";
import { LiveFleet } from "../support/operator-live-fleet.js";
import { PodLedger } from "../support/operator-pod-ledger.js";
import { clientSecret } from "../support/operator-served.js";

const reconnectsPerSecond = 5;
const clients = 12;

describeWithPeers(["kubernetes", "redis-server"], "a fleet whose pools are not those of yesterday", () => {
  const demo = new DemoFleet();
  let ledger: PodLedger;
  let live: LiveFleet;

  beforeAll(async () => {
    live = await LiveFleet.start({ jwtSecret: clientSecret, reconnectsPerSecond });
    await demo.start({ nodes: ["east", "east", "west"].map((side, index) => ({ name: `node-${index}`, labels: { side } })) });
    ledger = new PodLedger(demo.cluster.kubernetes.kubeconfigFile, (pod, isGone) => live.podChanged(pod, isGone));
    await Promise.all([ledger.start(), demo.cluster.startOperator()]);
    await demo.apply({ spec: { drain: { reconnectsPerSecond, deadlineSeconds: 60, stragglerGraceSeconds: 5 }, pools: [east, west] } });
    await demo.settled(3);
    await live.connect(clients);
    await waitFor(() => live.areLive, { what: "all clients to be live" });
  }, DEMO_START_DEADLINE_MS);

  afterAll(async () => {
    await live?.stop();
    await ledger?.stop();
    await demo.stop();
  });

  const east = onePool({ name: "east", nodeSelector: { side: "east" } });
  const west = onePool({ name: "west", nodeSelector: { side: "west" }, minReplicas: 1 });

  /** Name and pool of each gateway. */
  const pools = async () => (await demo.cluster.gateways("push", "demo")).map(({ metadata }) => metadata.labels?.["pushfleet.dev/pool"]);

  test("I3, I4: one that is renamed and one that is removed are drained within the budget, deleted, and no client is lost", async () => {
    await demo.edit({ pools: [onePool({ name: "orient", nodeSelector: { side: "east" } })] });
    await waitFor(async () => String(await pools()) === "orient,orient", { what: "the old pools to be gone", deadlineMs: 90_000 });
    await demo.settled(2);
    await waitFor(() => live.areLive, { what: "all clients to be live" });
    expect([live.faults, ledger.faults]).toEqual([[], []]);
    expect(live.handOvers).toBeGreaterThanOrEqual(clients);
  }, 120_000);

  test("a PodDisruptionBudget of somebody else's, with which evictions of its pods fail with an error, is told", async () => {
    const [gateway = expect.unreachable()] = await demo.cluster.gateways("push", "demo");
    const { name } = gateway.metadata;
    expect(await demo.cluster.kubelet.evict(name, "push")).toMatchObject({ status: 429 });
    await demo.cluster.apply({
      apiVersion: "policy/v1",
      kind: "PodDisruptionBudget",
      metadata: { name: "everything", namespace: "push" },
      spec: { maxUnavailable: 1, selector: {} },
    });
    const message = /PodDisruptionBudget everything selects pods of this fleet \(gateway, router\), .*: let its selector leave out/;
    await demo.cluster.waitForFleet("push", "demo", "telling of it", (fleet) => message.test(conditionOf(fleet, "SpecAccepted").message));
    expect(await demo.cluster.kubelet.evict(name, "push")).toMatchObject({ status: 500 });
    await demo.kubectl("delete", "pdb", "everything");
  });

  test("how a gateway ended is told with its deletion, in Kubernetes' words", async () => {
    const [gateway = expect.unreachable()] = await demo.cluster.gateways("push", "demo");
    const { name } = gateway.metadata;
    const low = "The node was low on resource: memory.";
    await demo.cluster.kubelet.evictUnderPressure(name, "push", low);
    const notes = async () => await demo.kubectl("get", "events", "-o", 'jsonpath={range .items[*]}{.reason} {.message}{"\\n"}{end}');
    const told = `GatewayDeleted ${name}: its process has ended: Evicted (${low})`;
    await waitFor(async () => (await notes()).includes(told), { what: "the event", intervalMs: 200 });
    expect(await notes()).toMatch(new RegExp(`^(PodsFail|Faults) .*${name}: Evicted`, "m"));
    await demo.settled(2, 60_000);
  }, 90_000);
});
