import { randomUUID } from "node:crypto";
import {
  assertNever,
  type CloseName,
  type Cursor,
  closeCodes,
  connectionIdFromNumber,
  type DeviceId,
  errorFrame,
  formatCursor,
  gapFrame,
  helloFrame,
  limits,
} from "@pushfleet/protocol";
import { ArrivingConnection } from "../core/arriving-connection.js";
import type { Effect, Effects } from "../core/connection.js";
import { DeadlineWheel } from "../core/deadline-wheel.js";
import { GapPacer } from "../core/gap-pacer.js";
import { HeartbeatWheel } from "../core/heartbeat-wheel.js";
import { OpenConnection } from "../core/open-connection.js";
import { formatResume } from "../core/resume.js";
import type { TokenVia, Verdict } from "../core/token.js";
import { Connection, moves, type Socket } from "./connection.js";
import type { Admitted } from "./handshake.js";
import type { HandshakeResult } from "./metrics.js";
import type { Replaced } from "./registrations.js";
import { createWorkerParts, type WorkerOptions, type WorkerParts } from "./worker-parts.js";

const decode = (message: ArrayBuffer): string => Buffer.from(message).toString("utf8");
/** A UUID is an id. */
const makeDevice = (): DeviceId => randomUUID() as string as DeviceId;

/** One worker's connections: what happens to a socket is told to the connection's core, and what the core decides is done here. */
export class Worker {
  readonly parts: WorkerParts;
  readonly #options: WorkerOptions;
  readonly #heartbeats: HeartbeatWheel<Connection>;
  readonly #deadlines: DeadlineWheel<Connection>;
  readonly #gaps: GapPacer<Connection>;
  /** Those that a newer connection of their device replaced after they were asked to move, and when they are closed; oldest first. */
  readonly #superseded = new Map<Connection, number>();
  readonly #cancels: (() => void)[] = [];

  constructor(options: WorkerOptions) {
    this.#options = options;
    const nowMs = options.nowMs();
    this.#heartbeats = new HeartbeatWheel(options.heartbeat, nowMs);
    this.#deadlines = new DeadlineWheel(limits.tickMs, nowMs);
    this.#gaps = new GapPacer(limits.gapsPerSecond, nowMs);
    this.parts = createWorkerParts(options, {
      onOutboxEmpty: (connection) => this.#onOutboxEmpty(connection),
      onSlow: (connection) => this.close(connection, "slowConsumer"),
      onRegistered: (connection, outcome, lastRight) => this.#onRegistered(connection, outcome, lastRight),
      onReplaced: (replaced, connection) => this.#onReplaced(replaced, connection),
      onResync: (after) => this.gapAll(after),
      onSynced: (connection, outcome) => {
        if (connection.core instanceof OpenConnection) this.#perform(connection, connection.core.onSynced(outcome));
      },
      send: (connection, frame) => this.#send(connection, frame),
      close: (connection, name, reason) => this.close(connection, name, reason),
    });
  }

