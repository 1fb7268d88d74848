import { KUBERNETES_START_DEADLINE_MS, type KubernetesOptions } from "../peers/kubernetes.js";
import { type RedisServer, startRedis } from "../peers/redis.js";
import { fleetManifest, publishersSecret } from "./fleet-manifest.js";
import { conditionOf, type FleetObject, type OperatorCluster, startOperatorCluster } from "./operator-cluster.js";
import { clientSecret, publishToken, ServedFleet } from "./operator-served.js";
import type { TestKubeletOptions } from "./test-kubelet.js";

/** For all of `start`, an operator's start and `serve`. */
export const DEMO_START_DEADLINE_MS = 3 * KUBERNETES_START_DEADLINE_MS;

export const place = { namespace: "push", name: "demo" };

/** A control plane, a Redis, and on them the fleet `demo` in the namespace `push`; the operator is the test's own. */
export class DemoFleet {
  #cluster: OperatorCluster | undefined;
  #redis: RedisServer | undefined;
  #served: ServedFleet | undefined;

  /** With nothing in the namespace but the Secrets that a fleet needs. */
  async start(kubelet: Partial<TestKubeletOptions> = {}, controlPlane: KubernetesOptions = {}): Promise<void> {
    this.#redis = await startRedis();
    this.#cluster = await startOperatorCluster(kubelet, controlPlane);
    await this.createNamespace(place.namespace);
  }

  async createNamespace(name: string): Promise<void> {
    await this.cluster.createNamespace(name, clientSecret);
    await this.cluster.apply(publishersSecret(name, publishToken));
  }

  /** Makes the fleet and resolves when it has settled with its two gateways. */
  async make(spec: object = {}): Promise<void> {
    await this.apply({ spec });
    await this.settled(2);
  }

  /** Makes the fleet, and resolves when it serves so many clients. */
  async serve(clients: number, spec: object = {}): Promise<void> {
    await this.make(spec);
    this.#served = await ServedFleet.connect(this.cluster, place, clients);
  }

  get cluster(): OperatorCluster {
    return started(this.#cluster);
  }

  get redis(): RedisServer {
    return started(this.#redis);
  }

  get served(): ServedFleet {
    return started(this.#served);
  }

  /** Applies the fleet, or another one. Fields of `spec` replace those of `fleetManifest`. */
  async apply({ namespace = place.namespace, name = place.name, spec = {} }): Promise<void> {
    await this.cluster.apply(fleetManifest({ namespace, name }, this.redis.url, spec));
  }

  /** In the fleet's namespace. */
  async kubectl(...args: readonly string[]): Promise<string> {
    return await this.cluster.kubectl(["-n", place.namespace, ...args]);
  }

  /** Merges fields into the spec. */
  async edit(spec: object, name = place.name): Promise<void> {
    await this.kubectl("patch", "pgw", name, "--type=merge", "-p", JSON.stringify({ spec }));
  }

  /** Waits until the last edit is acted on and so many serve, with nothing left to do and nothing wrong. */
  async settled(pods: number, deadlineMs = 30_000, name = place.name): Promise<FleetObject> {
    return await this.cluster.waitForFleet(
      place.namespace,
      name,
      `settled with ${pods}`,
      (fleet) =>
        fleet.status?.observedGeneration === fleet.metadata.generation &&
        fleet.status.pods?.serving === pods &&
        conditionOf(fleet, "Progressing").reason === "Settled" &&
        conditionOf(fleet, "Degraded").status === "False",
      deadlineMs,
    );
  }

  async stop(): Promise<void> {
    await this.#served?.close();
    await this.#cluster?.stop();
    await this.#redis?.stop();
  }
}

function started<T>(part: T | undefined): T {
  if (part === undefined) throw new Error("the demo has not been started that far");
  return part;
}
