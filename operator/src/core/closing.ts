import type { Context, Wish } from "./context.js";
import type { PodView } from "./pod-view.js";
import { isPastDeadline, neverServed } from "./removal.js";
import { isSilent } from "./silence.js";

/** A deleted fleet: nobody is left to move to, so all pods close their clients at once, together within the budget, each at a share that
 *  follows its connections. The first plan fixes one deadline for all; when it and the grace are over, the pods go as they are. */
export interface ClosingPlan {
  readonly wishes: ReadonlyMap<string, Wish>;
  readonly overdue: ReadonlySet<string>;
  readonly unserved: readonly PodView[];
}

export function planClosing(context: Context): ClosingPlan {
  const unserved: PodView[] = [];
  const closing: PodView[] = [];
  for (const view of context.views) if (!view.dead) (neverServed(view, context) ? unserved : closing).push(view);
  const deadlineMs = closingDeadline(context, closing);
  const rates = shares(context, closing);
  const why = "the fleet was deleted: its clients are closed within the budget";
  const wishes = closing.map((view): [string, Wish] => [
    view.pod.uid,
    { purpose: "drain", reason: "fleetDeleted", reconnectsPerSecond: rates.get(view.pod.uid) ?? 0, deadlineMs, extensions: 0, why },
  ]);
  const overdue = closing.filter((view) => isClosing(view) && isPastDeadline(view, context.nowMs));
  return { wishes: new Map(wishes), overdue: new Set(overdue.map((view) => view.pod.uid)), unserved };
}

function isClosing({ pod }: PodView): boolean {
  return pod.grant?.purpose === "drain" && pod.grant.reason === "fleetDeleted";
}

/** The earliest one written for this deletion: a pod or an operator that comes late does not put it off. */
function closingDeadline({ spec, nowMs }: Context, closing: readonly PodView[]): number {
  const written = closing.filter(isClosing).map((view) => view.pod.grant?.deadlineMs ?? Number.MAX_SAFE_INTEGER);
  return written.reduce((least, one) => Math.min(least, one), nowMs + spec.drain.deadlineMs);
}

/** Rates by uid. What a pod has been granted it keeps, unless it has been silent for so long that it moves nobody; what is free is split among
 *  the others that report, or, once all of those have some, added to the share of those that have clients left. */
function shares(context: Context, closing: readonly PodView[]): ReadonlyMap<string, number> {
  const rates = new Map(closing.map((view) => [view.pod.uid, isSilent(context, view) ? 0 : grantedTo(view)]));
  const cut = lowered(context, rates);
  if (cut !== undefined) return cut;
  if (context.grantsBlockedBy !== undefined) return rates;
  const inUse = [...context.inUse.values()].reduce((sum, one) => sum + one, 0);
  let free = Math.max(0, context.budgetPerSecond - inUse);
  const told = closing.filter((view) => view.pod.report !== undefined && view.state !== "Drained");
  const without = told.filter((view) => rates.get(view.pod.uid) === 0);
  if (without.length === 0 && free < context.budgetPerSecond / 10) return rates;
  const takers = without.length > 0 ? without : told.filter((view) => view.connections > 0);
  let weight = takers.reduce((sum, view) => sum + view.connections + 1, 0);
  for (const view of [...takers].sort((a, b) => b.connections - a.connections)) {
    const share = Math.min(free, Math.max(1, Math.floor((free * (view.connections + 1)) / weight)));
    weight -= view.connections + 1;
    free -= share;
    rates.set(view.pod.uid, (rates.get(view.pod.uid) ?? 0) + share);
  }
  return rates;
}

function grantedTo({ pod }: PodView): number {
  return pod.grant?.purpose === "drain" ? pod.grant.reconnectsPerSecond : 0;
}

/** All rates scaled down when the spec's budget no longer covers them. */
function lowered({ budgetPerSecond }: Context, rates: ReadonlyMap<string, number>): ReadonlyMap<string, number> | undefined {
  const granted = [...rates.values()].reduce((sum, rate) => sum + rate, 0);
  if (granted <= budgetPerSecond) return undefined;
  return new Map([...rates].map(([uid, rate]) => [uid, Math.floor((rate * budgetPerSecond) / granted)]));
}
