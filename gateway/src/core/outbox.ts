import type { Cursor, Priority } from "@pushfleet/protocol";

/** `control` frames (pong, reconnect, error, auth_expiring) go before the rest. */
export type OutboxLane = "control" | Priority;

/** A frame that waits for its socket. `Payload` is what the socket is given, untouched. */
export interface OutboxFrame<Payload> {
  readonly payload: Payload;
  /** Of the payload in UTF-8. */
  readonly bytes: number;
  readonly lane: OutboxLane;
  /** Of a notification: it may be dropped, and the client is then sent `gap`. `undefined`: the frame is kept whatever happens
   *  (`sync_batch`, `mark_read`, everything we say ourselves). */
  readonly cursor: Cursor | undefined;
  /** ms, on the clock of `nowMs`; 0: never. An expired notification is left out, without `gap`. */
  readonly expiresAtMs: number;
  /** A later notification with the same key takes the place of one that still waits; "": none. */
  readonly collapseKey: string;
}

/** `queued`: counts as written. `overflow`: this notification was dropped; the outbox will give `gap`. `slow_consumer`: nothing was queued,
 *  close with 4410. */
export type Enqueued = "queued" | "overflow" | "slow_consumer";

export type NextFrame<Payload> =
  | { readonly kind: "frame"; readonly payload: Payload }
  /** Send `gapFrame(after)`: notifications from just behind `after` on were dropped. */
  | { readonly kind: "gap"; readonly after: Cursor }
  | { readonly kind: "empty" };

export interface OutboxLimits {
  /** Notifications are dropped to stay within these two. */
  readonly bytesMax: number;
  readonly framesMax: number;
  /** Frames that are kept may go up to this; beyond it the connection is closed. */
  readonly bytesHard: number;
  readonly stayMs: number;
}

export declare class Outbox<Payload> {
  constructor(bounds: OutboxLimits);
  get bytes(): number;
  get frames(): number;
  /** Nothing waits, no gap either: the object can go. */
  get isEmpty(): boolean;
  enqueue(frame: OutboxFrame<Payload>, nowMs: number): Enqueued;
  /** Takes out what the socket is given next. */
  next(nowMs: number): NextFrame<Payload>;
  /** True when a frame has waited for `stayMs`: close with 4410. */
  isOverdue(nowMs: number): boolean;
}
