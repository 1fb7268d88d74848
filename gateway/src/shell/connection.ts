import type { WebSocket } from "uWebSockets.js";
import type { DeviceId, UserId } from "@pushfleet/protocol";
import type { ArrivingConnection } from "../core/arriving-connection.js";
import { noDeadline, type Timed } from "../core/deadline-wheel.js";
import { type Beating, idleBeat } from "../core/heartbeat-wheel.js";
import type { OpenConnection } from "../core/open-connection.js";
import type { Outbox } from "../core/outbox.js";

/** What hangs on a socket. `undefined` for one that is refused: it is closed at once and never becomes a connection. */
export interface SocketData {
  connection: Connection | undefined;
}

export type Socket = WebSocket<SocketData>;

/** What the socket is given: text of our own frames, bytes of a router's. */
export type Payload = string | Uint8Array;

/** How far a connection's move to another gateway has come. */
export const moves = {
  /** Not asked yet. */
  none: 0,
  /** Sent `reconnect`. */
  asked: 1,
  /** Its grace is over and no newer connection of the device is known: closed with 1012 when the drain allows. */
  straggler: 2,
  /** A newer connection of the device exists: closed with 1001 a little later. */
  superseded: 3,
} as const;
export type Move = (typeof moves)[keyof typeof moves];

/** What a handshake said, needed until hello. */
export interface Arrived {
  readonly resumed: { readonly user: UserId; readonly device: DeviceId } | undefined;
  /** How long the client was without a connection, as it says. */
  readonly downMs: number | undefined;
}

/** One socket and what the shell keeps on it. There are very many: no closures, no timers, no maps here, and small integers where a number
 *  will do (V8 boxes the others). Times are whole ms since the worker's start. */
export class Connection implements Beating, Timed {
  readonly number: number;
  /** `undefined` once it is closed. */
  socket: Socket | undefined;
  core: ArrivingConnection | OpenConnection;
  arrived: Arrived | undefined;
  /** Only while the socket is slow. */
  outbox: Outbox<Payload> | undefined = undefined;
  /** The socket holds bytes that the network has not taken. */
  isPressed = false;
  /** Hello was sent: it counts, it is delivered to. */
  isOpen = false;

  readonly openedMs: number;
  activeMs: number;
  /** When the grace it was told with `reconnect` is over. */
  graceEndMs = 0;
  move: Move = moves.none;

  /** As the registry gave it. */
  fence: number | undefined = undefined;
  /** A registration is under way. */
  isRegistering = false;
  /** Another one was asked for meanwhile. */
  registersAgain = false;
  /** Pass of re-registration that last confirmed it; −1: none. */
  pass = -1;
  /** Which of the worker's incarnations its entry names; −1: none. */
  generation = -1;
  /** When its entry was last seen right. */
  rightMs = 0;

  /** Index of its latest frame in the batch being delivered; −1: none. */
  batchAt = -1;

  beatSlot = idleBeat.beatSlot;
  beatPosition = idleBeat.beatPosition;
  pongTurn = idleBeat.pongTurn;
  deadlineSlot = noDeadline.deadlineSlot;
  deadlinePosition = noDeadline.deadlinePosition;
  deadlineTurn = noDeadline.deadlineTurn;

  constructor(number: number, socket: Socket, core: ArrivingConnection, arrived: Arrived | undefined, nowMs: number) {
    this.number = number;
    this.socket = socket;
    this.core = core;
    this.arrived = arrived;
    this.openedMs = nowMs;
    this.activeMs = nowMs;
  }
}

/** The number behind a connection id (base 36); −1 for what is none. */
export function connectionNumber(id: string): number {
  if (id.length === 0 || id.length > 11) return -1;
  let number = 0;
  for (let i = 0; i < id.length; i++) {
    const unit = id.charCodeAt(i);
    const digit = unit >= 48 && unit <= 57 ? unit - 48 : unit >= 97 && unit <= 122 ? unit - 87 : -1;
    if (digit < 0) return -1;
    number = number * 36 + digit;
  }
  return number;
}
