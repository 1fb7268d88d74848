import { limits } from "@pushfleet/protocol";
import type { Applied } from "./apply-actions.js";
import { withAdvice } from "./what-helps.js";

/** Pods whose creation the API server refuses (a quota, a webhook, a namespace that ends) are tried again ever more slowly; meanwhile the last
 *  refusal stays told. */
export class RefusedCreates {
  #count = 0;
  #untilMs = 0;
  #told: readonly string[] = [];

  mayTry(nowMs: number): boolean {
    return nowMs >= this.#untilMs;
  }

  /** The refusals in words, of this attempt or of the last one. */
  get told(): readonly string[] {
    return this.#told;
  }

  took({ done, refusals }: Applied, nowMs: number): void {
    const refused = refusals.filter((one) => one.action.kind === "createPod");
    if (refused.length > 0) {
      this.#untilMs = nowMs + Math.min(limits.createRefusedMaxMs, limits.createRefusedMs * 2 ** Math.min(this.#count, 16));
      this.#count += 1;
      this.#told = [...new Set(refused.map((one) => one.message))].map((message) => `creating pods was refused: ${withAdvice(message)}`);
    } else if (done.some((action) => action.kind === "createPod")) {
      this.#count = 0;
      this.#told = [];
    }
  }

  /** Nothing has to be created any more. */
  forget(): void {
    this.#count = 0;
    this.#untilMs = 0;
    this.#told = [];
  }
}
