import type { KubeletApi } from "./api.js";
import type { PodPlace } from "./downward.js";
import { isDeleting, type Pod, type PodCondition, type PodStatus, timeText } from "./objects.js";
import { buildPodStatus } from "./pod-status.js";
import { removePodObject, StatusWriter } from "./status-writer.js";

/** A pod that only says it runs: its status, and nothing behind it. */
export class StatusOnlyPod {
  readonly place: PodPlace;
  readonly #api: KubeletApi;
  readonly #writer: StatusWriter;
  readonly #startedAtMs = Date.now();
  #pod: Pod;
  #conditions: readonly PodCondition[] = [];
  #isLeaving = false;
  #isGone = false;

  constructor(pod: Pod, place: PodPlace, api: KubeletApi) {
    this.place = place;
    this.#pod = pod;
    this.#api = api;
    this.#writer = new StatusWriter(api, pod, () => this.#buildStatus());
  }

  get pod(): Pod {
    return this.#pod;
  }

  start(): void {
    this.update(this.#pod);
  }

  update(pod: Pod): void {
    this.#pod = pod;
    if (!isDeleting(pod)) return this.#writer.report();
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    void this.#writer.abandon().then(() => removePodObject(this.#api, pod, () => !this.#isGone));
  }

  async destroy(): Promise<void> {
    this.#isGone = true;
    await this.#writer.abandon();
  }

  #buildStatus(): PodStatus {
    const running = { startedAt: timeText(this.#startedAtMs) };
    const containers = (this.#pod.spec?.containers ?? []).map(({ name, image = "" }) => {
      const containerID = `none://${this.#pod.metadata.uid}`;
      return { name, image, imageID: image, containerID, ready: true, started: true, restartCount: 0, state: { running } };
    });
    const facts = { place: this.place, startedAtMs: this.#startedAtMs, isSandboxReady: true, isInitialized: true, hasEnded: false };
    const status = buildPodStatus(this.#pod, { ...facts, containers, initContainers: [] }, this.#conditions, Date.now());
    this.#conditions = status.conditions ?? [];
    return status;
  }
}
