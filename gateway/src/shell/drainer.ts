import { closeCodes, limits, reconnectFrame } from "@pushfleet/protocol";
import type { Clock, v1 } from "@pushfleet/service";
import {
  abortDrain,
  applyGrant,
  type DrainState,
  type GrantReply,
  isCordoned,
  type OwnDrain,
  servingDrain,
  startOwnDrain,
  stepDrain,
} from "../core/drain-schedule.js";
import { type Connection, moves } from "./connection.js";
import type { Metrics } from "./metrics.js";
import type { Worker } from "./worker.js";

/** Cordon and paced drain of one worker: does what the schedule says, idle connections first. */
export class Drainer {
  readonly #worker: Worker;
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  readonly #asked = new Set<Connection>();
  readonly #cancel: () => void;
  #state: DrainState = servingDrain;
  #queue: Connection[] = [];
  #reason = "drain";
  #lastAttemptMs: number | undefined;

  constructor(options: { readonly worker: Worker; readonly clock: Clock; readonly metrics: Metrics }) {
    this.#worker = options.worker;
    this.#clock = options.clock;
    this.#metrics = options.metrics;
    this.#cancel = options.clock.every(limits.drainSliceMs, () => this.#step());
  }

  get isCordoned(): boolean {
    return isCordoned(this.#state);
  }
  get phase(): DrainState["phase"] {
    return this.#state.phase;
  }
  get epoch(): number {
    return this.#state.epoch;
  }
  /** Connections not yet asked to move. */
  get remaining(): number {
    return this.#worker.openCount - this.#stillHere().length;
  }

  attempted(): void {
    this.#lastAttemptMs = this.#worker.nowMs();
  }

  grant(grant: v1.IGrant, reason: string): GrantReply {
    const nowMs = this.#worker.nowMs();
    const granted = applyGrant(
      this.#state,
      {
        perSecond: grant.reconnectsPerSecond ?? 0,
        deadlineMs: nowMs + (grant.deadlineMs ?? 0) - this.#clock.nowMs(),
        epoch: grant.epoch ?? 0,
        stragglerGraceMs: grant.stragglerGraceMs ?? 0,
      },
      nowMs,
    );
    this.#state = granted.state;
    this.#reason = reason === "" ? "drain" : reason;
    return granted.reply;
  }

  abort(epoch: number): GrantReply {
    const granted = abortDrain(this.#state, epoch);
    this.#state = granted.state;
    if (granted.reply.accepted) this.#queue = [];
    return granted.reply;
  }

  /** SIGTERM. Resolves when nobody is left, or at the deadline with the rest closed. */
  async drainOwn(own: Omit<OwnDrain, "deadlineMs"> & { readonly withinMs: number }): Promise<void> {
    const nowMs = this.#worker.nowMs();
    this.#state = startOwnDrain(this.#state, { ...own, deadlineMs: nowMs + own.withinMs }, nowMs);
    while (this.#worker.connections.size > 0) await new Promise<void>((resolve) => this.#clock.after(limits.drainSliceMs, resolve));
  }

  stop(): void {
    this.#cancel();
  }

  #stillHere(): readonly Connection[] {
    for (const connection of this.#asked) if (connection.socket === undefined) this.#asked.delete(connection);
    return [...this.#asked];
  }

  #step(): void {
    if (this.#state.phase === "serving") return;
    const nowMs = this.#worker.nowMs();
    const asked = this.#stillHere();
    const graceMs = this.#state.grant?.stragglerGraceMs ?? this.#state.own?.stragglerGraceMs ?? 0;
    const stragglers = asked.filter((connection) => connection.move === moves.asked && nowMs - connection.askedMs >= graceMs);
    const step = stepDrain(this.#state, nowMs, {
      open: this.#worker.openCount,
      unasked: this.#worker.openCount - asked.length,
      stragglers: stragglers.length,
      lastHandshakeMs: this.#lastAttemptMs,
    });
    this.#state = step.state;
    for (const connection of stragglers.slice(0, step.closes)) {
      this.#metrics.drainCloses++;
      connection.socket?.end(closeCodes.serviceRestart.code, closeCodes.serviceRestart.reason);
    }
    for (let count = 0; count < step.reconnects; count++) this.#askNext(nowMs, step.stragglerGraceMs);
    if (step.closeRest) this.closeAll();
  }

  closeAll(): void {
    for (const connection of this.#worker.connections.values())
      connection.socket?.end(closeCodes.goingAway.code, closeCodes.goingAway.reason);
  }

  #askNext(nowMs: number, graceMs: number): void {
    const connection = this.#nextUnasked();
    if (connection === undefined) return;
    connection.move = moves.asked;
    connection.askedMs = nowMs;
    this.#asked.add(connection);
    this.#metrics.reconnectsSent++;
    this.#worker.sender.control(connection, reconnectFrame(graceMs, this.#reason));
  }

  /** Those that have been quiet the longest first: moving them disturbs least. Sorted once; who comes later is found when the list is empty. */
  #nextUnasked(): Connection | undefined {
    for (let round = 0; round < 2; round++) {
      for (let next = this.#queue.pop(); next !== undefined; next = this.#queue.pop()) {
        if (next.socket !== undefined && next.isOpen && next.move === moves.none) return next;
      }
      this.#queue = [...this.#worker.connections.values()]
        .filter((one) => one.isOpen && one.move === moves.none)
        .sort((a, b) => b.activeMs - a.activeMs);
    }
    return undefined;
  }
}
