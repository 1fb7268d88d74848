import { limits } from "@pushfleet/protocol";

/** How often a fleet's status tells what happens to its pods: the fewer fleets have something to tell at the same time, the more often. Shared by all
 *  fleets, so that a hundred that begin at once do not ask the API server for a hundred statuses a second. */
export class StatusPace {
  /** By fleet (uid): when it last had something to tell; the one for which that is longest ago first. */
  readonly #telling = new Map<string, number>();

  /** ms between two statuses of this fleet, which has something to tell. `nowMs`: monotonic. */
  everyMs(uid: string, nowMs: number): number {
    this.#telling.delete(uid);
    this.#telling.set(uid, nowMs);
    for (const [one, atMs] of this.#telling) {
      if (nowMs - atMs <= limits.statusTellingMs) break;
      this.#telling.delete(one);
    }
    return (1000 * this.#telling.size) / limits.statusTellsPerSecond;
  }
}
