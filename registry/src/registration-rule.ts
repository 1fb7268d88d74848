import { limits } from "@pushfleet/protocol";
import { isSameConnection } from "./entry.js";
import type { Entry, Registration } from "./registry.js";

export interface StoredEntry {
  readonly entry: Entry;
  /** Its incarnation's lease lives. An entry without a lease does not exist, except that a fresh fence still goes above its. */
  readonly lives: boolean;
}

/** `own`: it stands there already, nothing changes but its time to live. `superseded`: a newer connection holds the entry. */
export type Ruling =
  | { readonly kind: "own"; readonly fence: number }
  | { readonly kind: "write"; readonly fence: number; readonly restored: boolean }
  | { readonly kind: "superseded" };

/** Who holds a device's entry (DESIGN §4, invariant I2). `nowUs` is the registry's time in µs. The Lua script `register` follows the
 *  same rule; the contract suite holds both against each other.
 *
 *  - its own entry stands: nothing is written (so a repeat after a lost reply is harmless);
 *  - fresh (no fence, under 1 s old): always writes, above the stored fence and not below `nowUs`;
 *  - waited (no fence, older): its fence is the time it was opened; writes where the entry is absent, dead or lower;
 *  - presented (has its fence): keeps it; writes where the entry is absent, dead or lower, which then was not right: `restored`. */
export function ruleRegistration(
  stored: StoredEntry | undefined,
  registration: Pick<Registration, "incarnation" | "connection" | "ageMs" | "fence">,
  nowUs: number,
): Ruling {
  const { fence: presented, ageMs } = registration;
  if (stored !== undefined && isSameConnection(stored.entry, registration)) {
    return { kind: "own", fence: Math.max(stored.entry.fence, presented ?? 0) };
  }
  if (presented === undefined && ageMs < limits.freshConnectionMs) {
    return { kind: "write", fence: Math.max((stored?.entry.fence ?? 0) + 1, nowUs), restored: false };
  }
  const fence = presented ?? Math.floor(nowUs - ageMs * 1000);
  const isFree = stored === undefined || !stored.lives || stored.entry.fence < fence;
  return isFree ? { kind: "write", fence, restored: presented !== undefined } : { kind: "superseded" };
}
