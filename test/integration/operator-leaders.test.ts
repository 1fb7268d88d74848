import { afterAll, beforeAll, expect, test } from "vitest";
import { KUBERNETES_START_DEADLINE_MS } from "../peers/kubernetes.js";
import { describeWithPeers } from "../peers/peer.js";
import type { RunningProcess } from "../peers/process.js";
import { type RedisServer, startRedis } from "../peers/redis.js";
import { waitFor } from "../peers/wait-for.js";
import { conditionOf, type OperatorCluster, startOperatorCluster } from "../support/operator-cluster.js";
import { clientSecret, fleetManifest, onePool, publishersSecret, ServedFleet } from "../support/operator-served.js";

describeWithPeers(["kubernetes", "redis-server"], "two operators that both think they lead", () => {
  const place = { namespace: "push", name: "demo" };
  const lease = { durationSeconds: 3, renewDeadlineSeconds: 2, retryPeriodSeconds: 0.4 };
  let cluster: OperatorCluster;
  let redis: RedisServer;
  let served: ServedFleet;
  let first: RunningProcess;

  beforeAll(async () => {
    [redis, cluster] = await Promise.all([startRedis(), startOperatorCluster()]);
    await cluster.createNamespace("push", clientSecret);
    first = await cluster.startOperator({ id: "first", changes: { lease } });
    await cluster.apply(publishersSecret("push"), fleet());
    await settled(2);
    served = await ServedFleet.connect(cluster, place, 6);
  }, 3 * KUBERNETES_START_DEADLINE_MS);

  afterAll(async () => {
    await served?.close();
    await cluster?.stop();
    await redis?.stop();
  });

  const fleet = (pool: object = {}) => fleetManifest(place, redis.url, { pools: [onePool(pool)] });

  const settled = (count: number) =>
    cluster.waitForFleet(
      "push",
      "demo",
      `settled with ${count}`,
      (one) =>
        one.status?.observedGeneration === one.metadata.generation &&
        one.status.pods?.serving === count &&
        conditionOf(one, "Progressing").status === "False",
      60_000,
    );
  const leads = (operator: RunningProcess) =>
    operator.waitForLine((line) => line.includes('"msg":"leads"'), { what: "to lead", deadlineMs: 30_000 });
  const didBy = (operator: RunningProcess) => operator.lines().filter((line) => line.includes('"msg":"did"')).length;
  const epochOf = (operator: RunningProcess): number =>
    Number(/"epoch":(\d+),"msg":"leads"/.exec(operator.lines().find((line) => line.includes('"msg":"leads"')) ?? "")?.[1]);

  /** Pods of the fleet, none twice in one place. */
  async function expectOnePodAPlace(count: number): Promise<void> {
    const living = (await cluster.gateways("push", "demo")).filter((pod) => pod.metadata.deletionTimestamp === undefined);
    const places = living.map(({ metadata }) => `${metadata.labels?.["pushfleet.dev/pool"]}/${metadata.labels?.["pushfleet.dev/slot"]}`);
    expect([...new Set(places)]).toHaveLength(count);
    expect(living).toHaveLength(count);
  }

  test("by Leases of their own: the one with the lower epoch leaves the fleet alone, and no client feels it", async () => {
    const second = await cluster.startOperator({ id: "second", changes: { lease: { ...lease, name: "another" } } });
    await leads(second);
    expect(epochOf(second)).toBeGreaterThan(epochOf(first));
    await first.waitForLine((line) => line.includes("another operator leads this fleet"), { what: "to be deposed", deadlineMs: 20_000 });
    const before = didBy(first);
    const felt = await served.during(async () => {
      await cluster.apply(fleet({ minReplicas: 3, hardConnections: 1400 }));
      await settled(3);
    });
    expect(felt.losses).toBe(0);
    expect(didBy(first)).toBe(before);
    await expectOnePodAPlace(3);
    expect((await second.stop()).code).toBe(0);
  }, 120_000);

  test("one stopped for longer than its Lease and continued: the end state is the same", async () => {
    const replicas = [await cluster.startOperator({ id: "third", changes: { lease } })];
    await first.kill(); // its epoch is the lower one
    await leads(replicas[0] ?? expect.unreachable());
    replicas.push(await cluster.startOperator({ id: "fourth", changes: { lease } }));
    const [paused = expect.unreachable(), taker = expect.unreachable()] = replicas;
    const felt = await served.during(async () => {
      await cluster.apply(fleet({ minReplicas: 3, hardConnections: 1300 }));
      await waitFor(() => didBy(paused) > 0, { what: "the rollout to be begun", deadlineMs: 20_000 });
      paused.pause();
      await leads(taker);
      paused.resume();
      await settled(3);
    });
    expect(felt.losses).toBe(0);
    await expectOnePodAPlace(3);
    // It has lost its Lease meanwhile, and ends; its Deployment would start it again.
    await waitFor(() => paused.exit !== undefined, { what: "the stopped one to end", deadlineMs: 20_000 });
    expect(paused.exit?.code).toBe(1);
  }, 120_000);

  test("after the Lease was deleted by hand: epochs go on rising, and the fleet goes on", async () => {
    const before = (await cluster.gateways("push", "demo")).map((pod) => pod.metadata.uid).sort();
    await cluster.kubectl(["-n", "pushfleet-system", "delete", "lease", "--all"]);
    const leaseAgain = async () =>
      (await cluster.kubectl(["-n", "pushfleet-system", "get", "lease", "-o", "name"])).includes("pushfleet-operator");
    await waitFor(leaseAgain, { what: "the Lease again", deadlineMs: 20_000 });
    await served.expectServed();
    expect((await cluster.gateways("push", "demo")).map((pod) => pod.metadata.uid).sort()).toEqual(before);
    await cluster.apply(fleet({ minReplicas: 4, hardConnections: 1300 }));
    await settled(4);
    await expectOnePodAPlace(4);
  }, 120_000);
});
