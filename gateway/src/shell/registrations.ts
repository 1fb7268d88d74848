import { assertNever, type Cursor, connectionIdFromNumber, formatCursor, type Incarnation, limits } from "@pushfleet/protocol";
import type { Entry, Lease, Registered, Registration, Registry } from "@pushfleet/registry";
import type { Clock } from "@pushfleet/service";
import type { RegistrationOutcome } from "../core/connection.js";
import type { Connection } from "./connection.js";
import type { WorkerLease } from "./lease.js";

/** A live entry of the same device that a connection of ours took the place of. */
export type Replaced = Entry & { readonly lease: Lease };

export interface RegistrationsOptions {
  readonly registry: Registry;
  readonly lease: WorkerLease;
  readonly clock: Clock;
  readonly connections: ReadonlyMap<number, Connection>;
  /** Whole ms since the worker's start, monotonic. */
  readonly nowMs: () => number;
}

export interface RegistrationsListener {
  /** `lastRight`: where a `gap` begins when the entry had to be restored. */
  readonly onOutcome: (connection: Connection, outcome: RegistrationOutcome, lastRight: Cursor) => void;
  /** `connection` holds the entry now; it may have closed meanwhile. */
  readonly onReplaced: (replaced: Replaced, connection: Connection) => void;
}

/** The entries of this worker's connections: put there at hello, held there, taken away at the end (DESIGN §4).
 *
 *  Two walks over all connections see to it that each entry stays right. The sweep runs when something is known to be wrong (no lease at the
 *  time, a lapse, a reconnect of the registry, an answer that did not come), at `reregisterPerSecond`. The audit never ends and takes
 *  `auditPeriodMs` a round; an entry that it finds missing is restored by the same call. */
export class Registrations {
  readonly #options: RegistrationsOptions;
  readonly #listener: RegistrationsListener;
  /** Incarnation of each generation that something was registered under. */
  readonly #incarnations: Incarnation[] = [];
  /** Whatever was not confirmed since this began is registered again. */
  #pass = 0;
  #sweep: Iterator<Connection> | undefined;
  /** The sweep must go round once more. */
  #needsSweep = false;
  #sweepCredit = 0;
  #audit: Iterator<Connection> | undefined;
  #auditCredit = 0;
  #retryAtMs = 0;
  #tickedMs: number;
  #confirmed = 0;

  constructor(options: RegistrationsOptions, listener: RegistrationsListener) {
    this.#options = options;
    this.#listener = listener;
    this.#tickedMs = options.nowMs();
  }

  /** Connections that have an entry, as far as is known. */
  get confirmed(): number {
    return this.#confirmed;
  }

  /** Registers `connection`, again with its fence when it has one; the outcome comes by `onOutcome`, at once when there is no lease. One call
   *  at a time for a connection. */
  register(connection: Connection): void {
    if (connection.isRegistering) {
      connection.registersAgain = true;
      return;
    }
    const registration = this.#registration(connection);
    if (registration === undefined) return;
    const { lease, nowMs } = this.#options;
    if (!lease.isHeld) {
      this.#needsSweep = true;
      this.#listener.onOutcome(connection, unavailable, this.#lastRight(connection, lease.generation));
      return;
    }
    connection.isRegistering = true;
    this.#incarnations[lease.generation] = registration.incarnation;
    void this.#call(connection, registration, { generation: lease.generation, pass: this.#pass, askedMs: nowMs() });
  }

  /** The connection has closed. What is under way is undone when it is over. */
  unregister(connection: Connection): void {
    const { fence, generation } = connection;
    if (fence === undefined) return;
    this.#confirmed -= 1;
    if (!connection.isRegistering) this.#remove(connection, generation, fence);
  }

  /** Everything is registered again: the registry was away, or the lease has lapsed. */
  registerAll(): void {
    this.#pass += 1;
    this.#needsSweep = true;
    this.#sweep = undefined;
    this.#retryAtMs = 0;
  }

  /** Call it every `limits.tickMs`. */
  tick(): void {
    const nowMs = this.#options.nowMs();
    const elapsedMs = nowMs - this.#tickedMs;
    this.#tickedMs = nowMs;
    if (!this.#options.lease.isHeld || nowMs < this.#retryAtMs) return;
    this.#runSweep(elapsedMs);
    this.#runAudit(elapsedMs);
  }

  async #call(connection: Connection, registration: Registration, asked: Asked): Promise<void> {
    const outcome = await this.#options.registry.register(registration);
    connection.isRegistering = false;
    if (connection.socket === undefined) this.#undo(connection, outcome, asked.generation);
    else this.#settle(connection, outcome, asked);
  }

