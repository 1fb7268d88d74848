import { afterAll, beforeAll, expect, test } from "vitest";
import { KUBERNETES_START_DEADLINE_MS } from "../peers/kubernetes.js";
import { describeWithPeers } from "../peers/peer.js";
import type { RunningProcess } from "../peers/process.js";
import { type RedisServer, startRedis } from "../peers/redis.js";
import { waitFor } from "../peers/wait-for.js";
import { publishersSecret } from "../support/fleet-manifest.js";
import { type OperatorCluster, startOperatorCluster } from "../support/operator-cluster.js";
import { LiveFleet } from "../support/operator-live-fleet.js";
import { PodLedger } from "../support/operator-pod-ledger.js";
import { OperatorReplicas } from "../support/operator-replicas.js";
import { StandInGateways } from "../support/operator-stand-ins.js";
import { type Edit, Trial } from "../support/operator-trial.js";

const jwtSecret = "a secret of thirty-two bytes or so";
const publishToken = "tell-me";
const reconnectsPerSecond = 10;
const shortLease = { durationSeconds: 3, renewDeadlineSeconds: 2, retryPeriodSeconds: 0.4 };
/** For leaders that are not to lose it, however busy the machine is. */
const steadyLease = { durationSeconds: 6, renewDeadlineSeconds: 4, retryPeriodSeconds: 0.5 };
/** The same kills again: PUSHFLEET_SEED=… */
const seed = Number(process.env["PUSHFLEET_SEED"] ?? Date.now() % 1_000_000);

const apply = (name: string, pools: Readonly<Record<string, number>>, revision = 0): Edit => ({
  kind: "apply",
  fleet: { name, pools, revision },
});
const remove = (name: string): Edit => ({ kind: "delete", name });

/** Fleet `live` has real gateways; how often the leader is killed while each round is under way. */
const rounds: readonly {
  readonly edits: readonly Edit[];
  readonly kills: number;
  readonly newClients: Readonly<Record<string, number>>;
}[] = [
  {
    edits: [
      apply("live", { default: 2 }),
      apply("one", { default: 2 }),
      apply("two", { left: 2, right: 1 }),
      apply("three", { default: 3 }),
    ],
    kills: 8,
    newClients: { live: 12, one: 40, two: 30, three: 60 },
  },
  {
    edits: [
      apply("live", { default: 3 }),
      apply("one", { default: 4 }),
      apply("two", { left: 3, right: 1 }, 1),
      apply("three", { default: 3 }, 1),
    ],
    kills: 12,
    newClients: { live: 4, one: 20 },
  },
  {
    edits: [apply("live", { default: 2 }), apply("one", { default: 2 }), apply("two", { left: 3 }, 1), remove("three")],
    kills: 10,
    newClients: {},
  },
  {
    edits: [
      apply("live", { default: 2 }, 1),
      apply("one", { default: 2 }, 1),
      apply("two", { left: 2, right: 2 }, 2),
      apply("three", { default: 2 }),
    ],
    kills: 12,
    newClients: { three: 20 },
  },
  { edits: [remove("one"), remove("live"), remove("two"), remove("three")], kills: 8, newClients: {} },
];

