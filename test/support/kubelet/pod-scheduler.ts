import type { KubeletApi } from "./api.js";
import type { ObjectWatch } from "./object-watch.js";
import { conditionOf, isDeleting, isFinished, keyOf, type Node, namespaceOf, type Pod, timeText } from "./objects.js";
import { type Placement, planPlacement } from "./scheduling.js";
import { podPath } from "./status-writer.js";

export interface SchedulerOptions {
  readonly api: KubeletApi;
  readonly pods: ObjectWatch<Pod>;
  readonly nodes: ObjectWatch<Node>;
  /** Thousands of pods: the first node that fits, by turns; no spread. */
  readonly isCheap: boolean;
}

/** Binds pods without a node, those of any namespace, one after the other, each with what became of the former in mind. */
export class PodScheduler {
  readonly #options: SchedulerOptions;
  /** Bound by us and not yet seen so: pod uid → node. */
  readonly #assumed = new Map<string, string>();
  /** By uid: where it is in the watch. */
  readonly #waiting = new Map<string, string>();
  #turn = 0;
  #isDue = false;

  constructor(options: SchedulerOptions) {
    this.#options = options;
    options.pods.onChange((before, after) => {
      const uid = (after ?? before)?.metadata.uid ?? "";
      if (after === undefined || after.spec?.nodeName !== undefined) {
        this.#waiting.delete(uid);
        this.#assumed.delete(uid);
      } else this.#waiting.set(uid, keyOf(after));
      this.#wake();
    });
    options.nodes.onChange(() => this.#wake());
  }

  #wake(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(() => {
      this.#isDue = false;
      this.#schedule();
    });
  }

  #schedule(): void {
    for (const [uid, key] of this.#waiting) {
      if (this.#assumed.has(uid)) continue;
      const pod = this.#options.pods.objects.get(key);
      const isOver = pod === undefined || pod.metadata.uid !== uid || isDeleting(pod) || isFinished(pod);
      if (isOver) this.#waiting.delete(uid);
      else if ((pod.spec?.schedulingGates ?? []).length === 0) this.#place(pod);
    }
  }

  #place(pod: Pod): void {
    const placement = this.#plan(pod);
    if (placement.kind === "unschedulable") return void this.#report(pod, placement.message);
    this.#assumed.set(pod.metadata.uid ?? "", placement.name);
    void this.#bind(pod, placement.name);
  }

  #plan(pod: Pod): Placement {
    const nodes = [...this.#options.nodes.objects.values()];
    if (!this.#options.isCheap) return planPlacement(pod, nodes, this.#podsAsAssumed());
    this.#turn = (this.#turn + 1) % Math.max(1, nodes.length);
    const inTurn = [...nodes.slice(this.#turn), ...nodes.slice(0, this.#turn)];
    for (const node of inTurn) {
      const placement = planPlacement({ ...pod, spec: { containers: [], ...pod.spec, topologySpreadConstraints: [] } }, [node], []);
      if (placement.kind === "node") return placement;
    }
    return planPlacement(pod, nodes, []);
  }

  #podsAsAssumed(): readonly Pod[] {
    return [...this.#options.pods.objects.values()].map((pod) => {
      const nodeName = this.#assumed.get(pod.metadata.uid ?? "");
      return nodeName === undefined ? pod : { ...pod, spec: { containers: [], ...pod.spec, nodeName } };
    });
  }

  async #bind(pod: Pod, name: string): Promise<void> {
    const { uid = "" } = pod.metadata;
    const metadata = { name: pod.metadata.name, namespace: namespaceOf(pod), uid };
    const target = { apiVersion: "v1", kind: "Node", name };
    const answer = await this.#options.api.post(`${podPath(pod)}/binding`, { apiVersion: "v1", kind: "Binding", metadata, target });
    if (answer.status === 201) return;
    this.#assumed.delete(uid);
    if (answer.status === 404 || answer.status === 409)
      this.#waiting.delete(uid); // gone, another, or bound by somebody else
    else setTimeout(() => this.#wake(), 500);
  }

  async #report(pod: Pod, message: string): Promise<void> {
    const before = conditionOf(pod, "PodScheduled");
    if (before?.status === "False" && before.message === message) return;
    const condition = { type: "PodScheduled", status: "False", reason: "Unschedulable", message, lastTransitionTime: timeText(Date.now()) };
    const { uid } = pod.metadata;
    const answer = await this.#options.api.patch(`${podPath(pod)}/status`, "strategic-merge", {
      metadata: { uid },
      status: { conditions: [condition] },
    });
    if (answer.status === 0 || answer.status >= 500) setTimeout(() => this.#wake(), 500);
  }
}