  #settle(connection: Connection, outcome: Registered, asked: Asked): void {
    const lastRight = this.#lastRight(connection, asked.generation);
    switch (outcome.kind) {
      case "registered": {
        const hasLapsed = connection.generation !== -1 && connection.generation !== asked.generation;
        this.#confirm(connection, outcome.fence, asked);
        this.#listener.onOutcome(connection, { kind: "registered", restored: outcome.restored || hasLapsed }, lastRight);
        if (outcome.replaced !== undefined) this.#listener.onReplaced(outcome.replaced, connection);
        break;
      }
      case "unavailable":
        this.#needsSweep = true;
        this.#retryAtMs = this.#options.nowMs() + limits.registryRetryMs;
        this.#listener.onOutcome(connection, unavailable, lastRight);
        break;
      case "superseded":
      case "revoked":
        this.#listener.onOutcome(connection, outcome, lastRight);
        break;
      default:
        assertNever(outcome);
    }
    if (!connection.registersAgain) return;
    connection.registersAgain = false;
    if (connection.socket !== undefined) this.register(connection);
  }

  #confirm(connection: Connection, fence: number, { generation, pass, askedMs }: Asked): void {
    if (connection.fence === undefined) this.#confirmed += 1;
    connection.fence = fence;
    connection.generation = generation;
    connection.pass = pass;
    connection.rightMs = askedMs;
    if (pass !== this.#pass) this.#needsSweep = true;
  }

  /** It closed while it was being registered: what was written goes again, and so it does when nobody knows whether it was written. */
  #undo(connection: Connection, outcome: Registered, generation: number): void {
    if (outcome.kind === "superseded" || outcome.kind === "revoked") return;
    this.#remove(connection, generation, outcome.kind === "registered" ? outcome.fence : (connection.fence ?? 0));
    if (outcome.kind === "registered" && outcome.replaced !== undefined) this.#listener.onReplaced(outcome.replaced, connection);
  }

  #remove(connection: Connection, generation: number, fence: number): void {
    const { lease, registry } = this.#options;
    const { user, device } = connection.core;
    const incarnation = this.#incarnations[generation];
    // What an earlier incarnation registered does not exist any more.
    if (user === undefined || device === undefined || incarnation === undefined || generation !== lease.generation) return;
    void registry.unregister({ user, device, incarnation, connection: connectionIdFromNumber(connection.number), fence });
  }

  #registration(connection: Connection): Registration | undefined {
    const { user, device, tokenId, tokenIssuedAtMs } = connection.core;
    if (user === undefined || device === undefined) return undefined;
    return {
      user,
      device,
      incarnation: this.#options.lease.incarnation,
      connection: connectionIdFromNumber(connection.number),
      ageMs: this.#options.nowMs() - connection.openedMs,
      fence: connection.fence,
      tokenId,
      tokenIssuedAtMs,
    };
  }

  /** After a lapse nothing was right from the last good refresh on; otherwise from the last answer on. */
  #lastRight(connection: Connection, generation: number): Cursor {
    const { clock, lease, nowMs } = this.#options;
    if (connection.generation !== -1 && connection.generation !== generation) return lease.lastGoodCursor(connection.generation);
    const rightMs = connection.generation === -1 ? connection.openedMs : connection.rightMs;
    return formatCursor(clock.nowMs() - (nowMs() - rightMs), 0);
  }

  #runSweep(elapsedMs: number): void {
    if (!this.#needsSweep && this.#sweep === undefined) {
      this.#sweepCredit = 0;
      return;
    }
    const perMs = limits.reregisterPerSecond / 1000;
    this.#sweepCredit = Math.min(this.#sweepCredit + elapsedMs * perMs, limits.reregisterPerSecond);
    for (let looks = 0; looks < limits.reregisterLooksMax && this.#sweepCredit >= 1; looks++) {
      if (this.#sweep === undefined) {
        if (!this.#needsSweep) return;
        this.#needsSweep = false;
        this.#sweep = this.#options.connections.values();
      }
      const next = this.#sweep.next();
      if (next.done === true) {
        this.#sweep = undefined;
        return; // Whatever turned up meanwhile has its turn at the next tick.
      }
      if (!next.value.isOpen || next.value.isRegistering || next.value.pass === this.#pass) continue;
      this.#sweepCredit -= 1;
      this.register(next.value);
    }
  }

  #runAudit(elapsedMs: number): void {
    const { connections } = this.#options;
    this.#auditCredit = Math.min(this.#auditCredit + (elapsedMs * connections.size) / limits.auditPeriodMs, limits.reregisterPerSecond);
    while (this.#auditCredit >= 1 && connections.size > 0) {
      this.#auditCredit -= 1;
      this.#audit ??= connections.values();
      const next = this.#audit.next();
      if (next.done === true) this.#audit = undefined;
      else if (next.value.isOpen && next.value.fence !== undefined) this.#reregister(next.value);
    }
  }

  #reregister(connection: Connection): void {
    if (!connection.isRegistering) this.register(connection);
  }
}

/** What stood when a registration was asked for. */
interface Asked {
  readonly generation: number;
  readonly pass: number;
  readonly askedMs: number;
}

const unavailable: RegistrationOutcome = { kind: "unavailable" };
