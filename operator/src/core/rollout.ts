import type { Context } from "./context.js";
import { connectionsOf } from "./context.js";
import { arrivalsUntilReady, podCapacityShare } from "./headroom.js";
import type { PodView } from "./pod-view.js";
import { handshakeUtilisation } from "./scaling-input.js";
import { spreadOnLeastLoaded } from "./spread.js";
import { leastLoaded } from "./victim.js";

/** Replacing pods that must leave: an older revision, a node that goes, a pool that was removed. First there is something better to connect
 *  to, then the old pods take no new connections, then one after the other is drained. Cordoning them all at once, rather than the victim
 *  only, is what keeps clients from being moved from old pod to old pod (1.6 moves a client otherwise, DESIGN §7).
 *
 *  Where the balancer has filled the surge pod like all others while it soaked, it alone may never have room for a victim. Then old pods take
 *  part of its clients too, rather than that the rollout stands still: it costs some of them a second move, at most until the new pods
 *  together have the room. So it is where pods of a revision in between have taken the surge. */
export interface Replacement {
  /** Pods to create now. */
  readonly create: number;
  /** Whether old pods that still take connections should not any more, and whether those that do not should stay so. */
  readonly cordonMore: boolean;
  readonly keepCordoned: boolean;
  /** The old pod to drain next, if there is room for its clients. */
  readonly victim: PodView | undefined;
  /** One sentence on where it stands. */
  readonly why: string;
  /** What it waits for, if it does. */
  readonly blockedBy: string | undefined;
}

export interface ReplacementInput {
  readonly target: number;
  readonly maxSurge: number;
  /** Kept pods that may stay. */
  readonly current: readonly PodView[];
  /** Kept pods that must leave; at least one. */
  readonly old: readonly PodView[];
  readonly draining: readonly PodView[];
  /** Where clients can go: pods of `current`, or of the other pools for a pool that was removed. */
  readonly refuge: readonly PodView[];
  readonly podCapacity: number;
  readonly netArrivalsPerSecond: number;
  readonly handshakesPerSecond: number;
  readonly timeToReadyMs: number;
}

export function replaceOld(context: Context, input: ReplacementInput): Replacement {
  const { old, current, draining } = input;
  const create = surgeToCreate(input);
  const victim = nextVictim(old);
  const refuge = input.refuge.filter((view) => view.accepting && isSoaked(context, view, old));
  const room = roomFor(context, input, refuge);
  const cordoned = old.every((view) => view.pod.grant?.purpose === "cordon");
  const takesMoves = room.handshakesPerSecond >= input.handshakesPerSecond + movesPerSecond(context, victim);
  const fits = victim !== undefined && room.spare >= victim.connections && takesMoves;
  const cordoning = { cordonMore: fits, keepCordoned: room.spare >= 0 && room.handshakesPerSecond >= input.handshakesPerSecond };
  const serving = current.filter((view) => view.accepting).length;
  const why = `replacing ${old.length + draining.length} pods (${describeOld(old)}), ${serving} of ${input.target} new ones serve`;
  if (fits) return { create, ...cordoning, victim: cordoned ? victim : undefined, why, blockedBy: undefined };
  if (victim !== undefined && isStuck(context, input, refuge, create) && othersTake(context, input, refuge, victim)) {
    const spread = `${why}; ${victim.pod.name} spreads over old and new ones, new ones alone have no room`;
    return { create, cordonMore: false, keepCordoned: false, victim, why: spread, blockedBy: undefined };
  }
  return { create, ...cordoning, victim: undefined, why, blockedBy: whatIsMissing(context, input, refuge, victim, room) };
}

/** Least connections first, so that room for one is found soon; one that does not report only if no other is left. */
function nextVictim(old: readonly PodView[]): PodView | undefined {
  const reporting = old.filter((view) => view.pod.report !== undefined);
  const from = reporting.length > 0 ? reporting : old;
  return leastLoaded(from.map((view) => ({ view, name: view.pod.name, connections: view.connections })))?.view;
}

/** Up to `maxSurge` pods above the target, draining ones counted; those that are plainly missing are never held back by it. */
function surgeToCreate({ target, maxSurge, current, old, draining }: ReplacementInput): number {
  const missing = target - current.length - old.length;
  const surge = target + Math.max(1, maxSurge) - current.length - old.length - draining.length;
  return target === 0 ? 0 : Math.max(0, missing, Math.min(target - current.length, surge));
}

