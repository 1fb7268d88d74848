import { limits, reconnectFrame, tryAgainReason } from "@pushfleet/protocol";
import type { Clock, Logger, v1 } from "@pushfleet/service";
import {
  abortDrain,
  applyGrant,
  type DrainPhase,
  type DrainState,
  isCordoned,
  movesMade,
  type OwnDrain,
  servingDrain,
  startOwnDrain,
  stepDrain,
} from "../core/drain-schedule.js";
import { type Connection, moves } from "./connection.js";
import type { ConnectionTable } from "./connection-table.js";
import { jittered } from "./handshake.js";
import type { Metrics } from "./metrics.js";

export interface DrainerOptions {
  readonly table: ConnectionTable;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whole ms since the worker's start, monotonic. */
  readonly nowMs: () => number;
  readonly send: (connection: Connection, frame: string) => void;
  readonly close: (connection: Connection, name: "serviceRestart" | "goingAway" | "tryAgainLater", reason?: string) => void;
}

/** What operators give as the reason where clients have nowhere to move to. */
const fleetDeleted = "fleetDeleted";
const defaultReason = "drain";

/** The worker's cordon and drain: tells the schedule what it sees, and does what it says, idle connections first. */
export class Drainer {
  readonly #options: DrainerOptions;
  #state: DrainState = servingDrain;
  #reason = defaultReason;
  #lastHandshakeMs: number | undefined;
  #isPaused = false;
  /** Those asked and not yet stragglers, and the stragglers, each in the order they were asked; some have closed meanwhile. */
  readonly #asked = new Set<Connection>();
  readonly #stragglers = new Set<Connection>();
  /** The walk that looks for the next to ask: once round for idle ones, then for all. */
  #walk: Iterator<Connection> | undefined;
  #takesBusy = false;
  #onOver: (() => void) | undefined;

  constructor(options: DrainerOptions) {
    this.#options = options;
  }

  get phase(): DrainPhase {
    return this.#state.phase;
  }

