import {
  abortDrain,
  applyGrant,
  type DrainObservation,
  type DrainState,
  isCordoned,
  servingDrain,
  startOwnDrain,
  stepDrain,
} from "../../gateway/src/core/drain-schedule.js";
import type { GatewayReport, PodGrant } from "../../operator/src/core/index.js";
import { limits } from "../../protocol/src/index.js";

/** A gateway of a simulated world: counts of connections instead of sockets, stepped every 100 ms. `eager` ones do all that their grant
 *  allows at once and wait for nothing: the worst a planner must expect. The others follow the real schedule. */
export class SimulatedGateway {
  private drain: DrainState = servingDrain;
  /** Connections not asked to move. */
  private unasked = 0;
  /** Connections asked, oldest first. `stubborn` ones never move by themselves. */
  private asked: { atMs: number; count: number; stubborn: boolean }[] = [];
  private handshakes = 0;
  private resumed = 0;
  private reconnectsSent = 0;
  private lastHandshakeMs: number | undefined;
  private stoppedAtMs: number | undefined;
  readonly capacity: number;
  private readonly eager: boolean;

  constructor(capacity: number, eager: boolean) {
    this.capacity = capacity;
    this.eager = eager;
  }

  get connections(): number {
    return this.unasked + this.asked.reduce((sum, cohort) => sum + cohort.count, 0);
  }

  get takesConnections(): boolean {
    return !isCordoned(this.drain) && this.connections < this.capacity;
  }

  get isReady(): boolean {
    return !isCordoned(this.drain);
  }

  get isStopping(): boolean {
    return this.stoppedAtMs !== undefined;
  }

  connect(count: number, resumed: boolean, nowMs: number): void {
    if (count === 0) return;
    this.unasked += count;
    this.handshakes += count;
    if (resumed) this.resumed += count;
    this.lastHandshakeMs = nowMs;
  }

  /** Clients that leave for good. */
  leave(count: number): number {
    const left = Math.min(count, this.unasked);
    this.unasked -= left;
    return left;
  }

  /** `Gateway.Drain`: whether it was accepted. */
  grant(grant: PodGrant, nowMs: number): boolean {
    const { reconnectsPerSecond: perSecond, deadlineMs, epoch, stragglerGraceMs } = grant;
    return this.take(applyGrant(this.drain, { perSecond, deadlineMs, epoch, stragglerGraceMs }, nowMs));
  }

  /** `Gateway.AbortDrain`. */
  abort(epoch: number): boolean {
    const accepted = this.take(abortDrain(this.drain, epoch));
    if (accepted) {
      this.unasked = this.connections;
      this.asked = [];
    }
    return accepted;
  }

  /** SIGTERM. */
  stop(nowMs: number, deadlineMs: number): void {
    this.stoppedAtMs = nowMs;
    this.drain = startOwnDrain(this.drain, { perSecond: 5, deadlineMs, stragglerGraceMs: 1_000 }, nowMs);
  }

  /** One slice. `moves` counts against the budget unless the gateway is stopping; `moved` reconnect now, `cut` lost their connection. */
  step(nowMs: number, stubbornShare: number): { readonly moves: number; readonly moved: number; readonly cut: number } {
    if (!isCordoned(this.drain)) return { moves: 0, moved: 0, cut: 0 };
    const graceMs = this.drain.grant?.stragglerGraceMs ?? 1_000;
    const stragglers = this.asked.filter((cohort) => cohort.stubborn && nowMs - cohort.atMs >= graceMs);
    const step = (this.eager && !this.isStopping ? stepEagerly : stepDrain)(this.drain, nowMs, {
      open: this.connections,
      unasked: this.unasked,
      stragglers: stragglers.reduce((sum, cohort) => sum + cohort.count, 0),
      lastHandshakeMs: this.lastHandshakeMs,
    });
    this.drain = step.state;
    this.unasked -= step.reconnects;
    this.reconnectsSent += step.reconnects;
    let cut = step.closes;
    for (const cohort of stragglers) {
      const closed = Math.min(cut, cohort.count);
      cohort.count -= closed;
      cut -= closed;
    }
    if (step.reconnects > 0) {
      const stubborn = Math.floor(step.reconnects * stubbornShare);
      this.asked.push(
        { atMs: nowMs, count: stubborn, stubborn: true },
        { atMs: nowMs, count: step.reconnects - stubborn, stubborn: false },
      );
    }
    const rest = step.closeRest ? this.connections : 0;
    if (step.closeRest) this.drop();
    const moves = this.isStopping ? 0 : step.reconnects + step.closes;
    return { moves, moved: this.handOver(nowMs), cut: step.closes + rest };
  }

  /** Those asked half a second ago are connected elsewhere. */
  private handOver(nowMs: number): number {
    let moved = 0;
    for (const cohort of this.asked) {
      if (cohort.stubborn || nowMs - cohort.atMs < 500) continue;
      moved += cohort.count;
      cohort.count = 0;
    }
    this.asked = this.asked.filter((cohort) => cohort.count > 0);
    return moved;
  }

  /** Somebody found no other gateway and keeps its connection. */
  keep(count: number, nowMs: number): void {
    if (count > 0) this.asked.push({ atMs: nowMs, count, stubborn: true });
  }

  /** All connections are lost; how many there were. */
  drop(): number {
    const lost = this.connections;
    this.unasked = 0;
    this.asked = [];
    return lost;
  }

  report(): GatewayReport {
    return {
      state: this.isStopping ? "stopping" : this.drain.phase,
      connections: this.connections,
      effectiveMaxConnections: this.capacity,
      handshakes: this.handshakes,
      resumed: this.resumed,
      reconnectsSent: this.reconnectsSent,
      remaining: this.unasked,
      epoch: this.drain.epoch,
    };
  }

  private take(granted: { readonly state: DrainState; readonly reply: { readonly accepted: boolean } }): boolean {
    this.drain = granted.state;
    return granted.reply.accepted;
  }
}

function stepEagerly(state: DrainState, nowMs: number, { open, unasked, stragglers }: DrainObservation): EagerStep {
  const { grant } = state;
  const fresh = grant !== undefined && nowMs - state.renewedAtMs < limits.grantRenewMs;
  const recent = state.moved.filter((move) => move.atMs >= nowMs - 1_000);
  const allowed = Math.max(0, (fresh ? grant.perSecond : 0) - recent.reduce((sum, move) => sum + move.count, 0));
  const closes = Math.min(allowed, stragglers);
  const reconnects = Math.min(allowed - closes, unasked);
  const phase = (grant?.perSecond ?? 0) === 0 ? "cordoned" : open === 0 ? "drained" : "draining";
  return {
    state: { ...state, phase, moved: [...recent, { atMs: nowMs, count: closes + reconnects }] },
    reconnects,
    closes,
    closeRest: false,
  };
}

type EagerStep = Pick<ReturnType<typeof stepDrain>, "state" | "reconnects" | "closes" | "closeRest">;