  async start(): Promise<void> {
    const { clock, registry } = this.#options;
    const { lease, registrations } = this.parts;
    this.#cancels.push(
      clock.every(limits.tickMs, () => this.#tick()),
      clock.every(this.#heartbeats.slotMs, () => this.#beat()),
      clock.every(1000, () => this.#closeOverdue()),
      clock.every(limits.receiptWindowMs, () => this.parts.receipts.forget()),
      registry.onReconnected(() => {
        lease.refreshNow();
        registrations.registerAll();
      }),
    );
    await lease.start();
  }

  /** Ends everything but sockets: those are closed before. */
  async stop(): Promise<void> {
    for (const cancel of this.#cancels.splice(0)) cancel();
    await Promise.all([this.parts.batches.stop(), this.parts.lease.stop()]);
    this.parts.peers.stop();
  }

  // ---- what happens to a socket ----

  /** Its handshake was let in. */
  onOpen(socket: Socket, { device, token, arrived }: Extract<Admitted, { readonly kind: "arrive" }>): void {
    const { table } = this.parts;
    const nowMs = this.#options.nowMs();
    const core = new ArrivingConnection({ device, makeDevice, decode });
    const connection = new Connection(table.nextNumber(), socket, core, arrived, nowMs);
    socket.getUserData().connection = connection;
    table.add(connection);
    this.#perform(connection, core.start(nowMs, token));
  }

  onMessage(connection: Connection, message: ArrayBuffer, isBinary: boolean): void {
    const nowMs = this.#options.nowMs();
    connection.activeMs = nowMs;
    this.#perform(connection, connection.core.onMessage(message, isBinary, nowMs));
  }

  onPong(connection: Connection): void {
    this.#heartbeats.pong(connection);
  }

  /** The one place where a connection ends, whoever ended it. */
  onClose(connection: Connection, code: number): void {
    connection.socket = undefined;
    this.parts.table.remove(connection);
    this.#heartbeats.remove(connection);
    this.#deadlines.clear(connection);
    this.#gaps.remove(connection);
    this.#superseded.delete(connection);
    this.parts.drainer.forget(connection);
    this.parts.writer.forget(connection);
    this.parts.registrations.unregister(connection);
    if (!connection.isOpen) this.#onNoHello(connection, code);
  }

  #onNoHello({ arrived }: Connection, code: number): void {
    const { metrics } = this.#options;
    metrics.handshake(resultOfClose(code));
    if (arrived?.resumed === undefined) return;
    // Replaced, its device has a newer connection: that is no reconnect that failed.
    if (code === closeCodes.replaced.code) metrics.resumeSucceeded();
    else metrics.resumeFailed(arrived.resumed.user, this.#options.nowMs());
  }

  // ---- what others ask for ----

  close(connection: Connection, name: CloseName, reason: string = closeCodes[name].reason): void {
    connection.socket?.end(closeCodes[name].code, reason);
  }

  /** `gap` to every connection, paced. */
  gapAll(after: Cursor): void {
    for (const connection of this.parts.table.byNumber.values()) if (connection.isOpen) this.#gaps.add(connection, after);
  }

  /** A newer connection of its device is registered, with `fence`: closes at once with 4409, or a little later with 1001 when it was asked to
   *  move, so that the client can finish. False: there is no such connection here, or it is the newer one. */
  disconnect(id: string, user: string, device: string, fence: number): boolean {
    const connection = this.parts.table.find(id, user, device);
    if (connection === undefined || (connection.fence !== undefined && connection.fence >= fence)) return false;
    if (connection.move === moves.none) {
      this.close(connection, "replaced");
    } else if (connection.move !== moves.superseded) {
      this.parts.drainer.forget(connection);
      this.parts.table.setMove(connection, moves.superseded);
      this.#superseded.set(connection, this.#options.nowMs() + limits.supersededCloseMs);
    }
    return true;
  }

  // ---- what a core decided ----

  #perform(connection: Connection, effects: Effects): void {
    for (const effect of effects) {
      if (connection.socket === undefined) return;
      this.#do(connection, effect);
    }
  }

  #do(connection: Connection, effect: Effect): void {
    switch (effect.kind) {
      case "send":
        return this.#send(connection, effect.frame);
      case "send_sync":
        return this.#sendSync(connection, effect.frame);
      case "close":
        return this.close(connection, effect.name, effect.reason);
      case "authenticate":
        return this.#authenticate(connection, effect.token, effect.via);
      case "register":
        return this.parts.registrations.register(connection);
      case "open":
        return this.#open(connection, effect.connection, effect.registered);
      case "acknowledge":
        return this.#acknowledge(connection, effect);
      case "sync":
        return this.parts.syncs.request(connection, effect.lastSeen, effect.page);
      case "emit":
        return this.#emit(connection, effect);
      case "gap":
        return this.#gaps.add(connection, effect.after);
      case "deadline":
        return this.#deadlines.set(connection, effect.atMs);
      default:
        return assertNever(effect);
    }
  }

  #send(connection: Connection, frame: string): void {
    if (this.parts.writer.sendControl(connection, frame) === "slow_consumer") this.close(connection, "slowConsumer");
  }