  get isCordoned(): boolean {
    return isCordoned(this.#state);
  }

  /** Clients that are refused or closed come back to nothing, perhaps for good. */
  get isFleetDeleted(): boolean {
    return this.isCordoned && this.#reason === fleetDeleted;
  }

  /** The highest seen. */
  get epoch(): number {
    return this.#state.epoch;
  }

  /** Open connections not yet asked to move. */
  get remaining(): number {
    return this.#options.table.moved(moves.none);
  }

  /** Somebody tried to connect: the balancer still sends clients here. */
  onHandshake(nowMs: number): void {
    this.#lastHandshakeMs = nowMs;
  }

  /** It has closed, or its device has a newer connection: then it is no straggler, and its close counts against no budget. */
  forget(connection: Connection): void {
    this.#asked.delete(connection);
    this.#stragglers.delete(connection);
  }

  /** Answers `Gateway.Drain`. */
  grant(grant: v1.IGrant, reason: string): v1.IDrainReply {
    const { clock, nowMs } = this.#options;
    const granted = applyGrant(
      this.#state,
      {
        perSecond: grant.reconnectsPerSecond ?? 0,
        deadlineMs: nowMs() + (grant.deadlineMs ?? 0) - clock.nowMs(),
        epoch: grant.epoch ?? 0,
        stragglerGraceMs: grant.stragglerGraceMs ?? 0,
      },
      nowMs(),
    );
    const wasServing = !this.isCordoned;
    this.#state = granted.state;
    if (granted.reply.accepted && reason !== "") this.#reason = reason;
    if (wasServing && granted.reply.accepted) this.#begin();
    return granted.reply;
  }

  /** Answers `Gateway.AbortDrain`. Those that were asked to move go on moving. */
  abort(epoch: number): v1.IDrainReply {
    const aborted = abortDrain(this.#state, epoch);
    this.#state = aborted.state;
    if (aborted.reply.accepted) this.#reason = defaultReason;
    if (aborted.reply.accepted) this.#options.logger.info({ epoch }, "drain aborted, serving again");
    return aborted.reply;
  }

  /** SIGTERM. Resolves when nobody is left, or everything was closed at the deadline. */
  drainOwn(own: { readonly perSecond: number; readonly withinMs: number; readonly stragglerGraceMs: number }): Promise<void> {
    const nowMs = this.#options.nowMs();
    const granted = this.#state.grant?.perSecond ?? 0;
    const perSecond = granted > 0 ? granted : own.perSecond;
    const ownDrain: OwnDrain = { perSecond, deadlineMs: nowMs + own.withinMs, stragglerGraceMs: own.stragglerGraceMs };
    const wasServing = !this.isCordoned;
    this.#state = startOwnDrain(this.#state, ownDrain, nowMs);
    if (wasServing) this.#begin();
    return new Promise((resolve) => {
      this.#onOver = resolve;
      this.step();
    });
  }

  /** Call it every `limits.drainSliceMs`. */
  step(): void {
    if (this.#state === servingDrain) return;
    const { table, metrics } = this.#options;
    const nowMs = this.#options.nowMs();
    this.#findStragglers(nowMs);
    const step = stepDrain(this.#state, nowMs, {
      open: table.open,
      unasked: this.remaining,
      stragglers: this.#stragglers.size,
      lastHandshakeMs: this.#lastHandshakeMs,
    });
    this.#state = step.state;
    this.#tellPause(step.paused);
    for (const connection of first(this.#stragglers, step.closes)) this.#close(connection);
    this.#ask(step.reconnects, step.stragglerGraceMs, nowMs);
    if (step.closes + step.reconnects > 0) this.#state = movesMade(this.#state, this.#options.nowMs());
    if (step.closeRest) {
      metrics.drainCloses += table.open;
      this.closeAll();
    }
    if (this.#onOver !== undefined && table.open === 0) this.#finish();
  }

  /** 1001 to everybody, before hello or after it. */
  closeAll(): void {
    for (const connection of [...this.#options.table.byNumber.values()]) this.#options.close(connection, "goingAway");
  }

  #begin(): void {
    this.#walk = undefined;
    this.#takesBusy = false;
    this.#options.logger.info({ reason: this.#reason, connections: this.#options.table.open }, "cordoned");
  }

  #finish(): void {
    const onOver = this.#onOver;
    this.#onOver = undefined;
    onOver?.();
  }

  /** By the grace that they were told, not the one of a later grant. */
  #findStragglers(nowMs: number): void {
    for (const connection of this.#asked) {
      if (connection.move === moves.asked && connection.graceEndMs > nowMs) return;
      this.#asked.delete(connection);
      if (connection.move !== moves.asked) continue;
      this.#options.table.setMove(connection, moves.straggler);
      this.#stragglers.add(connection);
    }
  }

  #ask(count: number, graceMs: number, nowMs: number): void {
    for (let i = 0; i < count; i++) {
      const connection = this.#nextUnasked(nowMs);
      if (connection === undefined) return;
      if (this.isFleetDeleted) {
        this.#close(connection);
        continue;
      }
      this.#options.table.setMove(connection, moves.asked);
      connection.graceEndMs = nowMs + Math.floor(graceMs);
      this.#asked.add(connection);
      this.#options.metrics.reconnectsSent += 1;
      this.#options.send(connection, reconnectFrame(graceMs, this.#reason));
    }
  }

  /** Counts against the grant, as a move does. */
  #close(connection: Connection): void {
    this.#options.metrics.drainCloses += 1;
    if (!this.isFleetDeleted) this.#options.close(connection, "serviceRestart");
    else this.#options.close(connection, "tryAgainLater", tryAgainReason(jittered(limits.fleetDeletedRetryMs, Math.random())));
  }

  /** Walks round the table, over many slices: first for those that are idle, from the second round on for whatever is left. */
  #nextUnasked(nowMs: number): Connection | undefined {
    for (let rounds = 0; rounds < 3; ) {
      this.#walk ??= this.#options.table.byNumber.values();
      const next = this.#walk.next();
      if (next.done === true) {
        this.#walk = undefined;
        this.#takesBusy = true;
        rounds += 1;
        continue;
      }
      const connection = next.value;
      if (!connection.isOpen || connection.move !== moves.none) continue;
      if (this.#takesBusy || nowMs - connection.activeMs >= limits.drainIdleMs) return connection;
    }
    return undefined;
  }

  #tellPause(isPaused: boolean): void {
    if (isPaused && !this.#isPaused) this.#options.logger.warn({ epoch: this.epoch }, "drain paused: its grant was not renewed");
    this.#isPaused = isPaused;
  }
}

function first<Value>(values: ReadonlySet<Value>, count: number): readonly Value[] {
  const taken: Value[] = [];
  for (const value of values) {
    if (taken.length >= count) break;
    taken.push(value);
  }
  return taken;
}