describeWithPeers(["kubernetes", "redis-server"], "operators that are killed", () => {
  let redis: RedisServer;
  let cluster: OperatorCluster;
  let ledger: PodLedger;
  let standIns: StandInGateways;
  let live: LiveFleet;

  beforeAll(async () => {
    const isReal = ({
      metadata,
    }: {
      readonly metadata: { readonly namespace?: string; readonly labels?: Readonly<Record<string, string>> };
    }) => metadata.namespace === "storm" && metadata.labels?.["pushfleet.dev/fleet"] === "live";
    const relay = { started: (...a: Parameters<StandInGateways["started"]>) => standIns.started(...a) };
    const nodes = ["left", "left", "right"].map((pool, index) => ({ name: `node-${index}`, labels: { pool } }));
    [redis, cluster, live] = await Promise.all([
      startRedis(),
      startOperatorCluster({
        nodes,
        statusOnly: (pod) => !isReal(pod),
        statusStreams: { ...relay, changed: (pod) => standIns.changed(pod), ended: (pod) => standIns.ended(pod) },
      }),
      LiveFleet.start({ jwtSecret, reconnectsPerSecond }),
    ]);
    standIns = new StandInGateways(
      cluster.kubernetes,
      (pod) => pod.metadata.labels?.["app.kubernetes.io/component"] === "gateway" && !isReal(pod),
    );
    ledger = new PodLedger(cluster.kubernetes.kubeconfigFile, (pod, isGone) => {
      if (isReal(pod)) live.podChanged(pod, isGone);
    });
    await ledger.start();
    for (const namespace of ["storm", "calm", "contested", "uncontested"]) {
      await cluster.createNamespace(namespace, jwtSecret);
      await cluster.apply(publishersSecret(namespace, publishToken));
    }
  }, 2 * KUBERNETES_START_DEADLINE_MS);

  afterAll(async () => {
    await live?.stop();
    standIns?.stop();
    await ledger?.stop();
    await cluster?.stop();
    await redis?.stop();
  });

  test("I5: 50 kills while fleets come, grow, roll, shrink and go lead where an undisturbed run does (and I3, I4 hold on the way)", {
    timeout: 600_000,
  }, async () => {
    const random = seeded(seed);
    const calm = new OperatorReplicas(cluster, "calm", { watchNamespaces: ["calm"], lease: {} });
    const stormy = new OperatorReplicas(cluster, "storm", { watchNamespaces: ["storm"], lease: shortLease });
    const trial = new Trial({ cluster, ledger, standIns, calm: "calm", stormy: "storm", redisUrl: redis.url, reconnectsPerSecond });
    try {
      await Promise.all([calm.start(1), stormy.start(2)]);
      for (const [number, { edits, kills, newClients }] of rounds.entries()) {
        for (let kill = 0; kill < kills; kill += 1) {
          const edit = edits[kill];
          const leader = await stormy.leader();
          if (edit !== undefined) await trial.edit(edit);
          await pause(random() * (random() < 0.5 ? 500 : 3_000));
          await stormy.kill(leader, kill % 4 === 0 ? "expires" : "is taken");
        }
        await trial.settle();
        for (const [fleet, count] of Object.entries(newClients)) {
          standIns.connect(`calm/${fleet}`, count);
          if (fleet === "live") await live.connect(count);
          else standIns.connect(`storm/${fleet}`, count);
        }
        expect(live.faults).toEqual([]);
        if (number === rounds.length - 1) continue;
        await waitFor(() => live.areLive, { what: "all clients to be live" });
        await publish(cluster, live, `n${number}`);
      }
      expect(live.handOvers).toBeGreaterThanOrEqual(12);
    } catch (cause) {
      const ends = [...stormy.ends, ...calm.ends].join("\n");
      const faults = [...ledger.faults, ...standIns.faults, ...live.faults].join("\n");
      throw new Error(`with PUSHFLEET_SEED=${seed}: ${String(cause)}\n${faults}\n${ends}\n${stormy.lines(15).join("\n")}`, { cause });
    } finally {
      await Promise.all([calm.stop(), stormy.stop()]);
    }
  });

  test("I5: two that both think they lead, with the same epoch, one stopped for longer than its Lease, and a Lease given to somebody else", {
    timeout: 300_000,
  }, async () => {
    const calm = new OperatorReplicas(cluster, "uncontested", { watchNamespaces: ["uncontested"], lease: {} });
    const rivals = ["one-lease", "another-lease"].map(
      (name) => new OperatorReplicas(cluster, name, { watchNamespaces: ["contested"], lease: steadyLease }),
    );
    const [one = expect.unreachable(), another = expect.unreachable()] = rivals;
    const places = { calm: "uncontested", stormy: "contested" };
    const trial = new Trial({ cluster, ledger, standIns, ...places, redisUrl: redis.url, reconnectsPerSecond });
    try {
      // Both Leases are new: both say epoch 1.
      await Promise.all([calm.start(1), one.start(1), another.start(1)]);
      const leaders = await Promise.all([one.leader(), another.leader()]);
      expect(leaders.map(epochOf)).toEqual([1, 1]);
      await trial.edit(apply("four", { default: 3 }));
      await trial.edit(apply("five", { default: 2 }));
      await trial.settle();
      const [idle] = await waitFor(() => oneOf(leaders.filter(isDeposed)), {
        what: "one of them to leave the fleets alone",
        deadlineMs: 30_000,
      });
      for (const namespace of Object.values(places)) for (const fleet of ["four", "five"]) standIns.connect(`${namespace}/${fleet}`, 40);
      const done = didBy(idle);
      await trial.edit(apply("four", { default: 3 }, 1));
      await trial.settle();
      expect(didBy(idle)).toBe(done);

      // Stopped in the middle of a rollout, for longer than its Lease; its replacement by the other Lease is the one that starts anew.
      const acting = leaders.find((leader) => leader !== idle) ?? expect.unreachable();
      const began = didBy(acting);
      await trial.edit(apply("five", { default: 3 }, 1));
      await waitFor(() => didBy(acting) > began, { what: "the rollout to have begun", deadlineMs: 30_000 });
      acting.pause();
      const other = one.leaders.includes(idle) ? one : another;
      await other.kill(idle, "expires");
      const taker = await other.leader();
      await waitFor(() => didBy(taker) > 0, { what: "the new one to act", deadlineMs: 30_000 });
      acting.resume();
      await trial.settle();
      await waitFor(() => acting.exit !== undefined, { what: "the stopped one to end", deadlineMs: 20_000 });

      // Somebody writes another holder into the Lease of the one that leads: it stops, and leads again when that one does not renew it.
      await one.stop();
      const last = await another.leader();
      await another.editLease({ holderIdentity: "somebody-else" });
      await waitFor(() => last.exit !== undefined, { what: "it to end", deadlineMs: 20_000 });
      const gone = didBy(last);
      await trial.edit(apply("four", { default: 2 }, 2));
      const again = await another.leader();
      expect(epochOf(again)).toBeGreaterThan(epochOf(last));
      await trial.settle();
      expect(didBy(last)).toBe(gone);
      await another.deleteLease();
      await trial.edit(remove("four"));
      await trial.edit(remove("five"));
      await trial.settle();
    } catch (cause) {
      const lines = rivals.flatMap((replicas) => [...replicas.ends, ...replicas.lines(15)]);
      throw new Error(`${String(cause)}\n${[...ledger.faults, ...standIns.faults, ...lines].join("\n")}`, { cause });
    } finally {
      await Promise.all([calm, ...rivals].map((replicas) => replicas.stop()));
    }
  });
});

