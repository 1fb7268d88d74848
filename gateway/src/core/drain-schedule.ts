import { limits } from "@pushfleet/protocol";

/** What an operator (or the supervisor, a share of it) lets this gateway move. All times of this file are ms on one clock, best a monotonic
 *  one: the shell converts `Grant.deadline_ms`. */
export interface DrainGrant {
  /** `reconnect` frames and drain closes a second; 0: cordoned, nothing is moved. */
  readonly perSecond: number;
  readonly deadlineMs: number;
  /** Transitions of the operator's lease. */
  readonly epoch: number;
  readonly stragglerGraceMs: number;
}

/** As in `DrainReply`: `epoch` is the highest seen. */
export interface GrantReply {
  readonly accepted: boolean;
  readonly epoch: number;
  readonly message: string;
}

/** A gateway told to stop (SIGTERM): how it drains when nobody grants it anything. */
export interface OwnDrain {
  /** Its share of the fleet's budget, from the configuration or the last grant. */
  readonly perSecond: number;
  /** Everything must be over by then: the process is killed after it. */
  readonly deadlineMs: number;
  readonly stragglerGraceMs: number;
}

export type DrainPhase = "serving" | "cordoned" | "draining" | "drained";

/** A value: each function returns the next one. */
export interface DrainState {
  readonly phase: DrainPhase;
  /** Highest epoch seen, kept over an abort. */
  readonly epoch: number;
  readonly cordonedAtMs: number | undefined;
  readonly grant: DrainGrant | undefined;
  readonly renewedAtMs: number;
  readonly own: OwnDrain | undefined;
  /** The rate that the own drain has needed so far: kept while fewer and fewer remain, or the last would never be done. */
  readonly ownPerSecond: number;
  /** Moves allowed but not made yet, at most a slice and a half's. */
  readonly credit: number;
  readonly steppedAtMs: number;
  /** Moves of the last `limits.drainWindowMs`, oldest first. */
  readonly moved: readonly { readonly atMs: number; readonly count: number }[];
}

export interface DrainObservation {
  /** Open connections in all. */
  readonly open: number;
  /** Of these, not yet sent `reconnect`. */
  readonly unasked: number;
  /** Of these, sent `reconnect` longer than the grace ago and not superseded (no newer connection of the device is known). */
  readonly stragglers: number;
  /** Last attempt to connect, refused ones included: the balancer still sends clients here. */
  readonly lastHandshakeMs: number | undefined;
}

export interface DrainStep {
  readonly state: DrainState;
  /** Send `reconnect` to so many of the unasked now, idle ones first. */
  readonly reconnects: number;
  /** Close so many of the stragglers with 1012 now, those asked first. */
  readonly closes: number;
  /** The deadline of an own drain has passed: close everything that is left with 1001, at once. */
  readonly closeRest: boolean;
  /** Moves a second in force; 0 while nothing may be moved. */
  readonly perSecond: number;
  /** `after_ms` of the `reconnect` frames of this step. */
  readonly stragglerGraceMs: number;
  /** The grant was not renewed for `limits.grantRenewMs`: nothing moves until it is. */
  readonly paused: boolean;
}

export const servingDrain: DrainState = {
  phase: "serving",
  epoch: 0,
  cordonedAtMs: undefined,
  grant: undefined,
  renewedAtMs: 0,
  own: undefined,
  ownPerSecond: 0,
  credit: 0,
  steppedAtMs: 0,
  moved: [],
};

/** Whether new upgrades are refused with 1013. */
export function isCordoned(state: DrainState): boolean {
  return state.phase !== "serving";
}

/** Starts, renews or takes over; refuses a lower epoch or numbers that make no sense. Answers `Gateway.Drain`. */
export function applyGrant(state: DrainState, grant: DrainGrant, nowMs: number): Granted {
  if (grant.epoch < state.epoch) return refused(state, `epoch ${grant.epoch} is over, ${state.epoch} was seen`);
  if (!isSensible(grant)) return refused(state, "expected finite numbers, a rate and a grace of at least 0 and a whole epoch");
  const accepted: DrainState = { ...cordon(state, nowMs), epoch: grant.epoch, grant, renewedAtMs: nowMs };
  return { state: accepted, reply: { accepted: true, epoch: grant.epoch, message: "" } };
}

