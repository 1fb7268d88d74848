import type { KubeletApi } from "./api.js";
import { namespaceOf, type Pod, type PodStatus } from "./objects.js";
import { Wakeup } from "./wakeup.js";

const RETRY_MS = 250;

export const podPath = (pod: Pod): string => `/api/v1/namespaces/${namespaceOf(pod)}/pods/${pod.metadata.name}`;

/** Writes one pod's status when asked to, one write at a time, the newest only, until the API server has it or the pod is gone. */
export class StatusWriter {
  readonly #api: KubeletApi;
  readonly #pod: Pod;
  readonly #build: () => PodStatus;
  readonly #wakeup = new Wakeup();
  #written = "";
  #isLast = false;
  #isAbandoned = false;
  #run: Promise<void> | undefined;

  constructor(api: KubeletApi, pod: Pod, build: () => PodStatus) {
    this.#api = api;
    this.#pod = pod;
    this.#build = build;
  }

  report(): void {
    this.#run ??= this.#loop();
    this.#wakeup.wake();
  }

  /** Writes the last word, if the API server takes it. */
  async finish(): Promise<void> {
    this.#isLast = true;
    this.report();
    await this.#run;
  }

  /** Writes nothing more, after a write that is under way. */
  async abandon(): Promise<void> {
    this.#isAbandoned = true;
    this.report();
    await this.#run;
  }

  async #loop(): Promise<void> {
    while (true) {
      await this.#wakeup.sleep();
      if (this.#isAbandoned) return;
      await this.#write();
      if (this.#isLast) return;
    }
  }

  async #write(): Promise<void> {
    const status = this.#build();
    const text = JSON.stringify(status);
    if (text === this.#written) return;
    const { uid } = this.#pod.metadata;
    const answer = await this.#api.patch(`${podPath(this.#pod)}/status`, "strategic-merge", { metadata: { uid }, status: asPatch(status) });
    if (answer.status === 200) this.#written = text;
    else if (answer.status !== 404) setTimeout(() => this.#wakeup.wake(), RETRY_MS);
  }
}

/** Merged by address, a new address would come beside the former. */
const asPatch = (status: PodStatus): object =>
  status.podIPs === undefined ? status : { ...status, podIPs: [{ $patch: "replace" }, ...status.podIPs] };

/** Takes the object of a pod that has ended away, as a kubelet does; tries until it is gone, or is another, or has a finalizer to wait for. */
export async function removePodObject(api: KubeletApi, pod: Pod, isWanted: () => boolean): Promise<void> {
  const { uid = "" } = pod.metadata;
  while (isWanted()) {
    const { status } = await api.delete(podPath(pod), { gracePeriodSeconds: 0, preconditions: { uid } });
    if (status === 200 || status === 404 || status === 409) return;
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}
