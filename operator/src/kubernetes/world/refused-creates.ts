import type { Applied } from "./apply-actions.js";
import { RefusalPause } from "./refusal-pause.js";
import { withAdvice } from "./what-helps.js";

/** Pods whose creation the API server refuses (a quota, a webhook, a namespace that ends) are tried again ever more slowly; meanwhile the last
 *  refusal stays told. */
export class RefusedCreates {
  readonly #pause = new RefusalPause();
  #told: readonly string[] = [];

  mayTry(nowMs: number): boolean {
    return this.#pause.isOver(nowMs);
  }

  /** The refusals in words, of this attempt or of the last one. */
  get told(): readonly string[] {
    return this.#told;
  }

  took({ done, refusals }: Applied, nowMs: number): void {
    const refused = refusals.filter((one) => one.action.kind === "createPod");
    if (refused.length > 0) {
      this.#pause.refused(nowMs);
      this.#told = [...new Set(refused.map((one) => one.message))].map((message) => `creating pods was refused: ${withAdvice(message)}`);
    } else if (done.some((action) => action.kind === "createPod")) {
      this.forget();
    }
  }

  /** Nothing has to be created any more. */
  forget(): void {
    this.#pause.end();
    this.#told = [];
  }
}
