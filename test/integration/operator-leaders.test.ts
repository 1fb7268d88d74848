import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithPeers } from "../peers/peer.js";
import type { RunningProcess } from "../peers/process.js";
import { waitFor } from "../peers/wait-for.js";
import { onePool } from "../support/fleet-manifest.js";
import { DEMO_START_DEADLINE_MS, DemoFleet } from "../support/operator-demo.js";

const SETTLE_DEADLINE_MS = 60_000;

describeWithPeers(["kubernetes", "redis-server"], "two operators that both think they lead", () => {
  const lease = { durationSeconds: 3, renewDeadlineSeconds: 2, retryPeriodSeconds: 0.4 };
  const demo = new DemoFleet();
  let first: RunningProcess;

  beforeAll(async () => {
    await demo.start();
    first = await demo.cluster.startOperator({ id: "first", changes: { lease } });
    await demo.serve(6);
  }, DEMO_START_DEADLINE_MS);

  afterAll(() => demo.stop());

  const leads = (operator: RunningProcess) =>
    operator.waitForLine((line) => line.includes('"msg":"leads"'), { what: "to lead", deadlineMs: 30_000 });
  const didBy = (operator: RunningProcess) => operator.lines().filter((line) => line.includes('"msg":"did"')).length;
  const epochOf = (operator: RunningProcess): number =>
    Number(/"epoch":(\d+),"msg":"leads"/.exec(operator.lines().find((line) => line.includes('"msg":"leads"')) ?? "")?.[1]);

  /** Gateways that nobody has deleted: of a rollout before, some may be ending still. */
  const living = async () =>
    (await demo.cluster.gateways("push", "demo")).filter(({ metadata }) => metadata.deletionTimestamp === undefined);

  /** Pods of the fleet, none twice in one place. */
  async function expectOnePodAPlace(count: number): Promise<void> {
    const gateways = await living();
    const places = gateways.map(({ metadata }) => `${metadata.labels?.["pushfleet.dev/pool"]}/${metadata.labels?.["pushfleet.dev/slot"]}`);
    expect([...new Set(places)]).toHaveLength(count);
    expect(gateways).toHaveLength(count);
  }

  test("by Leases of their own: the one with the lower epoch leaves the fleet alone, and no client feels it", async () => {
    const second = await demo.cluster.startOperator({ id: "second", changes: { lease: { ...lease, name: "another" } } });
    await leads(second);
    expect(epochOf(second)).toBeGreaterThan(epochOf(first));
    await first.waitForLine((line) => line.includes("another operator leads this fleet"), { what: "to be deposed", deadlineMs: 20_000 });
    const before = didBy(first);
    const felt = await demo.served.during(async () => {
      await demo.edit({ pools: [onePool({ minReplicas: 3, hardConnections: 1400 })] });
      await demo.settled(3, SETTLE_DEADLINE_MS);
    });
    expect(felt.losses).toBe(0);
    expect(didBy(first)).toBe(before);
    await expectOnePodAPlace(3);
    expect((await second.stop()).code).toBe(0);
  }, 120_000);

  test("one stopped for longer than its Lease and continued: the end state is the same", async () => {
    const replicas = [await demo.cluster.startOperator({ id: "third", changes: { lease } })];
    await first.kill(); // its epoch is the lower one
    await leads(replicas[0] ?? expect.unreachable());
    replicas.push(await demo.cluster.startOperator({ id: "fourth", changes: { lease } }));
    const [paused = expect.unreachable(), taker = expect.unreachable()] = replicas;
    const felt = await demo.served.during(async () => {
      await demo.edit({ pools: [onePool({ minReplicas: 3, hardConnections: 1300 })] });
      await waitFor(() => didBy(paused) > 0, { what: "the rollout to be begun", deadlineMs: 20_000 });
      paused.pause();
      await leads(taker);
      paused.resume();
      await demo.settled(3, SETTLE_DEADLINE_MS);
    });
    expect(felt.losses).toBe(0);
    await expectOnePodAPlace(3);
    // It has lost its Lease meanwhile, and ends; its Deployment would start it again.
    await waitFor(() => paused.exit !== undefined, { what: "the stopped one to end", deadlineMs: 20_000 });
    expect(paused.exit?.code).toBe(1);
  }, 120_000);

  test("after the Lease was deleted by hand: epochs go on rising, and the fleet goes on", async () => {
    const before = (await living()).map(({ metadata }) => metadata.uid).sort();
    await demo.cluster.kubectl(["-n", "pushfleet-system", "delete", "lease", "--all"]);
    const leaseAgain = async () =>
      (await demo.cluster.kubectl(["-n", "pushfleet-system", "get", "lease", "-o", "name"])).includes("pushfleet-operator");
    await waitFor(leaseAgain, { what: "the Lease again", deadlineMs: 20_000 });
    await demo.served.expectServed();
    expect((await living()).map(({ metadata }) => metadata.uid).sort()).toEqual(before);
    await demo.edit({ pools: [onePool({ minReplicas: 4, hardConnections: 1300 })] });
    await demo.settled(4, SETTLE_DEADLINE_MS);
    await expectOnePodAPlace(4);
  }, 120_000);
});
