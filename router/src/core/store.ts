import { type Cursor, cursorMs, type NotificationId, type UserId } from "@pushfleet/protocol";
import type { Position } from "./position.js";

/** One notification of one user, to be stored. */
export interface StoreRecord {
  readonly user: UserId;
  readonly notificationId: NotificationId;
  /** Stamped (`core/stamp.ts`) for this very attempt: an attempt that fails is stamped anew. See `limits.syncOverlapMs`. */
  readonly cursor: Cursor;
  /** JSON text as published, at most `limits.dataBytesMax` bytes; comes back byte for byte. */
  readonly data: string;
  /** The publisher's `created_at`, ms since the epoch. */
  readonly createdAtMs: number | undefined;
  /** From `expiresAtMs`; undefined: never. An append again carries the expiry of the first. */
  readonly expiresAtMs: number | undefined;
}

/** `stored`: every later read sees it; `read`: it was marked read already, on a device that had it before or of an append before this one.
 *  `failed`: this record will never be stored, asking again will not help (dead-letter topic).
 *  `unavailable`: it may or may not have been stored; append again under a new cursor. */
export type Appended =
  | { readonly kind: "stored"; readonly read: boolean }
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "unavailable"; readonly cause: Error };

/** `unavailable`: it may or may not have been stored; mark again under a new cursor. */
export type MarkedRead = { readonly kind: "marked" } | { readonly kind: "unavailable"; readonly cause: Error };

export interface ReadMark {
  readonly user: UserId;
  /** At most `limits.ackIdsMax`. */
  readonly notificationIds: readonly NotificationId[];
  /** Stamped for this attempt, like that of an append. */
  readonly cursor: Cursor;
}

export interface StoredNotification {
  readonly notificationId: NotificationId;
  readonly cursor: Cursor;
  readonly data: string;
  readonly createdAtMs: number | undefined;
  /** Marked read at any time, before its append included. */
  readonly read: boolean;
}

/** A read mark: the cursor is that of the marking, not of the notification. */
export interface StoredRead {
  readonly notificationId: NotificationId;
  readonly cursor: Cursor;
}

export interface PageRequest {
  readonly user: UserId;
  /** Notifications strictly after this position … */
  readonly notificationsAfter: Position;
  /** … at most so many, … */
  readonly notificationsMax: number;
  /** … whose `data` is at most so many bytes together; one is given though it alone is bigger. */
  readonly dataBytesMax: number;
  /** Read marks strictly after this position, at most so many. Undefined: none are wanted. */
  readonly readsAfter: Position | undefined;
  readonly readsMax: number;
}

/** A part of a stream, in order. Nothing that was stored when it was read lies between what was asked and `covered` but is not in it. */
export interface Part<Item> {
  readonly items: readonly Item[];
  /** From where to go on: the last item, or beyond it where expired ones were passed over; what was asked when there is nothing more. */
  readonly covered: Position;
  /** Something may follow `covered`. False is certain. */
  readonly more: boolean;
}

export type PageRead =
  | { readonly kind: "page"; readonly notifications: Part<StoredNotification>; readonly reads: Part<StoredRead> }
  | { readonly kind: "unavailable"; readonly cause: Error };

/** `notifications`: in cursor order. `newest`: the highest cursor stored for this user, of a notification or a read mark; undefined when
 *  nothing is. */
export type NewestUnread =
  | { readonly kind: "newest"; readonly notifications: readonly StoredNotification[]; readonly newest: Cursor | undefined }
  | { readonly kind: "unavailable"; readonly cause: Error };

/** The notifications of each user, in the order of (cursor, notification id), and which of them were read (DESIGN §5).
 *
 *  - A (user, notification id) is stored once. Appended again, it moves to the newer cursor with what the newer record says; a record
 *    older than what is stored changes nothing (a slow attempt overtaken by its repetition) and counts as stored. Its read mark stays.
 *  - A read mark of an id never appended is remembered and applied when that is appended. A mark repeated moves to the newer cursor.
 *  - A record whose `expiresAtMs` has passed is in no read.
 *  - Bounds: the newest `limits.storedNotificationsPerUserMax` notifications and `limits.storedReadsPerUserMax` read marks of a user;
 *    the oldest go first. A notification keeps that it was read longer than the mark keeps its place among `reads`.
 *  - A read sees every append that was answered `stored`, and every mark answered `marked`, before it began, through any router.
 *
 *  Nothing here throws for a store that is away: that is an outcome. `runStoreContract` holds every implementation to this. */
export interface Store {
  /** Checks what must hold before use. Rejects with what would be right. */
  start(): Promise<void>;
  /** One outcome for each of `records`, in order; records of one user keep their order. One round trip where the store can. */
  append(records: readonly StoreRecord[]): Promise<readonly Appended[]>;
  markRead(mark: ReadMark): Promise<MarkedRead>;
  readPage(request: PageRequest): Promise<PageRead>;
  /** The newest `max` notifications that are neither read nor expired. */
  readNewestUnread(user: UserId, max: number): Promise<NewestUnread>;
  stop(): Promise<void>;
}

/** When a notification ends: `ttlMs` after it was created, or after its first append when the publisher did not say. Undefined: never. */
export function expiresAtMs(notification: {
  readonly createdAtMs: number | undefined;
  readonly ttlMs: number | undefined;
  readonly firstAppend: Cursor;
}): number | undefined {
  if (notification.ttlMs === undefined) return undefined;
  return (notification.createdAtMs ?? cursorMs(notification.firstAppend)) + notification.ttlMs;
}
