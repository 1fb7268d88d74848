import { limits } from "@pushfleet/protocol";
import type { ApiResult } from "../api/types.js";
import { acceptingGate } from "../objects/pod-template.js";
import { countedLabel } from "./mark-pods.js";
import { RefusalPause } from "./refusal-pause.js";
import { withAdvice } from "./what-helps.js";

/** What a patch changes of a pod. */
export interface PodPatch {
  /** The pod (uid) and what is wanted of it. */
  readonly key: string;
  /** "the labels". */
  readonly what: string;
}

interface Refused {
  readonly pause: RefusalPause;
  readonly what: string;
  readonly message: string;
  /** Of the spec. */
  readonly generation: number;
  readonly askedAtMs: number;
}

/** Patches of pods that the API server refuses (an admission policy, RBAC) are tried again ever more slowly, and at once after an edit of the spec;
 *  meanwhile the last refusal of each kind stays told. Each kind of write waits by itself and each pod by itself: one pod that a policy dislikes must
 *  not keep the others out of the Services, or in them, and the pods' writes together are no more than when all wait for one clock.
 *
 *  Grants are not among them: see refused-steps.ts. */
export class RefusedPatches {
  readonly #refused = new Map<string, Refused>();

  mayTry({ key }: PodPatch, generation: number, nowMs: number): boolean {
    const before = this.#refused.get(key);
    if (before === undefined) return true;
    this.#refused.set(key, { ...before, askedAtMs: nowMs });
    return before.generation !== generation || before.pause.isOver(nowMs);
  }

  took({ key, what }: PodPatch, result: ApiResult<unknown>, generation: number, nowMs: number): void {
    const before = this.#refused.get(key);
    if (result.kind === "refused") {
      const pause = before?.generation === generation ? before.pause : new RefusalPause();
      pause.refused(nowMs);
      const message = `patching ${what} of pods was refused: ${withAdvice(result.message)}`;
      this.#refused.set(key, { pause, what, message, generation, askedAtMs: nowMs });
    } else if (result.kind === "ok" || result.kind === "notFound") {
      this.#refused.delete(key);
    }
  }

  /** One of each kind. What is not wanted any more (nobody asked for it since a settled fleet's last plan) is forgotten. */
  told(nowMs: number): readonly string[] {
    const byKind = new Map<string, string>();
    for (const [key, { what, message, askedAtMs }] of this.#refused) {
      if (nowMs - askedAtMs > limits.planSettledMs) this.#refused.delete(key);
      else byKind.set(what, message);
    }
    return [...byKind.values()];
  }
}

/** `undefined`: one of another kind. */
export function podPatchOf(patch: object): PodPatch | undefined {
  const { metadata: { uid, labels, ownerReferences } = {}, status } = patch as Patch;
  const gate = status?.conditions?.find((one) => one.type === acceptingGate);
  if (uid === undefined) return undefined;
  if (gate !== undefined) return { key: `${uid} gate ${gate.status}`, what: "the readiness gate" };
  if (ownerReferences !== undefined) return { key: `${uid} owner`, what: "the owner" };
  if (labels !== undefined && countedLabel in labels) return { key: `${uid} counted ${labels[countedLabel]}`, what: "the counted label" };
  return labels === undefined ? undefined : { key: `${uid} labels`, what: "the labels" };
}

interface Patch {
  readonly metadata?: {
    readonly uid?: string;
    readonly labels?: Readonly<Record<string, string | null>>;
    readonly ownerReferences?: readonly unknown[];
  };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}
