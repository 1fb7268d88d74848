import { limits } from "@pushfleet/protocol";
import type { RouterLink } from "@pushfleet/service";
import type { SyncOutcome } from "../core/connection.js";
import type { Connection } from "./connection.js";

interface Wanted {
  readonly connection: Connection;
  readonly lastSeen: string;
  readonly page: string;
}

/** Pages of syncs asked of routers, a bounded number at a time; the others wait their turn (one a connection, so as many as there are
 *  connections at most). After a drain or a resync they all come at once. */
export class Syncs {
  readonly #router: RouterLink;
  readonly #onSynced: (connection: Connection, outcome: SyncOutcome) => void;
  readonly #waiting = new Set<Wanted>();
  #underWay = 0;

  constructor(router: RouterLink, onSynced: (connection: Connection, outcome: SyncOutcome) => void) {
    this.#router = router;
    this.#onSynced = onSynced;
  }

  /** `onSynced` gets what came of it, unless the connection has closed. */
  request(connection: Connection, lastSeen: string, page: string): void {
    const wanted = { connection, lastSeen, page };
    if (this.#underWay < limits.syncsInFlightMax) void this.#run(wanted);
    else this.#waiting.add(wanted);
  }

  async #run({ connection, lastSeen, page }: Wanted): Promise<void> {
    const { user, device } = connection.core;
    if (connection.socket !== undefined && user !== undefined && device !== undefined) {
      this.#underWay += 1;
      const linked = await this.#router.sync({ user, device, lastSeen, page });
      this.#underWay -= 1;
      if (connection.socket !== undefined) this.#onSynced(connection, toOutcome(linked));
    }
    this.#next();
  }

  /** First come, first served; a set keeps the order and gives up its first in constant time. */
  #next(): void {
    for (const wanted of this.#waiting) {
      if (this.#underWay >= limits.syncsInFlightMax) return;
      this.#waiting.delete(wanted);
      if (wanted.connection.socket !== undefined) void this.#run(wanted);
    }
  }
}

function toOutcome(linked: Awaited<ReturnType<RouterLink["sync"]>>): SyncOutcome {
  if (linked.kind === "unavailable") return { kind: "unavailable" };
  if (linked.kind === "refused") return linked;
  const { frame, hasMore, nextPage } = linked.reply;
  return { kind: "page", frame: frame ?? new Uint8Array(), hasMore: hasMore ?? false, nextPage: nextPage ?? "" };
}
