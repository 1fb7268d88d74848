import type { CloseName, Cursor } from "@pushfleet/protocol";
import type { Registry } from "@pushfleet/registry";
import type { Clock, Logger, RouterLink, Tls } from "@pushfleet/service";
import type { RegistrationOutcome, SyncOutcome } from "../core/connection.js";
import type { HeartbeatRules } from "../core/heartbeat-wheel.js";
import type { Authenticator } from "./authenticator.js";
import type { Connection } from "./connection.js";
import type { ConnectionTable } from "./connection-table.js";
import { Deliveries } from "./deliveries.js";
import { Drainer } from "./drainer.js";
import { WorkerLease } from "./lease.js";
import type { Metrics } from "./metrics.js";
import { Peers } from "./peers.js";
import { Receipts } from "./receipts.js";
import { Registrations, type Replaced } from "./registrations.js";
import { RouterBatches } from "./router-batches.js";
import { SocketWriter } from "./socket-writer.js";
import { Syncs } from "./syncs.js";

export interface WorkerOptions {
  /** Its name to clients and routers (`hello.server`, the lease). */
  readonly gateway: string;
  readonly zone: string;
  /** "host:port" of its gRPC server. */
  readonly grpcAddress: () => string;
  readonly grpcTls: Tls | undefined;
  readonly heartbeat: HeartbeatRules;
  readonly authenticator: Authenticator;
  readonly registry: Registry;
  readonly router: RouterLink;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly table: ConnectionTable;
  /** Whole ms since the worker's start, monotonic: the clock of everything kept on a connection. */
  readonly nowMs: () => number;
}

/** What the parts tell the worker, and ask of it. */
export interface WorkerHandlers {
  readonly onOutboxEmpty: (connection: Connection) => void;
  readonly onSlow: (connection: Connection) => void;
  readonly onRegistered: (connection: Connection, outcome: RegistrationOutcome, lastRight: Cursor) => void;
  readonly onReplaced: (replaced: Replaced, connection: Connection) => void;
  readonly onResync: (after: Cursor) => void;
  readonly onSynced: (connection: Connection, outcome: SyncOutcome) => void;
  readonly send: (connection: Connection, frame: string) => void;
  readonly close: (connection: Connection, name: CloseName, reason?: string) => void;
}

export interface WorkerParts {
  readonly table: ConnectionTable;
  readonly writer: SocketWriter;
  readonly lease: WorkerLease;
  readonly registrations: Registrations;
  readonly receipts: Receipts;
  readonly deliveries: Deliveries;
  readonly drainer: Drainer;
  readonly batches: RouterBatches;
  readonly syncs: Syncs;
  readonly peers: Peers;
}

/** Puts a worker's parts together; nothing runs yet. */
export function createWorkerParts(options: WorkerOptions, handlers: WorkerHandlers): WorkerParts {
  const { clock, logger, metrics, nowMs, registry, router, table } = options;
  const writer = new SocketWriter(clock, handlers.onOutboxEmpty);
  const receipts = new Receipts((seconds) => metrics.receipt.observe(seconds));
  const lease = new WorkerLease(
    { registry, clock, logger, gateway: options.gateway, zone: options.zone, address: options.grpcAddress },
    { onHeld: () => registrations.registerAll(), onResync: handlers.onResync },
  );
  const registrations: Registrations = new Registrations(
    { registry, lease, clock, connections: table.byNumber, nowMs },
    { onOutcome: handlers.onRegistered, onReplaced: handlers.onReplaced },
  );
  return {
    table,
    writer,
    lease,
    registrations,
    receipts,
    deliveries: new Deliveries({ connections: table.byNumber, writer, metrics, receipts, clock, nowMs, onSlow: handlers.onSlow }),
    drainer: new Drainer({ table, metrics, clock, logger, nowMs, send: handlers.send, close: handlers.close }),
    batches: new RouterBatches({ router, clock, logger }),
    syncs: new Syncs(router, handlers.onSynced),
    peers: new Peers({ tls: options.grpcTls, clock, logger }),
  };
}
