import { limits } from "@pushfleet/protocol";
import type { Action, PodGrant } from "../../core/index.js";
import type { Applied, Refusal } from "./apply-actions.js";
import { RefusalPause } from "./refusal-pause.js";
import { withAdvice } from "./what-helps.js";

/** What a plan asks of one pod: a grant that is written on it, a call of its gateway, its deletion. */
type Step = Exclude<Action, { readonly kind: "wait" | "createPod" }>;

/** When steps are planned. */
export interface StepMoment {
  /** Of the spec. */
  readonly generation: number;
  readonly nowMs: number;
}

interface Refused {
  readonly pause: RefusalPause;
  readonly step: Step;
  readonly message: string;
  readonly generation: number;
  readonly askedAtMs: number;
}

/** Steps that were refused, by the API server (an admission policy, RBAC) or by the gateway that was told, are tried again ever more slowly, and
 *  at once after an edit of the spec; meanwhile the last refusal of each kind stays told. Each pod waits by itself.
 *
 *  Who waits, waits with all that is asked of the pod: a gateway is never told a grant that could not be written. Nothing has begun then, and its
 *  clients stay where they are. What a drain that moves clients is asked never waits: its deadline runs, it holds a part of the budget, and without
 *  being renewed it pauses. There are no more such drains than the budget allows, so that trying at each plan costs little. A grant to serve, which
 *  ends a drain, is tried at once and then waits: a few clients more move meanwhile, and none is lost. */
export class RefusedSteps {
  /** By pod and what is asked of it. */
  readonly #refused = new Map<string, Refused>();

  /** The actions that may be tried now. `grantOf`: what is written on a pod (uid). */
  triable(actions: readonly Action[], grantOf: (uid: string) => PodGrant | undefined, moment: StepMoment): readonly Action[] {
    if (this.#refused.size === 0) return actions;
    const waiting = new Set(actions.flatMap((action) => (isStep(action) && this.#waits(action, grantOf, moment) ? [action.uid] : [])));
    return actions.filter((action) => !isStep(action) || !waiting.has(action.uid));
  }

  /** Answers what a person has not been told yet: what was not refused before, or not with these words. */
  took({ done, refusals }: Pick<Applied, "done" | "refusals">, { generation, nowMs }: StepMoment): readonly Refusal[] {
    for (const action of done) if (isStep(action)) this.#refused.delete(keyOf(action));
    return refusals.filter(({ action, message }) => {
      if (!isStep(action)) return true;
      const before = this.#refused.get(keyOf(action));
      const pause = before?.generation === generation ? before.pause : new RefusalPause();
      pause.refused(nowMs);
      this.#refused.set(keyOf(action), { pause, step: action, message, generation, askedAtMs: nowMs });
      return before?.message !== message;
    });
  }

  /** In words, one of each kind. What is not wanted any more (not planned since a settled fleet's last plan) is forgotten. */
  told(nowMs: number): readonly string[] {
    const byKind = new Map<string, string>();
    for (const [key, { step, message, askedAtMs }] of this.#refused) {
      if (nowMs - askedAtMs > limits.planSettledMs) this.#refused.delete(key);
      else byKind.set(kindOf(step), `${wordsOf(step)} was refused: ${withAdvice(message)}`);
    }
    return [...byKind.values()];
  }

  /** The API server refuses what is written on this pod (uid). */
  refusesGrants(uid: string): boolean {
    return [...this.#refused.values()].some(({ step }) => step.kind === "writeGrant" && step.uid === uid);
  }

  #waits(step: Step, grantOf: (uid: string) => PodGrant | undefined, { generation, nowMs }: StepMoment): boolean {
    const before = this.#refused.get(keyOf(step));
    if (before === undefined) return false;
    this.#refused.set(keyOf(step), { ...before, askedAtMs: nowMs });
    if (before.generation !== generation || before.pause.isOver(nowMs)) return false;
    return step.kind === "deletePod" || step.grant.purpose === "serve" || !moves(grantOf(step.uid));
  }
}

function isStep(action: Action): action is Step {
  return action.kind !== "wait" && action.kind !== "createPod";
}

/** A drain to which a rate is written, or which may still use one. */
function moves(grant: PodGrant | undefined): boolean {
  return grant !== undefined && Math.max(grant.reconnectsPerSecond, grant.heldPerSecond) > 0;
}

function keyOf(step: Step): string {
  return `${step.uid} ${kindOf(step)}`;
}

function kindOf(step: Step): string {
  if (step.kind === "deletePod") return "delete";
  return `${step.kind === "writeGrant" ? "write" : "tell"} ${step.grant.purpose}`;
}

/** What an API server answers names the pod, what a gateway answers does not. */
function wordsOf(step: Step): string {
  if (step.kind === "deletePod") return "deleting pods";
  const { purpose } = step.grant;
  return step.kind === "writeGrant" ? `patching the grant to ${purpose} of pods` : `telling ${step.pod} to ${purpose}`;
}
