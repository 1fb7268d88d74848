import { randomUUID } from "node:crypto";
import {
  assertNever,
  type Cursor,
  closeCodes,
  connectionIdFromNumber,
  type DeviceId,
  formatCursor,
  gapFrame,
  helloFrame,
  limits,
  parseDeviceId,
  type UserId,
} from "@pushfleet/protocol";
import type { Entry, Lease, Registry } from "@pushfleet/registry";
import {
  type Clock,
  callUnary,
  createGrpcClient,
  gatewayService,
  type Logger,
  type RouterLink,
  type TlsFiles,
  v1,
} from "@pushfleet/service";
import { ArrivingConnection } from "../core/arriving-connection.js";
import { Batch } from "../core/batch.js";
import type { Effects } from "../core/connection.js";
import { DeadlineWheel } from "../core/deadline-wheel.js";
import { GapPacer } from "../core/gap-pacer.js";
import { HeartbeatWheel } from "../core/heartbeat-wheel.js";
import { OpenConnection } from "../core/open-connection.js";
import { formatResume } from "../core/resume.js";
import type { TokenVia, Verdict } from "../core/token.js";
import type { Authenticator } from "./authenticator.js";
import { Connection, moves, type Opening, type Socket } from "./connection.js";
import type { Metrics } from "./metrics.js";
import { Registrar } from "./registrar.js";
import { Sender } from "./sender.js";

export interface WorkerOptions {
  readonly id: string;
  readonly zone: string;
  readonly heartbeat: { readonly intervalMs: number; readonly timeoutMs: number };
  readonly registry: Registry;
  readonly router: RouterLink;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly authenticator: Authenticator;
  readonly metrics: Metrics;
  readonly tls: TlsFiles | undefined;
  readonly grpcAddress: () => string;
}

const makeDevice = (): DeviceId => {
  const device = parseDeviceId(randomUUID());
  if (device === undefined) throw new Error("a UUID is an id");
  return device;
};
const decode = (message: ArrayBuffer): string => Buffer.from(message).toString("utf8");

