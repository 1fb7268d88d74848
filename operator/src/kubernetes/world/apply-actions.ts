import { assertNever, limits } from "@pushfleet/protocol";
import { type Action, formatGrant, grantAnnotation } from "../../core/index.js";
import { resources } from "../api/resources.js";
import type { ApiResult, KubernetesApi, ReadCache } from "../api/types.js";
import type { GatewayStream, Told } from "./gateway-stream.js";
import { inParallel } from "./in-parallel.js";
import type { Pod } from "./observe-pod.js";

export interface ActionParts {
  readonly api: KubernetesApi;
  /** Aborted: this process does not lead any more, or stops. Nothing is begun then. */
  readonly signal: AbortSignal;
  readonly cache: Pick<ReadCache<Pod>, "overlay" | "overlayDeleted">;
  readonly namespace: string;
  /** The pod to create; throws for nothing. */
  readonly buildPod: (action: Extract<Action, { readonly kind: "createPod" }>) => ApiResult<Pod>;
  /** A pod of a name that was to be created is there: whose it is. */
  readonly adopt: (name: string) => Promise<"ours" | "foreign" | "unknown">;
  readonly streamOf: (uid: string) => Pick<GatewayStream, "drain" | "abort"> | undefined;
}

/** What the API server refused until somebody changes something, or a gateway that was told. */
export interface Refusal {
  readonly action: Action;
  readonly message: string;
}

export interface Applied {
  readonly done: readonly Action[];
  readonly refusals: readonly Refusal[];
  /** Something was not done for a reason that passes: plan again soon. */
  readonly isPartial: boolean;
}

type PodAction = Exclude<Action, { readonly kind: "wait" | "createPod" }>;
type Outcome = { readonly kind: "done" } | { readonly kind: "not_done" } | { readonly kind: "refused"; readonly message: string };

/** Does the actions of a plan by the contract of `Action`: an action that fails cancels the later ones for its pod; nothing is an error. Actions
 *  for different pods go side by side within a phase; the phases (what ended, what is told, creations, deletions) keep the plan's order. */
export async function applyActions(actions: readonly Action[], parts: ActionParts): Promise<Applied> {
  const run = new Run(parts);
  for (const phase of phasesOf(actions)) await inParallel(phase, limits.podWritesAtOnce, (chain) => run.chain(chain));
  return { done: run.done, refusals: run.refusals, isPartial: run.isPartial };
}

/** Consecutive actions of one sort, as chains of one pod each. */
function phasesOf(actions: readonly Action[]): readonly (readonly Action[])[][] {
  const phases: { readonly sort: string; readonly chains: Map<string, Action[]> }[] = [];
  for (const action of actions) {
    if (action.kind === "wait") continue;
    const sort = action.kind === "createPod" || action.kind === "deletePod" ? action.kind : "tell";
    const last = phases.at(-1);
    const phase = last?.sort === sort ? last : { sort, chains: new Map<string, Action[]>() };
    if (phase !== last) phases.push(phase);
    const chain = phase.chains.get(action.pod);
    if (chain === undefined) phase.chains.set(action.pod, [action]);
    else chain.push(action);
  }
  return phases.map(({ chains }) => [...chains.values()]);
}

class Run {
  readonly done: Action[] = [];
  readonly refusals: Refusal[] = [];
  isPartial = false;
  readonly #parts: ActionParts;
  /** Pods (uid) for which an action failed. */
  readonly #failed = new Set<string>();
  /** By uid: the version a write of this plan has given it. */
  readonly #versions = new Map<string, string>();

  constructor(parts: ActionParts) {
    this.#parts = parts;
  }

  async chain(actions: readonly Action[]): Promise<void> {
    for (const action of actions) {
      if (this.#parts.signal.aborted) {
        this.isPartial = true;
        return;
      }
      if (action.kind === "wait" || (action.kind !== "createPod" && this.#failed.has(action.uid))) continue;
      const outcome = action.kind === "createPod" ? await this.#create(action) : await this.#act(action);
      if (outcome.kind === "done") {
        this.done.push(action);
        continue;
      }
      if (action.kind !== "createPod") this.#failed.add(action.uid);
      if (outcome.kind === "refused") this.refusals.push({ action, message: outcome.message });
      else this.isPartial = true;
    }
  }

  async #create(action: Extract<Action, { readonly kind: "createPod" }>): Promise<Outcome> {
    const { api, cache, buildPod, adopt } = this.#parts;
    const built = buildPod(action);
    if (built.kind !== "ok") return outcomeOf(built);
    const created = await api.create(resources.pods, built.object);
    if (created.kind === "ok") cache.overlay(created.object);
    if (created.kind !== "exists") return outcomeOf(created);
    // A crash after the write, or another operator: done. It is looked at, because what is not seen would be created for ever.
    const owner = await adopt(action.pod);
    if (owner !== "foreign") return owner === "ours" ? { kind: "done" } : { kind: "not_done" };
    return { kind: "refused", message: `a pod named ${action.pod} exists and is not the fleet's: delete or rename it` };
  }

  async #act(action: PodAction): Promise<Outcome> {
    const stream = this.#parts.streamOf(action.uid);
    switch (action.kind) {
      case "writeGrant":
        return await this.#writeGrant(action);
      case "deletePod":
        return await this.#delete(action);
      case "cordon":
      case "startDrain":
      case "renewDrain":
        return toldOutcome(await stream?.drain(action.grant));
      case "uncordon":
      case "abortDrain":
        return toldOutcome(await stream?.abort(action.grant));
      default:
        return assertNever(action);
    }
  }

  async #writeGrant(action: Extract<Action, { readonly kind: "writeGrant" }>): Promise<Outcome> {
    const { api, cache, namespace } = this.#parts;
    const metadata = {
      uid: action.uid,
      resourceVersion: this.#versionOf(action),
      annotations: { [grantAnnotation]: formatGrant(action.grant) },
    };
    const written = await api.patch(resources.pods, { namespace, name: action.pod }, { metadata });
    if (written.kind === "ok") {
      cache.overlay(written.object);
      this.#versions.set(action.uid, written.object.metadata.resourceVersion ?? "");
    }
    return outcomeOf(written);
  }

  async #delete(action: Extract<Action, { readonly kind: "deletePod" }>): Promise<Outcome> {
    const { api, cache, namespace } = this.#parts;
    const resourceVersion = this.#versionOf(action);
    const key = { namespace, name: action.pod };
    const deleted = await api.delete(resources.pods, key, { uid: action.uid, resourceVersion });
    // A graceful delete answers the pod with its deletionTimestamp, one that is over at once a Status or the pod as it was.
    if (deleted.kind === "ok" && isTerminating(deleted.object)) cache.overlay(deleted.object);
    return deleted.kind === "notFound" ? { kind: "done" } : outcomeOf(deleted);
  }

  #versionOf(action: PodAction): string {
    return this.#versions.get(action.uid) ?? action.version;
  }
}

function isTerminating(object: unknown): object is Pod {
  const { kind, metadata } = object as { readonly kind?: string; readonly metadata?: { readonly deletionTimestamp?: string } };
  return kind === "Pod" && metadata?.deletionTimestamp !== undefined;
}

function toldOutcome(told: Told | undefined): Outcome {
  if (told?.kind === "accepted") return { kind: "done" };
  return told?.kind === "refused" ? { kind: "refused", message: `its gateway says: ${told.message}` } : { kind: "not_done" };
}

function outcomeOf(result: ApiResult<unknown>): Outcome {
  if (result.kind === "ok") return { kind: "done" };
  return result.kind === "refused" ? { kind: "refused", message: result.message } : { kind: "not_done" };
}
