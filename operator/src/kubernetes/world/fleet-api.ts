import { limits } from "@pushfleet/protocol";
import type { Clock } from "@pushfleet/service";
import type { FairSlots } from "../api/fair-slots.js";
import { resources } from "../api/resources.js";
import type { ApiResult, KubernetesApi, Resource } from "../api/types.js";
import { podPatchOf, RefusedPatches } from "./refused-patches.js";

export interface FleetApiParts {
  readonly api: KubernetesApi;
  readonly clock: Pick<Clock, "monotonicMs">;
  /** Of all fleets. */
  readonly slots: FairSlots;
  /** Aborts when this process does not lead any more: what still waits for its turn is not sent. */
  readonly leading: AbortSignal;
  /** Of the fleet's spec as it is now. */
  readonly generation: () => number;
  /** What a request of `api` may take. */
  readonly requestMs: number;
}

/** The last write of a kind, which was not answered. */
interface Unanswered {
  readonly what: string;
  readonly untilMs: number;
  /** How many before it were not. */
  readonly count: number;
  readonly askedAtMs: number;
}

/** The API server as one fleet uses it. Its writes wait for their turn among those of all fleets: each has its time to be answered from when it is
 *  sent, however many there are.
 *
 *  A write that waits for its whole time is most often one that an admission webhook does not answer: it has
 *  held a connection that other fleets need, and the fleet's next write would hold it as long. So after one such no other write of this fleet
 *  is begun for a while, then one at a time until one is answered. The kind that was not answered waits ever longer: its objects may be the first
 *  to be written in each turn, and the webhook may be asked about no other kind. Reads, and what is written to the PushGateway itself, go on.
 *
 *  A patch of a pod that was refused is not sent again at each plan: see refused-patches.ts. */
export class FleetApi implements KubernetesApi {
  readonly get: KubernetesApi["get"];
  readonly list: KubernetesApi["list"];
  readonly watch: KubernetesApi["watch"];
  readonly #parts: FleetApiParts;
  readonly #refused = new RefusedPatches();
  /** By kind. */
  readonly #unanswered = new Map<string, Unanswered>();
  /** Since a write was not answered, until one is. */
  #rest: Pick<Unanswered, "what" | "untilMs"> | undefined;
  #isTrying = false;

  constructor(parts: FleetApiParts) {
    const { api } = parts;
    this.#parts = parts;
    this.get = api.get.bind(api);
    this.list = api.list.bind(api);
    this.watch = api.watch.bind(api);
  }

  /** For a condition, as long as it is so. */
  get told(): readonly string[] {
    const nowMs = this.#parts.clock.monotonicMs();
    const seconds = this.#parts.requestMs / 1000;
    // What is not wanted any more (nobody asked for it since a settled fleet's last plan) is forgotten.
    for (const [kind, { untilMs, askedAtMs }] of this.#unanswered)
      if (nowMs - Math.max(untilMs, askedAtMs) > limits.planSettledMs) this.#unanswered.delete(kind);
    const unanswered = [...this.#unanswered.values()].map(
      ({ what }) =>
        `the API server did not answer within ${seconds} s (${what}): look for an admission webhook in its way that does not answer`,
    );
    return [...unanswered, ...this.#refused.told(nowMs)];
  }

  readonly create: KubernetesApi["create"] = (resource, object, options) =>
    this.#write(resource, `create ${resource.kind} ${object.metadata.name}`, () => this.#parts.api.create(resource, object, options));

  readonly apply: KubernetesApi["apply"] = (resource, object, options) =>
    this.#write(resource, `apply ${resource.kind} ${object.metadata.name}`, () => this.#parts.api.apply(resource, object, options));

  readonly replace: KubernetesApi["replace"] = (resource, object, options) =>
    this.#write(resource, `replace ${resource.kind} ${object.metadata.name}`, () => this.#parts.api.replace(resource, object, options));

  readonly patch: KubernetesApi["patch"] = async (resource, key, patch, options) => {
    const { api, clock, generation } = this.#parts;
    const ofPod = resource.kind === resources.pods.kind ? podPatchOf(patch) : undefined;
    if (ofPod !== undefined && !this.#refused.mayTry(ofPod, generation(), clock.monotonicMs())) {
      return { kind: "unavailable", message: `not tried: ${ofPod.what} of ${key.name} was refused a moment ago` };
    }
    const triedFor = generation();
    const result = await this.#write(resource, `patch ${resource.kind} ${key.name}`, () => api.patch(resource, key, patch, options));
    if (ofPod !== undefined) this.#refused.took(ofPod, result, triedFor, clock.monotonicMs());
    return result;
  };

  readonly delete: KubernetesApi["delete"] = (resource, key, options) =>
    this.#write(resource, `delete ${resource.kind} ${key.name}`, () => this.#parts.api.delete(resource, key, options));

  /** It is the operator's, not the fleet's. */
  readonly close = (): Promise<void> => Promise.resolve();

  async #write<T>({ kind }: Resource, what: string, send: () => Promise<ApiResult<T>>): Promise<ApiResult<T>> {
    if (kind === resources.pushGateways.kind) return await send();
    return await this.#parts.slots.run(this, () => this.#writeInTurn(kind, what, send));
  }

  async #writeInTurn<T>(kind: string, what: string, send: () => Promise<ApiResult<T>>): Promise<ApiResult<T>> {
    const { clock, leading } = this.#parts;
    if (leading.aborted) return { kind: "unavailable", message: "not tried: this operator does not lead any more" };
    const sentAtMs = clock.monotonicMs();
    const before = this.#unanswered.get(kind);
    if (before !== undefined) this.#unanswered.set(kind, { ...before, askedAtMs: sentAtMs });
    const waitsFor = [this.#rest, before].find((one) => one !== undefined && (this.#isTrying || sentAtMs < one.untilMs));
    if (waitsFor !== undefined) return { kind: "unavailable", message: `not tried: ${waitsFor.what} was not answered` };
    this.#isTrying = this.#rest !== undefined || before !== undefined;
    const result = await send();
    this.#isTrying = false;
    this.#took(kind, what, result, sentAtMs);
    return result;
  }

  #took(kind: string, what: string, result: ApiResult<unknown>, sentAtMs: number): void {
    const { clock, requestMs } = this.#parts;
    const nowMs = clock.monotonicMs();
    const before = this.#unanswered.get(kind);
    if (result.kind === "unavailable" && nowMs - sentAtMs >= requestMs * limits.unansweredWriteShare) {
      const count = before === undefined ? 0 : before.count + (sentAtMs >= before.untilMs ? 1 : 0);
      const untilMs = nowMs + limits.unansweredRestMs * 2 ** Math.min(count, 2);
      this.#unanswered.set(kind, { what, untilMs, count, askedAtMs: nowMs });
      this.#rest = { what, untilMs: nowMs + limits.unansweredRestMs };
    } else if (result.kind !== "unavailable") {
      this.#rest = undefined;
      // Who did not answer for one kind is most often who did not for the others.
      if (before !== undefined) this.#unanswered.clear();
    }
  }
}