/** One notification to everybody, and until everybody has it. */
async function publish(cluster: OperatorCluster, live: LiveFleet, id: string): Promise<void> {
  const selector = "pushfleet.dev/fleet=live,app.kubernetes.io/component=router";
  const address = await cluster.kubectl(["-n", "storm", "get", "pod", "-l", selector, "-o", "jsonpath={.items[0].status.podIP}"]);
  const answer = await fetch(`http://${address}:8081/v1/notifications`, {
    method: "POST",
    headers: { authorization: `Bearer ${publishToken}`, "content-type": "application/json" },
    body: JSON.stringify({ user_ids: live.users, notification_id: id, data: { text: "hello" } }),
  });
  expect(answer.status, await answer.text()).toBe(202);
  await waitFor(() => live.hasAll(id), { what: `all clients to have ${id}` });
}

const didBy = (operator: RunningProcess): number => operator.lines().filter((line) => line.includes('"msg":"did"')).length;
const isDeposed = (operator: RunningProcess): boolean =>
  operator.lines().some((line) => line.includes('"msg":"another operator leads this fleet"'));
const oneOf = <T>(found: readonly T[]): readonly [T] | undefined => {
  const [first] = found;
  return first === undefined || found.length > 1 ? undefined : [first];
};

/** As it began to lead. */
function epochOf(operator: RunningProcess): number {
  return Number(operator.logs().find(({ msg }) => msg === "leading")?.["epoch"]);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** mulberry32 */
function seeded(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