/** All connections of one worker: does what their cores decide, and tells them what came of it. */
export class Worker {
  readonly connections = new Map<number, Connection>();
  readonly sender: Sender;
  readonly registrar: Registrar;
  readonly #options: WorkerOptions;
  readonly #startMs: number;
  readonly #heartbeats: HeartbeatWheel<Connection>;
  readonly #deadlines: DeadlineWheel<Connection>;
  readonly #gaps: GapPacer<Connection>;
  readonly #acks = new Batch<v1.IAck>(limits.batchQueueMax);
  readonly #events = new Batch<v1.IClientEvent>(limits.batchQueueMax);
  readonly #cancels: (() => void)[] = [];
  readonly #superseded = new Map<Connection, number>();
  readonly #peers = new Map<string, ReturnType<typeof createGrpcClient>>();
  #lastNumber = 0;
  #open = 0;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#startMs = options.clock.monotonicMs();
    const nowMs = this.nowMs();
    this.#heartbeats = new HeartbeatWheel(options.heartbeat, nowMs);
    this.#deadlines = new DeadlineWheel(limits.tickMs, nowMs);
    this.#gaps = new GapPacer(limits.gapsPerSecond, nowMs);
    this.sender = new Sender({
      wallMs: () => options.clock.nowMs(),
      onEmpty: (connection) => {
        if (connection.core instanceof OpenConnection) this.perform(connection, connection.core.onOutboxEmpty());
      },
    });
    this.registrar = new Registrar({
      registry: options.registry,
      clock: options.clock,
      logger: options.logger,
      gateway: options.id,
      zone: options.zone,
      address: options.grpcAddress,
      connections: () => this.connections.values(),
      nowMs: () => this.nowMs(),
      onOutcome: (connection, outcome, lastRight) => this.#registered(connection, outcome, lastRight),
      onReplaced: (entry, connection) => this.#replaced(entry, connection),
      onResync: (after) => {
        for (const connection of this.connections.values()) this.#gaps.add(connection, after);
      },
    });
  }

  /** Connections from hello on. */
  get openCount(): number {
    return this.#open;
  }

  /** Whole ms since this worker's start, monotonic. */
  nowMs(): number {
    return Math.floor(this.#options.clock.monotonicMs() - this.#startMs);
  }

  async start(): Promise<void> {
    const { clock, metrics } = this.#options;
    await this.registrar.start();
    const ping = (connection: Connection): void => {
      metrics.heartbeats++;
      connection.socket?.ping();
    };
    const expire = (connection: Connection): void => {
      metrics.heartbeatFailures++;
      connection.socket?.close();
    };
    this.#cancels.push(
      clock.every(this.#heartbeats.slotMs, () => this.#heartbeats.tick(this.nowMs(), ping, expire)),
      clock.every(limits.tickMs, () => this.#tick()),
      clock.every(1000, () => this.sender.checkAge()),
      clock.every(limits.batchMs, () => this.#flush()),
    );
  }

  async stop(): Promise<void> {
    for (const cancel of this.#cancels) cancel();
    this.#flush();
    await this.registrar.stop();
    for (const peer of this.#peers.values()) peer.close();
  }

  /** A socket has opened. */
  opened(socket: Socket, opening: Extract<Opening, { kind: "arrive" }>): void {
    const core = new ArrivingConnection({ device: opening.device, makeDevice, decode });
    const connection = new Connection(++this.#lastNumber, socket, core, opening.arrived, this.nowMs());
    socket.getUserData().connection = connection;
    this.connections.set(connection.number, connection);
    this.perform(connection, core.start(this.nowMs(), opening.token));
  }

  message(connection: Connection, message: ArrayBuffer, isBinary: boolean): void {
    connection.activeMs = this.nowMs();
    this.perform(connection, connection.core.onMessage(message, isBinary, connection.activeMs));
  }

  pong(connection: Connection): void {
    this.#heartbeats.pong(connection);
  }

  closed(connection: Connection): void {
    connection.socket = undefined;
    this.connections.delete(connection.number);
    this.#heartbeats.remove(connection);
    this.#deadlines.clear(connection);
    this.#gaps.remove(connection);
    this.#superseded.delete(connection);
    this.sender.forget(connection);
    if (connection.isOpen) this.#open--;
    this.registrar.unregister(connection);
  }

  /** A newer connection of the device exists elsewhere: this one goes, after a while when it was asked to move. */
  supersede(connection: Connection): void {
    if (connection.move === moves.none) this.perform(connection, [{ kind: "close", name: "replaced", reason: closeCodes.replaced.reason }]);
    else if (connection.move !== moves.superseded) {
      connection.move = moves.superseded;
      this.#superseded.set(connection, this.nowMs() + limits.supersededCloseMs);
    }
  }

  find(number: number, user: string, device: string): Connection | undefined {
    const connection = this.connections.get(number);
    return connection?.core.user === user && connection.core.device === device ? connection : undefined;
  }

  perform(connection: Connection, effects: Effects): void {
    for (const effect of effects) {
      if (connection.socket === undefined) return;
      switch (effect.kind) {
        case "send":
          this.sender.control(connection, effect.frame);
          break;
        case "send_sync":
          this.#sendSync(connection, effect.frame);
          break;
        case "close":
          connection.socket.end(closeCodes[effect.name].code, effect.reason);
          return;
        case "authenticate":
          this.#authenticate(connection, effect.token, effect.via);
          break;
        case "register":
          this.registrar.register(connection);
          break;
        case "open":
          this.#opened(connection, effect.connection, effect.registered);
          break;
        case "acknowledge":
          this.#acknowledge(connection, effect);
          break;
        case "sync":
          void this.#sync(connection, effect.lastSeen, effect.page);
          break;
        case "emit":
          this.#emit(connection, effect.name, effect.data);
          break;
        case "gap":
          this.#gaps.add(connection, effect.after);
          break;
        case "deadline":
          this.#deadlines.set(connection, effect.atMs);
          break;
        default:
          assertNever(effect);
      }
    }
  }

  #sendSync(connection: Connection, frame: Uint8Array): void {
    this.sender.send(connection, { payload: frame, lane: "normal", cursor: undefined, expiresAtMs: 0, collapseKey: "" });
    if (this.sender.isFast(connection) && connection.core instanceof OpenConnection)
      this.perform(connection, connection.core.onOutboxEmpty());
  }

  #authenticate(connection: Connection, token: string, via: TokenVia): void {
    const decided = (verdict: Verdict): void => {
      if (connection.socket === undefined) return;
      if (verdict.kind === "rejected") this.#options.metrics.handshake("unauthenticated");
      this.perform(connection, connection.core.onVerdict(verdict, this.nowMs(), this.#options.clock.nowMs()));
    };
    const verdict = this.#options.authenticator.authenticate(token, via);
    if (verdict instanceof Promise) void verdict.then(decided);
    else decided(verdict);
  }

  #opened(connection: Connection, core: OpenConnection, registered: boolean): void {
    const { id, heartbeat, clock, authenticator, metrics } = this.#options;
    const { arrived } = connection;
    connection.core = core;
    connection.isOpen = true;
    connection.arrived = undefined;
    this.#open++;
    this.#heartbeats.add(connection);
    metrics.handshake("accepted");
    if (arrived?.resumed?.user === core.user && arrived.resumed.device === core.device) metrics.resumed++;
    if (arrived?.downMs !== undefined) metrics.reconnect.observe(arrived.downMs / 1000);
    const wallMs = clock.nowMs();
    const hello = helloFrame({
      connectionId: `${this.registrar.incarnation}.${connectionIdFromNumber(connection.number)}`,
      device: core.device,
      server: id,
      heartbeatMs: heartbeat.intervalMs,
      cursor: formatCursor(wallMs, 0),
      resume: formatResume(core.user, core.device, wallMs, authenticator.resumeKeys),
      registered,
    });
    this.sender.control(connection, hello);
  }

  #registered(connection: Connection, outcome: Parameters<OpenConnection["onRegistered"]>[0], lastRight: Cursor): void {
    const { core } = connection;
    if (core instanceof OpenConnection) this.perform(connection, core.onRegistered(outcome, lastRight));
    else this.perform(connection, core.onRegistered(outcome, this.nowMs(), this.#options.clock.nowMs()));
  }

  #replaced(entry: Entry & { readonly lease: Lease }, connection: Connection): void {
    const { user, device } = connection.core;
    if (user === undefined || device === undefined) return;
    if (entry.incarnation === this.registrar.incarnation) {
      const own = this.find(Number.parseInt(entry.connection, 36), user, device);
      if (own !== undefined && own !== connection) this.supersede(own);
    } else void this.#disconnect(entry, user, device, connection.fence ?? 0);
  }

  async #disconnect(entry: Entry & { readonly lease: Lease }, user: UserId, device: DeviceId, fence: number): Promise<void> {
    const request = new v1.DisconnectRequest({ user, device, connection: entry.connection, fence });
    for (let attempt = 0; attempt < limits.disconnectAttemptsMax; attempt++) {
      try {
        await callUnary(this.#peer(entry.lease.address), gatewayService.disconnect, request, limits.disconnectTimeoutMs);
        return;
      } catch (cause) {
        this.#options.logger.debug({ err: cause, gateway: entry.lease.gateway }, "a replaced connection could not be closed");
      }
    }
  }

  #peer(address: string): ReturnType<typeof createGrpcClient> {
    let peer = this.#peers.get(address);
    if (peer === undefined) {
      peer = createGrpcClient(address, this.#options.tls);
      this.#peers.set(address, peer);
    }
    return peer;
  }

  #acknowledge(connection: Connection, { notificationIds, state }: Extract<Effects[number], { kind: "acknowledge" }>): void {
    const { user, device } = connection.core;
    if (user === undefined || device === undefined) return;
    const kind = state === "read" ? v1.AckState.ACK_READ : v1.AckState.ACK_RECEIVED;
    const ack = { user, device, notificationIds: [...notificationIds], state: kind, atMs: this.#options.clock.nowMs() };
    if (this.#acks.add(ack, notificationIds.length) === "full") this.#busy(connection);
  }

  #emit(connection: Connection, name: string, data: string): void {
    const { user, device } = connection.core;
    if (user === undefined || device === undefined) return;
    const event = { user, device, name, data: Buffer.from(data), atMs: this.#options.clock.nowMs() };
    if (this.#events.add(event, 1) === "full") this.#busy(connection);
  }

  #busy(connection: Connection): void {
    const error = { type: "error", code: "store_unavailable", message: "no router answers", retry_after_ms: limits.syncRetryMs };
    this.sender.control(connection, JSON.stringify(error));
  }

  async #sync(connection: Connection, lastSeen: string, page: string): Promise<void> {
    const { user, device } = connection.core;
    if (user === undefined || device === undefined) return;
    const linked = await this.#options.router.sync({ user, device, lastSeen, page });
    const { core } = connection;
    if (connection.socket === undefined || !(core instanceof OpenConnection)) return;
    if (linked.kind !== "ok") return this.perform(connection, core.onSynced(linked.kind === "refused" ? linked : { kind: "unavailable" }));
    const { frame, hasMore, nextPage } = linked.reply;
    this.perform(
      connection,
      core.onSynced({ kind: "page", frame: frame ?? new Uint8Array(), hasMore: hasMore ?? false, nextPage: nextPage ?? "" }),
    );
  }

  #flush(): void {
    while (this.#acks.size > 0)
      void this.#call(this.#acks.take(limits.batchItemsMax), (acks) => this.#options.router.acknowledge({ acks: [...acks] }));
    while (this.#events.size > 0)
      void this.#call(this.#events.take(limits.batchItemsMax), (events) => this.#options.router.emit({ events: [...events] }));
  }

  /** Again and again with a growing pause, a bounded number of times: a client's ack is sent again by nobody else. */
  async #call<Item>(items: readonly Item[], call: (items: readonly Item[]) => Promise<{ readonly kind: string }>): Promise<void> {
    for (let pauseMs: number = limits.batchRetryMinMs; pauseMs <= limits.batchRetryMaxMs * 2; pauseMs *= 2) {
      if ((await call(items)).kind === "ok") return;
      await new Promise<void>((resolve) => this.#options.clock.after(pauseMs, resolve));
    }
    this.#options.logger.error({ count: items.length }, "no router took what clients sent, it is given up");
  }

  #tick(): void {
    const nowMs = this.nowMs();
    this.#deadlines.tick(nowMs, (connection) => {
      const { core } = connection;
      const effects = core instanceof OpenConnection ? core.onDeadline(nowMs) : core.onDeadline(nowMs, this.#options.clock.nowMs());
      this.perform(connection, effects);
    });
    this.#gaps.take(nowMs, (connection, after) => this.sender.control(connection, gapFrame(after)));
    for (const [connection, dueMs] of this.#superseded) {
      if (dueMs > nowMs) break;
      this.#superseded.delete(connection);
      connection.socket?.end(closeCodes.goingAway.code, closeCodes.goingAway.reason);
    }
  }
}
