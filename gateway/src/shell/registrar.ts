import { randomBytes } from "node:crypto";
import { type Cursor, connectionIdFromNumber, formatCursor, type Incarnation, incarnationFromBytes, limits } from "@pushfleet/protocol";
import type { Entry, Lease, Registered, Registry } from "@pushfleet/registry";
import type { Clock, Logger } from "@pushfleet/service";
import type { RegistrationOutcome } from "../core/connection.js";
import type { Connection } from "./connection.js";

export interface RegistrarOptions {
  readonly registry: Registry;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly gateway: string;
  readonly zone: string;
  readonly address: () => string;
  readonly connections: () => Iterable<Connection>;
  /** ms since the worker's start. */
  readonly nowMs: () => number;
  readonly onOutcome: (connection: Connection, outcome: RegistrationOutcome, lastRight: Cursor) => void;
  readonly onReplaced: (entry: Entry & { readonly lease: Lease }, connection: Connection) => void;
  /** Every connection may have missed something after this. */
  readonly onResync: (after: Cursor) => void;
}

/** The worker's life in the registry: its lease, and an entry for each connection, put there and held to be there (DESIGN §4). */
export class Registrar {
  incarnation: Incarnation = newIncarnation();
  readonly #options: RegistrarOptions;
  readonly #retry = new Set<Connection>();
  readonly #cancels: (() => void)[] = [];
  #generation = 0;
  #lastGoodMs: number;
  #pass: Iterator<Connection> | undefined;
  #passPerSecond = 0;
  #refreshing = false;

  constructor(options: RegistrarOptions) {
    this.#options = options;
    this.#lastGoodMs = options.clock.nowMs();
  }

  get isHealthy(): boolean {
    return this.#options.clock.nowMs() - this.#lastGoodMs < limits.leaseNotReadyMs;
  }

  async start(): Promise<void> {
    const { registry, clock } = this.#options;
    const acquired = await registry.acquireLease(this.#lease());
    if (acquired.kind === "unavailable") throw new Error("the registry does not answer", { cause: acquired.cause });
    this.#lastGoodMs = clock.nowMs();
    this.#cancels.push(
      clock.every(limits.leaseRefreshMs, () => void this.#refresh()),
      clock.every(limits.registryRetryMs, () => this.#tick()),
      registry.onReconnected(() => this.#reregister()),
    );
  }

  async stop(): Promise<void> {
    for (const cancel of this.#cancels) cancel();
    await this.#options.registry.releaseLease(this.incarnation);
  }

  /** Asks the registry; the outcome comes by `onOutcome`. One at a time for a connection. */
  register(connection: Connection): void {
    if (connection.isRegistering) {
      connection.registersAgain = true;
      return;
    }
    const { user, device, tokenId, tokenIssuedAtMs } = connection.core;
    if (user === undefined || device === undefined) return;
    connection.isRegistering = true;
    const generation = this.#generation;
    const asked = {
      user,
      device,
      incarnation: this.incarnation,
      connection: connectionIdFromNumber(connection.number),
      ageMs: this.#options.nowMs() - connection.openedMs,
      fence: connection.fence,
      tokenId,
      tokenIssuedAtMs,
    };
    void this.#options.registry.register(asked).then((outcome) => {
      connection.isRegistering = false;
      if (connection.socket === undefined) {
        // It closed meanwhile: what was just written is its own and goes again.
        if (outcome.kind === "registered") void this.#options.registry.unregister({ ...asked, fence: outcome.fence });
        return;
      }
      this.#take(connection, outcome, generation);
    });
  }

  /** The connection has closed. */
  unregister(connection: Connection): void {
    this.#retry.delete(connection);
    const { user, device } = connection.core;
    if (connection.fence === undefined || connection.isRegistering || user === undefined || device === undefined) return;
    const { incarnation } = this;
    const id = connectionIdFromNumber(connection.number);
    void this.#options.registry.unregister({ user, device, incarnation, connection: id, fence: connection.fence });
  }

  #take(connection: Connection, outcome: Registered, generation: number): void {
    const lapsed = connection.generation !== -1 && connection.generation !== generation;
    const lastRight = formatCursor(connection.rightMs === 0 ? this.#lastGoodMs : connection.rightMs, 0);
    if (outcome.kind === "registered") {
      connection.fence = outcome.fence;
      connection.generation = generation;
      connection.rightMs = this.#options.clock.nowMs();
      this.#retry.delete(connection);
      if (outcome.replaced !== undefined) this.#options.onReplaced(outcome.replaced, connection);
      this.#options.onOutcome(connection, { kind: "registered", restored: outcome.restored || lapsed }, lastRight);
    } else {
      if (outcome.kind === "unavailable") this.#retry.add(connection);
      this.#options.onOutcome(connection, outcome, lastRight);
    }
    if (connection.registersAgain || generation !== this.#generation) {
      connection.registersAgain = false;
      this.register(connection);
    }
  }

  async #refresh(): Promise<void> {
    if (this.#refreshing) return;
    this.#refreshing = true;
    const refreshed = await this.#options.registry.refreshLease(this.incarnation);
    this.#refreshing = false;
    switch (refreshed.kind) {
      case "refreshed":
        this.#lastGoodMs = this.#options.clock.nowMs();
        if (refreshed.resyncAfter !== undefined) this.#options.onResync(refreshed.resyncAfter);
        return;
      case "lapsed":
        return await this.#beginAnew();
      case "unavailable":
        this.#options.logger.warn({ err: refreshed.cause }, "the lease was not refreshed");
    }
  }

  /** A lapsed lease is never revived: routers may have delivered past us meanwhile. Everything is registered again, and told. */
  async #beginAnew(): Promise<void> {
    this.incarnation = newIncarnation();
    const acquired = await this.#options.registry.acquireLease(this.#lease());
    if (acquired.kind === "unavailable") return; // the next refresh finds no lease and comes here again
    this.#options.logger.warn({ incarnation: this.incarnation }, "the lease had lapsed, connections are registered again");
    this.#generation++;
    this.#lastGoodMs = this.#options.clock.nowMs();
    this.#reregister();
  }

  #reregister(): void {
    this.#pass = [...this.#options.connections()][Symbol.iterator]();
    this.#passPerSecond = limits.reregisterPerSecond;
  }

  /** Once a second: what the registry did not take, then a part of the pass over all, which takes 15 minutes when nothing is wrong. */
  #tick(): void {
    for (const connection of [...this.#retry].slice(0, limits.reregisterPerSecond)) {
      this.#retry.delete(connection);
      this.register(connection);
    }
    if (this.#pass === undefined) {
      const all = [...this.#options.connections()];
      this.#pass = all[Symbol.iterator]();
      this.#passPerSecond = Math.max(1, Math.ceil((all.length * limits.registryRetryMs) / limits.auditPeriodMs));
    }
    for (let count = 0; count < this.#passPerSecond; count++) {
      const next = this.#pass.next();
      if (next.done === true) {
        this.#pass = undefined;
        return;
      }
      if (next.value.socket !== undefined && next.value.fence !== undefined) this.register(next.value);
    }
  }

  #lease(): Lease {
    const { gateway, zone, address, clock } = this.#options;
    return { incarnation: this.incarnation, gateway, address: address(), zone, startedAtMs: clock.nowMs() };
  }
}

function newIncarnation(): Incarnation {
  return incarnationFromBytes(randomBytes(10));
}