/** A new revision has to prove itself, and a new pool (perhaps the old one under another name); pods of the revision that always served do not. */
function isSoaked({ spec, nowMs }: Context, view: PodView, old: readonly PodView[]): boolean {
  if (!old.some((one) => one.mustLeave === "rollout" || one.mustLeave === "poolRemoved")) return true;
  const { acceptingSinceMs } = view.memory;
  return acceptingSinceMs !== undefined && nowMs - acceptingSinceMs >= spec.rollout.soakMs;
}

interface Room {
  /** Slots of the refuge beyond arrivals and what is being drained already; negative when even those do not fit. */
  readonly spare: number;
  /** Handshakes that it may be asked for. */
  readonly handshakesPerSecond: number;
}

/** Nothing is under way that could make room: no pod starts, soaks or drains, and no more may be created. */
function isStuck(context: Context, input: ReplacementInput, refuge: readonly PodView[], create: number): boolean {
  const coming = input.refuge.some((view) => view.starting || (view.accepting && !refuge.includes(view)));
  const somewhere = refuge.length > 0 || input.target > 0;
  return somewhere && create === 0 && !coming && input.draining.length === 0 && context.clientsMissing === 0;
}

/** Whether new and old pods together would hold the victim's clients and those that arrive. */
function othersTake(context: Context, input: ReplacementInput, refuge: readonly PodView[], victim: PodView): boolean {
  const others = [...refuge, ...input.old.filter((view) => view !== victim && view.pod.report !== undefined)];
  const loads = spreadOnLeastLoaded(
    others.map((view) => view.connections),
    victim.connections + arrivalsFor(input),
  );
  const handshakes = handshakeUtilisation * context.spec.handshakesPerSecond * others.length;
  return others.length > 0 && handshakes >= input.handshakesPerSecond && others.every((view, index) => (loads[index] ?? 0) <= view.slots);
}

/** How fast its clients come when it is drained. */
function movesPerSecond({ budgetPerSecond }: Context, victim: PodView | undefined): number {
  return Math.min(budgetPerSecond, victim?.connections ?? 0);
}

function arrivalsFor(input: ReplacementInput): number {
  return Math.max(podCapacityShare(input.podCapacity), arrivalsUntilReady(input.netArrivalsPerSecond, input.timeToReadyMs));
}

function roomFor(context: Context, input: ReplacementInput, refuge: readonly PodView[]): Room {
  const slots = refuge.reduce((sum, view) => sum + Math.max(0, view.slots - view.connections), 0);
  return {
    spare: slots - arrivalsFor(input) - connectionsOf(input.draining) - context.clientsMissing,
    handshakesPerSecond: handshakeUtilisation * context.spec.handshakesPerSecond * refuge.length,
  };
}

function whatIsMissing(
  context: Context,
  input: ReplacementInput,
  refuge: readonly PodView[],
  victim: PodView | undefined,
  room: Room,
): string {
  const starting = input.refuge.find((view) => view.starting);
  if (starting !== undefined) return `${starting.pod.name} is starting`;
  const soaking = input.refuge.find((view) => view.accepting && !refuge.includes(view));
  if (soaking !== undefined) {
    const leftMs = (soaking.memory.acceptingSinceMs ?? context.nowMs) + context.spec.rollout.soakMs - context.nowMs;
    return `${soaking.pod.name} soaks ${Math.ceil(leftMs / 1000)} s more`;
  }
  if (refuge.length === 0) return "no new pod serves yet";
  const moves = movesPerSecond(context, victim);
  if (room.handshakesPerSecond < input.handshakesPerSecond + moves) {
    const [accepted, arrivals] = [Math.floor(room.handshakesPerSecond), Math.ceil(input.handshakesPerSecond)];
    return `new pods accept ${accepted} handshakes/s, ${arrivals} of arrivals and ${moves} of ${victim?.pod.name ?? "the next"} need more`;
  }
  return `new pods have room for ${Math.max(0, room.spare)} connections, ${victim?.pod.name ?? "the next"} has ${victim?.connections ?? 0}`;
}

function describeOld(old: readonly PodView[]): string {
  const leaving = old.find((view) => view.pod.leaving !== undefined)?.pod.leaving;
  if (leaving !== undefined) return leaving;
  return old.some((view) => view.mustLeave === "poolRemoved") ? "their pool is not in the spec" : "older revision";
}

/** Whether the rollout should stop itself, given a share of failed reconnects. Few attempts say nothing. */
export function failsReconnects(
  failures: { readonly attempted: number; readonly failed: number } | undefined,
  percentMax: number,
): boolean {
  return failures !== undefined && failures.attempted >= attemptsThatCount && failures.failed * 100 > percentMax * failures.attempted;
}

const attemptsThatCount = 100;
