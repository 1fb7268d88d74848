import { parseGrant } from "../../operator/src/core/index.js";
import { KubeletApi } from "./kubelet/api.js";
import { ObjectWatch } from "./kubelet/object-watch.js";
import { isDeleting, isFinished, type Pod } from "./kubelet/objects.js";

/** Watches every gateway pod there ever is, and writes down what must never be: a place taken twice, more pods of a pool than its target, its
 *  surge and those being drained. */
export class PodLedger {
  /** What must never be, in words. */
  readonly faults: string[] = [];
  readonly #api: KubeletApi;
  readonly #watch: ObjectWatch<Pod>;
  readonly #live = new Map<string, Pod>();
  /** By fleet ("namespace/name"): the most pods of each pool, those being drained not counted. */
  readonly #most = new Map<string, number>();
  /** By fleet: the names its pods had, as often as one was made. */
  readonly #made = new Map<string, string[]>();

  constructor(kubeconfigFile: string, onChange: (pod: Pod, isGone: boolean) => void = () => undefined) {
    this.#api = new KubeletApi(kubeconfigFile);
    this.#watch = new ObjectWatch<Pod>(this.#api, "/api/v1/pods");
    this.#watch.onChange((before, after) => {
      const pod = after ?? before;
      if (pod?.metadata.labels?.["app.kubernetes.io/component"] !== "gateway") return;
      if (before === undefined) this.#madeBy(fleetOf(pod)).push(pod.metadata.name);
      this.#take(pod, after === undefined);
      onChange(pod, after === undefined);
    });
  }

  async start(): Promise<void> {
    await this.#watch.start();
  }

  async stop(): Promise<void> {
    await this.#watch.stop();
    await this.#api.close();
  }

  /** From now on: target and surge. */
  allow(fleet: string, podsOfAPool: number): void {
    this.#most.set(fleet, podsOfAPool);
  }

  /** Names of all pods made so far, sorted; twice is twice. */
  made(fleet: string): readonly string[] {
    return [...this.#madeBy(fleet)].sort();
  }

  /** All that live now. */
  pods(fleet: string): readonly Pod[] {
    return [...this.#live.values()].filter((pod) => fleetOf(pod) === fleet);
  }

  #madeBy(fleet: string): string[] {
    const known = this.#made.get(fleet) ?? [];
    this.#made.set(fleet, known);
    return known;
  }

  #take(pod: Pod, isGone: boolean): void {
    const uid = pod.metadata.uid ?? "";
    if (isGone || isDeleting(pod) || isFinished(pod)) this.#live.delete(uid);
    else this.#live.set(uid, pod);
    const fleet = fleetOf(pod);
    const pool = this.pods(fleet).filter((one) => labelOf(one, "pool") === labelOf(pod, "pool"));
    const places = pool.map((one) => `slot ${labelOf(one, "slot")} of ${labelOf(one, "revision")}`);
    const twice = places.find((place, index) => places.indexOf(place) !== index);
    if (twice !== undefined) this.#fault(`${fleet}: ${twice} is taken twice`);
    const kept = pool.filter((one) => parseGrant(one.metadata.annotations?.["pushfleet.dev/grant"])?.purpose !== "drain");
    const most = this.#most.get(fleet);
    if (most !== undefined && kept.length > most) {
      this.#fault(`${fleet}: ${kept.length} pods, ${most} allowed: ${kept.map((one) => one.metadata.name).join(", ")}`);
    }
  }

  #fault(told: string): void {
    if (!this.faults.includes(told)) this.faults.push(told);
  }
}

function fleetOf({ metadata }: Pod): string {
  return `${metadata.namespace}/${metadata.labels?.["pushfleet.dev/fleet"]}`;
}

function labelOf({ metadata }: Pod, name: string): string {
  return metadata.labels?.[`pushfleet.dev/${name}`] ?? "";
}
