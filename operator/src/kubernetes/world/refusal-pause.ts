import { limits } from "@pushfleet/protocol";

/** How long what the API server refused is not tried again: ever longer, up to a bound, until it is taken. */
export class RefusalPause {
  #count = 0;
  #untilMs = 0;

  isOver(nowMs: number): boolean {
    return nowMs >= this.#untilMs;
  }

  refused(nowMs: number): void {
    this.#untilMs = nowMs + Math.min(limits.createRefusedMaxMs, limits.createRefusedMs * 2 ** Math.min(this.#count, 16));
    this.#count += 1;
  }

  end(): void {
    this.#count = 0;
    this.#untilMs = 0;
  }
}
