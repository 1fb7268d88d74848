import { setTimeout as delay } from "node:timers/promises";
import { type PassThrough, startPassThrough, type Target } from "../../operator/src/local/pass-through.js";
import { waitFor } from "../peers/wait-for.js";
import { Device, signToken } from "./device.js";
import type { FleetPlace } from "./fleet-manifest.js";
import { isConditionTrue, isDeleting, type Pod } from "./kubelet/objects.js";
import type { OperatorCluster } from "./operator-cluster.js";

export const clientSecret = "a secret of thirty-two bytes or so";
export const publishToken = "tell-me";

/** What clients felt. */
export interface Felt {
  /** Moves to another gateway before the old connection ended. */
  readonly handOvers: number;
  readonly losses: number;
  /** Slowest notification, publish to hand-on of the last device. */
  readonly slowestMs: number;
}

/** Clients of one fleet behind a TCP balancer, and a publisher. They tell whether the fleet serves on while something else is broken. */
export class ServedFleet {
  readonly devices: Device[] = [];
  readonly #cluster: OperatorCluster;
  readonly #place: FleetPlace;
  readonly #balancer: PassThrough;
  #router = "";
  #published = 0;

  private constructor(cluster: OperatorCluster, place: FleetPlace, balancer: PassThrough) {
    this.#cluster = cluster;
    this.#place = place;
    this.#balancer = balancer;
  }

  /** Resolves when each client has received a notification. */
  static async connect(cluster: OperatorCluster, place: FleetPlace, clients: number): Promise<ServedFleet> {
    const served = new ServedFleet(cluster, place, await startPassThrough({ host: "127.0.0.1", port: 0 }));
    await served.look();
    for (let index = 0; index < clients; index += 1) await served.#open(`${place.name}_${index}`);
    await served.expectServed();
    return served;
  }

  /** Learns the gateways and the router of now: new connections go to gateways that are ready. */
  async look(): Promise<void> {
    const { namespace, name } = this.#place;
    const gateways = await this.#cluster.gateways(namespace, name);
    this.#balancer.setTargets(gateways.flatMap((pod) => this.#targetOf(pod)));
    this.#router = await waitFor(() => this.#findRouter(), { what: `a ready router of ${name}`, deadlineMs: 30_000 });
  }

  /** Publishes to every client and waits until each has it. Answers how long that took. */
  async expectServed(deadlineMs = 10_000): Promise<number> {
    this.#published += 1;
    const id = `n${this.#published}`;
    const startMs = performance.now();
    await Promise.all(this.devices.map(({ user }) => this.#publish(user, id, deadlineMs)));
    for (const device of this.devices) {
      await waitFor(() => device.received.some((one) => one.id === id), { what: `${device.user} to receive ${id}`, deadlineMs });
    }
    return performance.now() - startMs;
  }

  /** Publishes to every client all the time while `work` runs. Throws when one of them misses any of it. */
  async during(work: () => Promise<void>, deadlineMs = 10_000): Promise<Felt> {
    const before = this.#felt();
    const end = new AbortController();
    let slowestMs = 0;
    const publishing = (async () => {
      while (!end.signal.aborted) {
        await this.look().catch(() => undefined); // the API server may be what is away
        slowestMs = Math.max(slowestMs, await this.expectServed(deadlineMs));
        await delay(100, undefined, { signal: end.signal }).catch(() => undefined); // paces the publisher
      }
    })();
    try {
      await Promise.race([work(), publishing]);
    } finally {
      end.abort();
    }
    await publishing;
    const after = this.#felt();
    return { handOvers: after.handOvers - before.handOvers, losses: after.losses - before.losses, slowestMs: Math.round(slowestMs) };
  }

  async close(): Promise<void> {
    for (const device of this.devices) device.client.close();
    await this.#balancer.stop();
  }

  #felt() {
    const sum = (of: (device: Device) => number): number => this.devices.reduce((total, device) => total + of(device), 0);
    return { handOvers: sum((one) => one.handOvers), losses: sum((one) => one.losses) };
  }

  async #open(user: string): Promise<void> {
    const token = await signToken(user, clientSecret);
    const device = new Device({ url: `ws://${this.#balancer.address}/connect`, user, device: "phone", token });
    this.devices.push(device);
    await waitFor(() => device.isLive, { what: `${user} to be live` });
  }

  async #publish(user: string, id: string, deadlineMs: number): Promise<void> {
    const answer = await fetch(`http://${this.#router}:8081/v1/notifications`, {
      method: "POST",
      headers: { authorization: `Bearer ${publishToken}`, "content-type": "application/json" },
      body: JSON.stringify({ user_id: user, notification_id: id, data: {} }),
      signal: AbortSignal.timeout(deadlineMs),
    });
    if (answer.status !== 202) throw new Error(`publishing to ${user}: ${answer.status} ${await answer.text()}`);
  }

  async #findRouter(): Promise<string | undefined> {
    const selector = encodeURIComponent(`pushfleet.dev/fleet=${this.#place.name},app.kubernetes.io/component=router`);
    const path = `/api/v1/namespaces/${this.#place.namespace}/pods?labelSelector=${selector}`;
    const { body } = await this.#cluster.kubernetes.request("GET", path);
    return (body as { readonly items: readonly Pod[] }).items.find(isReady)?.status?.podIP;
  }

  #targetOf({ metadata, status }: Pod): readonly Target[] {
    const { name } = metadata;
    if (status?.podIP === undefined) return [];
    const accepting = (): boolean => isReady(this.#cluster.kubelet.pod(name, this.#place.namespace));
    return [{ name, host: status.podIP, port: 8080, accepting }];
  }
}

function isReady(pod: Pod | undefined): boolean {
  return pod !== undefined && !isDeleting(pod) && isConditionTrue(pod, "Ready");
}