/** Back to serving; refused for a lower epoch and once the process is stopping. Answers `Gateway.AbortDrain`. The moves made count on. */
export function abortDrain(state: DrainState, epoch: number): Granted {
  if (!(epoch >= state.epoch)) return refused(state, `epoch ${epoch} is over, ${state.epoch} was seen`);
  if (state.own !== undefined) return refused({ ...state, epoch }, "stopping");
  return {
    state: { ...servingDrain, epoch, moved: state.moved, steppedAtMs: state.steppedAtMs },
    reply: { accepted: true, epoch, message: "" },
  };
}

/** SIGTERM: cordons; a grant in force still sets the pace. */
export function startOwnDrain(state: DrainState, own: OwnDrain, nowMs: number): DrainState {
  return { ...cordon(state, nowMs), own };
}

/** What to do now; call it every `limits.drainSliceMs` unless serving, and do it at once. */
export function stepDrain(state: DrainState, nowMs: number, observed: DrainObservation): DrainStep {
  const perSecond = rateInForce(state, nowMs, observed);
  const phase = nextPhase(state, nowMs, observed);
  const closeRest = state.own !== undefined && nowMs >= state.own.deadlineMs && observed.open > 0;
  const stragglerGraceMs = (isGrantFresh(state, nowMs) ? state.grant : (state.own ?? state.grant))?.stragglerGraceMs ?? 0;
  const paused = state.own === undefined && (state.grant?.perSecond ?? 0) > 0 && !isGrantFresh(state, nowMs);
  const common = { closeRest, perSecond, stragglerGraceMs, paused };
  if (phase !== "draining" || perSecond === 0) {
    const idle: DrainState = { ...state, phase, credit: 0, steppedAtMs: nowMs };
    return { ...common, state: idle, reconnects: 0, closes: 0 };
  }
  // A timer that fires early must not lose its slice, nor make another one.
  if (state.phase === "draining" && nowMs - state.steppedAtMs < limits.drainSliceMs / 2)
    return { ...common, state, reconnects: 0, closes: 0 };
  const credit = accrue(state, perSecond, nowMs);
  const allowed = Math.min(Math.floor(credit), sliceMoves(perSecond), windowMoves(state, perSecond, nowMs));
  const closes = Math.max(0, Math.min(allowed, observed.stragglers));
  const reconnects = Math.max(0, Math.min(allowed - closes, observed.unasked));
  const count = closes + reconnects;
  const recent = state.moved.filter((move) => move.atMs > nowMs - windowMs(perSecond));
  const moved = count === 0 ? recent : [...recent, { atMs: nowMs, count }];
  const ownPerSecond = state.own !== undefined && !isGrantFresh(state, nowMs) ? perSecond : state.ownPerSecond;
  return { ...common, state: { ...state, phase, ownPerSecond, credit: credit - count, steppedAtMs: nowMs, moved }, reconnects, closes };
}

/** The moves of the last step are all made, at `nowMs`. A process that stood still in their midst made them later than it had decided on them, and
 *  the window counts them from when the last of them can have left: between two of different steps there is then never less than it says. */
export function movesMade(state: DrainState, nowMs: number): DrainState {
  const last = state.moved.at(-1);
  return last === undefined || last.atMs >= nowMs ? state : { ...state, moved: [...state.moved.slice(0, -1), { ...last, atMs: nowMs }] };
}

export interface Granted {
  readonly state: DrainState;
  readonly reply: GrantReply;
}

function refused(state: DrainState, message: string): Granted {
  return { state, reply: { accepted: false, epoch: state.epoch, message } };
}

