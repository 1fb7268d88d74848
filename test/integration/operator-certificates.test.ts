import { X509Certificate } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createAuthority } from "../../operator/src/kubernetes/certificates/index.js";
import { limits } from "../../protocol/src/index.js";
import { KUBERNETES_START_DEADLINE_MS } from "../peers/kubernetes.js";
import { describeWithPeers } from "../peers/peer.js";
import { type RedisServer, startRedis } from "../peers/redis.js";
import { waitFor } from "../peers/wait-for.js";
import { FleetInCluster } from "../support/fleet-in-cluster.js";
import { onePool } from "../support/fleet-manifest.js";
import { conditionOf, type OperatorCluster, startOperatorCluster } from "../support/operator-cluster.js";
import { OperatorInProcess } from "../support/operator-in-process.js";
import { codeOfCall, routerMethods } from "../support/uninvited-caller.js";

const dayMs = 86_400_000;
const images = { gateway: "pushfleet/gateway:test", router: "pushfleet/router:test" };
/** Of a gateway: its server, and its channel to the routers. */
const certificatesHeld = { gateway: 2, router: 1 };

describeWithPeers(["kubernetes", "redis-server"], "the certificates of a fleet that serves", () => {
  let cluster: OperatorCluster;
  let redis: RedisServer;
  let fleet: FleetInCluster;
  /** It makes the fleet in its own past: certificates of which two thirds are over, and that are valid. */
  const operator = new OperatorInProcess(-61 * dayMs);

  beforeAll(async () => {
    [redis, cluster] = await Promise.all([startRedis(), startOperatorCluster()]);
    await cluster.createNamespace("push", "a secret of thirty-two bytes or so");
    fleet = new FleetInCluster(cluster, "push", "demo", { jwtSecret: "a secret of thirty-two bytes or so", publishToken: "tell-me" });
    await operator.start({ kubeconfig: cluster.kubernetes.kubeconfigFile, id: "operator", images });
    await cluster.apply(...fleet.secrets, fleet.manifest(redis.url, { pools: [onePool({ minReplicas: 2 })] }));
    await fleet.waitUntilServing(2);
    for (const user of ["usr_1", "usr_2", "usr_3"]) await fleet.connect(user, "phone");
  }, 2 * KUBERNETES_START_DEADLINE_MS);

  afterAll(async () => {
    fleet?.close();
    await operator.stop();
    await cluster?.stop();
    await redis?.stop();
  });

  /** How often each process has taken new certificates, by its pod's name. */
  async function renewals(): Promise<ReadonlyMap<string, number>> {
    const pods = [...(await fleet.podsOf("gateway")), ...(await fleet.podsOf("router"))];
    return new Map(
      pods.map(({ metadata: { name } }) => {
        const lines = cluster.kubelet.process(name, "push")?.logs() ?? [];
        return [name, lines.filter(({ msg }) => msg === "certificate renewed").length];
      }),
    );
  }

  /** What `change` makes the operator write has reached every process. */
  async function takenByAll(what: string, change: () => Promise<void> | void): Promise<void> {
    const before = await renewals();
    await change();
    const isTaken = async (): Promise<boolean> =>
      [...(await renewals())].every(([name, count]) => {
        const held = name.includes("-router-") ? certificatesHeld.router : certificatesHeld.gateway;
        return count >= (before.get(name) ?? 0) + held;
      });
    await waitFor(isTaken, { what: `every process to take ${what}`, deadlineMs: 30_000, intervalMs: 100 });
  }

  /** Publishes to everybody, and calls as a process that starts just then would, until `work` is over; nothing of it may fail. */
  async function whileServing(work: () => Promise<void>): Promise<void> {
    const end = new AbortController();
    const ids: string[] = [];
    const outcomes = new Set<string>();
    const serving = (async () => {
      while (!end.signal.aborted) {
        ids.push(`n${published++}`);
        for (const { user } of fleet.devices) outcomes.add(`publish ${await fleet.publish(user, ids.at(-1) ?? "")}`);
        outcomes.add(`sync ${await syncAnew()}`);
        await delay(50, undefined, { signal: end.signal }).catch(() => undefined); // paces it
      }
    })();
    try {
      await Promise.race([work(), serving]);
    } finally {
      end.abort();
    }
    await serving;
    expect([...outcomes].sort()).toEqual(["publish 202", "sync OK"]);
    const complete = (): boolean => fleet.devices.every(({ notified }) => ids.every((id) => notified.includes(id)));
    await waitFor(complete, { what: "all of it on every device", deadlineMs: 10_000 });
    for (const { notified, losses } of fleet.devices) {
      expect(new Set(notified).size).toBe(notified.length);
      expect(losses).toBe(0);
    }
  }
  let published = 0;

  async function syncAnew(): Promise<string> {
    const [sync] = routerMethods;
    const [tls, address] = await Promise.all([fleet.certificateOf("gateway"), fleet.addressOf("router")]);
    return sync === undefined ? "no method" : await codeOfCall(`${address}:9200`, sync, tls);
  }

  async function expectUndisturbed(): Promise<void> {
    const shown = await cluster.waitForFleet("push", "demo", "serving", ({ status }) => status?.pods?.serving === 2);
    expect(conditionOf(shown, "Degraded").message).toBe("nothing is wrong");
    const pods = [...(await fleet.podsOf("gateway")), ...(await fleet.podsOf("router"))];
    for (const { metadata, status } of pods) {
      expect(
        status?.containerStatuses?.map(({ restartCount }) => restartCount),
        metadata.name,
      ).toEqual([0]);
      const loud = cluster.kubelet
        .process(metadata.name, "push")
        ?.logs()
        .filter(({ level }) => level !== "info");
      expect(loud, metadata.name).toEqual([]);
    }
    const uids = pods.map(({ metadata }) => metadata.uid).sort();
    firstPods ??= uids;
    expect(uids).toEqual(firstPods);
  }
  let firstPods: readonly (string | undefined)[] | undefined;

  /** What the fleet's authority Secret holds; PEM texts without the line end that some writers add. */
  async function authority(): Promise<Readonly<Record<string, string>>> {
    const entries = Object.entries(await fleet.readSecret("demo-ca"));
    return Object.fromEntries(entries.map(([key, text]) => [key, text.trim()]));
  }
  const leaf = async () => new X509Certificate((await fleet.certificateOf("gateway")).cert);

  test("two thirds of their life over, all are renewed, and nobody feels it", async () => {
    await expectUndisturbed();
    const [before, by] = [await leaf(), await authority()];
    expect(Date.parse(before.validFrom)).toBeLessThan(Date.now() - 60 * dayMs);
    await whileServing(() =>
      takenByAll("its renewed certificate", () => {
        operator.aheadMs = 0; // sixty-one days later
      }),
    );
    expect(Date.parse((await leaf()).validFrom)).toBeGreaterThan(Date.now() - dayMs);
    expect(await authority()).toEqual(by);
    await expectUndisturbed();
  }, 60_000);

  test("an authority that the spec brings takes over in steps, and nobody feels it", async () => {
    const former = (await authority())["tls.crt"];
    const { cert, key } = await createAuthority({ namespace: "push", fleet: "demo", nowMs: Date.now() });
    const brought = cert.trim();
    const metadata = { name: "brought", namespace: "push" };
    const stringData = { "tls.crt": cert, "tls.key": key };
    await cluster.apply({ apiVersion: "v1", kind: "Secret", type: "kubernetes.io/tls", metadata, stringData });
    const settle = (): void => {
      operator.aheadMs += limits.certificateSettleMs + 1_000;
    };
    const pools = [onePool({ minReplicas: 2 })];
    const spec = { pools, certificateAuthority: { secretName: "brought" } };
    await whileServing(async () => {
      await takenByAll("the next authority beside the first", () => cluster.apply(fleet.manifest(redis.url, spec)));
      expect(await authority()).toMatchObject({ "tls.crt": former, "next.crt": brought });
      await takenByAll("a certificate that the brought one has signed", settle);
      expect(await authority()).toMatchObject({ "tls.crt": brought, "former.crt": former });
      await takenByAll("trust in the brought one only", settle);
    });
    expect(Object.keys(await authority()).sort()).toEqual(["ca.crt", "tls.crt", "tls.key"]);
    expect((await authority())["ca.crt"]).toBe(brought);
    expect((await leaf()).verify(new X509Certificate(brought).publicKey)).toBe(true);
    await expectUndisturbed();

    // A gateway that comes now has known no other authority: operator, router and it speak to each other.
    await whileServing(async () => {
      await cluster.apply(fleet.manifest(redis.url, { ...spec, pools: [onePool({ minReplicas: 3 })] }));
      await fleet.waitUntilServing(3);
    });
  }, 120_000);
});
