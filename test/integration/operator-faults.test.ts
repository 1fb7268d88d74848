import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithPeers } from "../peers/peer.js";
import { onePool } from "../support/fleet-manifest.js";
import { conditionOf } from "../support/operator-cluster.js";
import { DEMO_START_DEADLINE_MS, DemoFleet } from "../support/operator-demo.js";
import { KeptOperator } from "../support/operator-kept.js";

const untouched = { handOvers: 0, losses: 0 };

describeWithPeers(["kubernetes", "redis-server"], "a fleet while the control plane fails", () => {
  const demo = new DemoFleet();
  let operator: KeptOperator;

  beforeAll(async () => {
    await demo.start();
    operator = await KeptOperator.start(demo.cluster);
    await demo.serve(4);
  }, DEMO_START_DEADLINE_MS);

  afterAll(async () => {
    await operator?.stop();
    await demo.stop();
  });

  const serving = (count: number, deadlineMs?: number) =>
    demo.cluster.waitForFleet("push", "demo", `serving ${count}`, ({ status }) => status?.pods?.serving === count, deadlineMs);

  /** Uid and restarts of each gateway: what must not change while nothing is asked for. */
  async function incarnations(): Promise<readonly string[]> {
    const pods = await demo.cluster.gateways("push", "demo");
    return pods.map(({ metadata, status }) => `${metadata.name} ${metadata.uid} ${status?.containerStatuses?.[0]?.restartCount}`).sort();
  }

  /** An edit of the spec, and how long it takes until it is acted on. */
  async function scaleTo(pods: number): Promise<number> {
    const startMs = performance.now();
    await demo.edit({ pools: [onePool({ minReplicas: pods })] });
    await demo.cluster.waitForFleet(
      "push",
      "demo",
      `wanting ${pods}`,
      ({ status }) => status?.pools?.[0]?.desiredReplicas === pods,
      30_000,
    );
    return performance.now() - startMs;
  }

  test("an API server that is away for 30 s costs no client anything, and an edit after it is acted on within seconds", async () => {
    const before = await incarnations();
    const felt = await demo.served.during(async () => {
      await demo.cluster.kubernetes.apiServer.stop();
      await delay(30_000); // the fault itself
      await demo.cluster.kubernetes.apiServer.start();
      const tookMs = await scaleTo(3);
      expect(tookMs).toBeLessThan(10_000);
      await serving(3);
    });
    expect(felt).toMatchObject(untouched);
    expect(await incarnations()).toEqual(expect.arrayContaining([...before]));
    // The leader could not renew its Lease and ended, and was started again.
    expect(operator.ends).toEqual([{ code: 1, signal: null }]);
  }, 120_000);

  test("an API server that hangs for 12 s leaves all as it was", async () => {
    const before = await incarnations();
    const felt = await demo.served.during(async () => {
      demo.cluster.kubernetes.apiServer.pause();
      await delay(12_000); // the fault itself
      demo.cluster.kubernetes.apiServer.resume();
      const tookMs = await scaleTo(4);
      expect(tookMs).toBeLessThan(10_000);
      await serving(4);
    });
    expect(felt).toMatchObject(untouched);
    expect(await incarnations()).toEqual(expect.arrayContaining([...before]));
  }, 120_000);

  test("etcd restarted, and watches too old to go on, are not felt", async () => {
    const before = await incarnations();
    const endsBefore = operator.ends.length;
    const felt = await demo.served.during(async () => {
      await demo.cluster.kubernetes.etcd.restart();
      expect(await scaleTo(5)).toBeLessThan(10_000);
      await serving(5);
      await demo.cluster.kubernetes.compact();
      expect(await scaleTo(6)).toBeLessThan(10_000);
      await serving(6);
    });
    expect(felt).toMatchObject(untouched);
    expect(await incarnations()).toEqual(expect.arrayContaining([...before]));
    expect(operator.ends.length).toBe(endsBefore);
    expect(conditionOf((await demo.cluster.fleet("push", "demo")) ?? expect.unreachable(), "Degraded").status).toBe("False");
  }, 120_000);
});
