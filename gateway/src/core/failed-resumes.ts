import { limits, type UserId } from "@pushfleet/protocol";

/** Which failed reconnects are worth counting: one of each user in a window of `limits.resumeFailureWindowMs`. A fleet that fails its users is seen
 *  as well by that; a single user, of however many devices, who presents a resume with a bad token again and again, is one failure. */
export class FailedResumes {
  readonly #users = new Set<UserId>();
  #windowEndMs = Number.NEGATIVE_INFINITY;

  /** Whether this failure, at `nowMs` (monotonic), is the first of `user` in this window. Beyond `limits.resumeFailuresRemembered` users each one is. */
  isFirst(user: UserId, nowMs: number): boolean {
    if (nowMs >= this.#windowEndMs) {
      this.#users.clear();
      this.#windowEndMs = nowMs + limits.resumeFailureWindowMs;
    }
    if (this.#users.has(user)) return false;
    if (this.#users.size < limits.resumeFailuresRemembered) this.#users.add(user);
    return true;
  }
}
