import type { Action } from "../../core/index.js";
import type { Applied } from "./apply-actions.js";
import { RefusalPause } from "./refusal-pause.js";
import { withAdvice } from "./what-helps.js";

type Create = Extract<Action, { readonly kind: "createPod" }>;

interface Refused {
  readonly pause: RefusalPause;
  readonly messages: readonly string[];
}

/** Pods whose creation the API server refuses (a quota, a webhook, a namespace that ends) are tried again ever more slowly; meanwhile the last
 *  refusal stays told. Each pool waits by itself: what one asks for may be what is refused. */
export class RefusedCreates {
  readonly #refused = new Map<string, Refused>();

  /** Those that may be tried now. `planned`: all that are to be created; what is refused of a pool without any is forgotten. */
  triable(planned: readonly Create[], nowMs: number): readonly Create[] {
    for (const pool of this.#refused.keys()) if (!planned.some((action) => action.pool === pool)) this.#refused.delete(pool);
    return planned.filter(({ pool }) => this.#refused.get(pool)?.pause.isOver(nowMs) ?? true);
  }

  /** The refusals in words, of this attempt or of the last one. */
  get told(): readonly string[] {
    const messages = new Set([...this.#refused.values()].flatMap((one) => one.messages));
    return [...messages].map((message) => `creating pods was refused: ${withAdvice(message)}`);
  }

  took({ done, refusals }: Applied, nowMs: number): void {
    const byPool = new Map<string, string[]>();
    for (const { action, message } of refusals)
      if (action.kind === "createPod") byPool.set(action.pool, [...(byPool.get(action.pool) ?? []), message]);
    for (const action of done) if (action.kind === "createPod" && !byPool.has(action.pool)) this.#refused.delete(action.pool);
    for (const [pool, messages] of byPool) {
      const pause = this.#refused.get(pool)?.pause ?? new RefusalPause();
      pause.refused(nowMs);
      this.#refused.set(pool, { pause, messages });
    }
  }
}
