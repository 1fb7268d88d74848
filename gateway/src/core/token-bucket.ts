import { limits } from "@pushfleet/protocol";

export interface HandshakeRules {
  /** A worker's share of `limits.handshakesPerSecond`, > 0. */
  readonly perSecond: number;
  /** How many newcomers may arrive at once, ≥ 1. */
  readonly burst: number;
}

/** `refused`: 503 with `retryAfterMs`. */
export type Admission = { readonly kind: "admitted" } | { readonly kind: "refused"; readonly retryAfterMs: number };

const admitted: Admission = { kind: "admitted" };

/** Admission to the handshake, before any cryptography but the resume's. Holders of a valid resume may empty the bucket, newcomers leave
 *  them a reserve; so in a storm those who were already connected come first. Of the refused it remembers one number: when the
 *  queue they make would have been served. */
export class HandshakeBucket {
  readonly #perMs: number;
  readonly #capacity: number;
  readonly #reserve: number;
  #tokens: number;
  #refilledAtMs: number;
  #queueEndMs: number;

  constructor(rules: HandshakeRules, nowMs: number) {
    this.#perMs = rules.perSecond / 1000;
    this.#reserve = Math.floor(rules.burst * limits.handshakeReserveShare);
    this.#capacity = rules.burst + this.#reserve;
    this.#tokens = this.#capacity;
    this.#refilledAtMs = nowMs;
    this.#queueEndMs = nowMs;
  }

  /** `nowMs` is monotonic; `random` uniform in [0, 1): it spreads the refused over half to one and a half times their turn in the queue,
   *  within `limits.handshakeRetryMinMs` and `…MaxMs`. */
  admit(holdsResume: boolean, nowMs: number, random: number): Admission {
    this.#refill(nowMs);
    const floor = holdsResume ? 0 : this.#reserve;
    if (this.#tokens >= floor + 1) {
      this.#tokens -= 1;
      return admitted;
    }
    return { kind: "refused", retryAfterMs: this.#enqueue(nowMs, random) };
  }

  #refill(nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - this.#refilledAtMs);
    this.#tokens = Math.min(this.#capacity, this.#tokens + elapsedMs * this.#perMs);
    this.#refilledAtMs = nowMs;
  }

  #enqueue(nowMs: number, random: number): number {
    const endMs = Math.max(this.#queueEndMs, nowMs) + 1 / this.#perMs;
    this.#queueEndMs = Math.min(endMs, nowMs + limits.handshakeRetryMaxMs);
    const turnMs = Math.max(this.#queueEndMs - nowMs, limits.handshakeRetryMinMs);
    const retryAfterMs = turnMs * (0.5 + random);
    return Math.round(Math.min(Math.max(retryAfterMs, limits.handshakeRetryMinMs), limits.handshakeRetryMaxMs));
  }
}
