import { limits } from "@pushfleet/protocol";
import type { OwnEntry } from "./scripts/delete-entry.js";

/** Unregistrations that Redis has not confirmed. Repeating one is always safe: it deletes only its connection's own entry. Without them the
 *  entry of a connection that closed during an outage would stand until its worker's lease ends, each delivery to it a `stale`.
 *  At `unregistrationRetriesMax` the oldest is given up: that entry goes with the lease, or with its hash. */
export class UnregistrationRetries {
  readonly #waiting = new Set<OwnEntry>();
  #givenUp = 0;

  get size(): number {
    return this.#waiting.size;
  }

  /** How many were given up so far. */
  get givenUp(): number {
    return this.#givenUp;
  }

  add(unregistration: OwnEntry): void {
    this.#waiting.add(unregistration);
    if (this.#waiting.size <= limits.unregistrationRetriesMax) return;
    const [oldest] = this.#waiting;
    if (oldest !== undefined) this.#waiting.delete(oldest);
    this.#givenUp += 1;
  }

  /** All of them, to be tried now; whoever fails again is added again. */
  take(): readonly OwnEntry[] {
    const taken = [...this.#waiting];
    this.#waiting.clear();
    return taken;
  }
}