function isSensible(grant: DrainGrant): boolean {
  const numbers = [grant.perSecond, grant.deadlineMs, grant.stragglerGraceMs];
  return numbers.every(Number.isFinite) && grant.perSecond >= 0 && grant.stragglerGraceMs >= 0 && Number.isSafeInteger(grant.epoch);
}

function cordon(state: DrainState, nowMs: number): DrainState {
  return state.phase === "serving" ? { ...state, phase: "cordoned", cordonedAtMs: nowMs, steppedAtMs: nowMs, credit: 0 } : state;
}

function isGrantFresh(state: DrainState, nowMs: number): boolean {
  return state.grant !== undefined && state.grant.perSecond > 0 && nowMs - state.renewedAtMs < limits.grantRenewMs;
}

function rateInForce(state: DrainState, nowMs: number, observed: DrainObservation): number {
  if (isGrantFresh(state, nowMs)) return state.grant?.perSecond ?? 0;
  return state.own === undefined ? 0 : Math.max(state.own.perSecond, state.ownPerSecond, neededRate(state.own, nowMs, observed));
}

/** What leaves the last ones asked their grace before the deadline, or half of the time left where the grace is longer. */
function neededRate(own: OwnDrain, nowMs: number, observed: DrainObservation): number {
  const leftMs = Math.max(0, own.deadlineMs - nowMs);
  const askingMs = Math.max(1000, leftMs - Math.min(own.stragglerGraceMs, leftMs / 2));
  return ((observed.unasked + observed.stragglers) * limits.drainWindowMs) / askingMs;
}

function nextPhase(state: DrainState, nowMs: number, observed: DrainObservation): DrainPhase {
  const mayMove = state.own !== undefined || (state.grant?.perSecond ?? 0) > 0;
  if (state.cordonedAtMs === undefined) return "serving";
  if (!mayMove) return "cordoned";
  if (observed.open === 0) return "drained";
  if (state.phase === "draining" || state.phase === "drained") return "draining";
  return nowMs >= beginsAtMs(state, state.cordonedAtMs, observed) ? "draining" : "cordoned";
}

/** While the balancer still sends clients here, the moved ones would come back. A process that is to stop waits no longer than a quarter
 *  of its time. */
function beginsAtMs(state: DrainState, cordonedAtMs: number, observed: DrainObservation): number {
  const quietAtMs = Math.max(cordonedAtMs, observed.lastHandshakeMs ?? cordonedAtMs) + limits.drainQuietMs;
  const latestMs = cordonedAtMs + limits.drainCordonMs;
  const ownLatestMs = state.own === undefined ? latestMs : cordonedAtMs + (state.own.deadlineMs - cordonedAtMs) / 4;
  return Math.min(quietAtMs, latestMs, ownLatestMs);
}

/** A pause saves nothing up: at most one and a half slices are owed, for timers that are late. */
function accrue(state: DrainState, perSecond: number, nowMs: number): number {
  const earned = (perSecond * Math.max(0, nowMs - state.steppedAtMs)) / 1000;
  const most = Math.max(1, (perSecond * limits.drainSliceMs * 1.5) / 1000);
  return Math.min(state.phase === "draining" ? state.credit + earned : 0, most);
}

function sliceMoves(perSecond: number): number {
  return Math.ceil((perSecond * limits.drainSliceMs) / 1000);
}

/** Below one a second a move stands alone in a longer window. */
function windowMs(perSecond: number): number {
  return perSecond >= 1 ? limits.drainWindowMs : Math.max(limits.drainWindowMs, 1000 / perSecond);
}

/** How many more fit into the window that ends now (invariant I3), whatever rates it has seen. */
function windowMoves(state: DrainState, perSecond: number, nowMs: number): number {
  const sinceMs = nowMs - windowMs(perSecond);
  let count = 0;
  for (const move of state.moved) if (move.atMs > sinceMs) count += move.count;
  return Math.max(0, Math.max(1, Math.floor(perSecond)) - count);
}
