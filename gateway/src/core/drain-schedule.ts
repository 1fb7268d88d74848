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

export declare const servingDrain: DrainState;
/** Whether new upgrades are refused with 1013. */
export declare function isCordoned(state: DrainState): boolean;
/** Starts, renews or takes over; refuses a lower epoch or numbers that make no sense. Answers `Gateway.Drain`. */
export declare function applyGrant(
  state: DrainState,
  grant: DrainGrant,
  nowMs: number,
): { readonly state: DrainState; readonly reply: GrantReply };
/** Back to serving; refused for a lower epoch and once the process is stopping. Answers `Gateway.AbortDrain`. */
export declare function abortDrain(state: DrainState, epoch: number): { readonly state: DrainState; readonly reply: GrantReply };
/** SIGTERM: cordons; a grant in force still sets the pace. */
export declare function startOwnDrain(state: DrainState, own: OwnDrain, nowMs: number): DrainState;
/** What to do now; call it every `limits.drainSliceMs` unless serving, and do it at once. */
export declare function stepDrain(state: DrainState, nowMs: number, observed: DrainObservation): DrainStep;