  #sendSync(connection: Connection, frame: Uint8Array): void {
    if (this.parts.writer.sendKept(connection, frame) === "slow_consumer") this.close(connection, "slowConsumer");
    else if (!connection.isPressed && connection.outbox === undefined) this.#onOutboxEmpty(connection);
  }

  #onOutboxEmpty(connection: Connection): void {
    if (connection.core instanceof OpenConnection) this.#perform(connection, connection.core.onOutboxEmpty());
  }

  #authenticate(connection: Connection, token: string, via: TokenVia): void {
    const verdict = this.#options.authenticator.authenticate(token, via);
    if (verdict instanceof Promise) void verdict.then((late) => this.#onVerdict(connection, late));
    else this.#onVerdict(connection, verdict);
  }

  #onVerdict(connection: Connection, verdict: Verdict): void {
    if (connection.socket === undefined) return;
    this.#perform(connection, connection.core.onVerdict(verdict, this.#options.nowMs(), this.#options.clock.nowMs()));
  }

  #onRegistered(connection: Connection, outcome: Parameters<OpenConnection["onRegistered"]>[0], lastRight: Cursor): void {
    const { core } = connection;
    const effects =
      core instanceof OpenConnection
        ? core.onRegistered(outcome, lastRight)
        : core.onRegistered(outcome, this.#options.nowMs(), this.#options.clock.nowMs());
    this.#perform(connection, effects);
  }

  #onReplaced(replaced: Replaced, { core, fence }: Connection): void {
    const { user, device } = core;
    if (user === undefined || device === undefined) return;
    const newerFence = fence ?? replaced.fence + 1;
    if (replaced.lease.address === this.#options.grpcAddress()) this.disconnect(replaced.connection, user, device, newerFence);
    else void this.parts.peers.disconnect(replaced.lease, { user, device, connection: replaced.connection, fence: newerFence });
  }

  /** From now on it is delivered to; hello is the first thing it hears. */
  #open(connection: Connection, core: OpenConnection, registered: boolean): void {
    const { clock, metrics, authenticator, gateway, heartbeat } = this.#options;
    const { lease, table, writer } = this.parts;
    const { arrived } = connection;
    connection.core = core;
    connection.arrived = undefined;
    table.markOpen(connection);
    this.#heartbeats.add(connection);
    metrics.handshake("accepted");
    if (arrived?.resumed !== undefined) metrics.resumeSucceeded();
    if (arrived?.resumed?.user === core.user && arrived.resumed.device === core.device) metrics.resumed += 1;
    if (arrived?.downMs !== undefined) metrics.reconnect.observe(arrived.downMs / 1000);
    const wallMs = Math.floor(clock.nowMs());
    const hello = helloFrame({
      connectionId: `${lease.incarnation}.${connectionIdFromNumber(connection.number)}`,
      device: core.device,
      server: gateway,
      heartbeatMs: heartbeat.intervalMs,
      cursor: formatCursor(wallMs, 0),
      resume: formatResume(core.user, core.device, wallMs, authenticator.resumeKeys),
      registered,
    });
    writer.sendFirst(connection, hello);
  }

  #acknowledge(connection: Connection, { notificationIds, state }: Extract<Effect, { readonly kind: "acknowledge" }>): void {
    const { user, device } = connection.core;
    if (user === undefined || device === undefined) return;
    this.parts.receipts.acked(connection, notificationIds, this.#options.clock.nowMs());
    if (this.parts.batches.acknowledge({ user, device }, notificationIds, state) === "full") this.#send(connection, acksWait);
  }

  #emit(connection: Connection, { name, data }: Extract<Effect, { readonly kind: "emit" }>): void {
    const { user, device } = connection.core;
    if (user === undefined || device === undefined) return;
    if (this.parts.batches.emit({ user, device }, name, data) === "full") this.#send(connection, eventsWait);
  }

  // ---- time ----

  #tick(): void {
    const nowMs = this.#options.nowMs();
    this.#deadlines.tick(nowMs, (connection) => this.#perform(connection, connection.core.onDeadline(nowMs, this.#options.clock.nowMs())));
    this.parts.registrations.tick();
    this.parts.drainer.step();
    this.#gaps.take(nowMs, (connection, after) => this.#send(connection, gapFrame(after)));
    for (const [connection, dueMs] of this.#superseded) {
      if (dueMs > nowMs) break;
      this.#superseded.delete(connection);
      this.close(connection, "goingAway");
    }
  }

  #beat(): void {
    this.#heartbeats.tick(this.#options.nowMs(), this.#ping, this.#expire);
  }

  readonly #ping = (connection: Connection): void => {
    this.#options.metrics.heartbeats += 1;
    connection.socket?.ping();
  };

  readonly #expire = (connection: Connection): void => {
    this.#options.metrics.heartbeatFailures += 1;
    this.close(connection, "goingAway", "no pong in time");
  };

  #closeOverdue(): void {
    for (const connection of this.parts.writer.overdue()) this.close(connection, "slowConsumer");
  }
}

const acksWait = errorFrame({
  code: "store_unavailable",
  message: "acks cannot be taken now, send them again",
  retryAfterMs: limits.batchRetryMaxMs,
});
const eventsWait = errorFrame({
  code: "store_unavailable",
  message: "events cannot be taken now",
  retryAfterMs: limits.batchRetryMaxMs,
});

const resultsByCode: ReadonlyMap<number, HandshakeResult> = new Map([
  [closeCodes.tryAgainLater.code, "refused"],
  [closeCodes.badFrame.code, "bad_frame"],
  [closeCodes.unauthenticated.code, "unauthenticated"],
  [closeCodes.revoked.code, "revoked"],
  [closeCodes.authTimeout.code, "auth_timeout"],
  [closeCodes.replaced.code, "replaced"],
]);

function resultOfClose(code: number): HandshakeResult {
  return resultsByCode.get(code) ?? "abandoned";
}
