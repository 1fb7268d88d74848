import {
  assertNever,
  type Cursor,
  cursorMs,
  earlierCursor,
  formatCursor,
  laterCursor,
  limits,
  type NotificationId,
  parseLastSeen,
  syncBatchFrame,
  syncNotification,
  type UserId,
  utf8Bytes,
} from "@pushfleet/protocol";
import type { Position } from "./position.js";
import type { NewestUnread, PageRead, PageRequest, Part, StoredNotification } from "./store.js";
import { formatPageToken, parsePageToken, type Walk } from "./sync-token.js";

/** What to read for a page of a sync: the newest unread, or what follows in `walk`. */
export type SyncPlan =
  | { readonly kind: "newest" }
  | { readonly kind: "page"; readonly walk: Walk }
  | { readonly kind: "bad_cursor"; readonly message: string };

/** A complete `sync_batch` frame and how to go on. `nextPage` is "" when `hasMore` is false. */
export interface SyncPage {
  readonly frame: string;
  readonly hasMore: boolean;
  readonly nextPage: string;
  /** The frame's: everything that the client has not been sent is after `cursor` − `limits.syncOverlapMs`. */
  readonly cursor: Cursor;
}

/** The envelope of a frame: member names, braces, its cursor. */
const envelopeBytes = 256;
const frameRoomBytes = limits.syncFrameBytesMax - envelopeBytes;

/** `lastSeen` and `page` as in `SyncRequest`: "" for absent; a page wins. `now` is a cursor just stamped by this router. */
export function planSync(request: {
  readonly user: UserId;
  readonly lastSeen: string;
  readonly page: string;
  readonly now: Cursor;
}): SyncPlan {
  if (request.page !== "") {
    const walk = parsePageToken(request.user, request.page);
    return walk === undefined ? { kind: "bad_cursor", message: "page: not a page of this user's sync" } : { kind: "page", walk };
  }
  if (request.lastSeen === "") return { kind: "newest" };
  const lastSeen = parseLastSeen(request.lastSeen);
  if (lastSeen === undefined) return { kind: "bad_cursor", message: "last_seen: expected a cursor, ISO 8601 or ms" };
  return planSince(lastSeen, request.now);
}

/** A cursor of the future would pass over all that comes until then. Up to the overlap nothing is lost by it, so that a client's clock may
 *  be a little fast; it is then told the present one to save. */
function planSince(lastSeen: Cursor, now: Cursor): SyncPlan {
  if (cursorMs(lastSeen) > cursorMs(now) + limits.syncOverlapMs) {
    return { kind: "bad_cursor", message: `last_seen: lies more than ${limits.syncOverlapMs} ms in the future` };
  }
  const floor = lastSeen < now ? lastSeen : now;
  const from: Position = { cursor: formatCursor(Math.max(0, cursorMs(floor) - limits.syncOverlapMs), 0), notificationId: "" };
  return { kind: "page", walk: { kind: "since", floor, notificationsAfter: from, readsAfter: from } };
}

export function pageRequest(user: UserId, walk: Walk): PageRequest {
  return {
    user,
    notificationsAfter: walk.notificationsAfter,
    notificationsMax: limits.syncNotificationsPerFrameMax,
    dataBytesMax: frameRoomBytes,
    readsAfter: walk.kind === "since" ? walk.readsAfter : undefined,
    readsMax: limits.syncReadsPerFrameMax,
  };
}

/** The page after `walk`. Its cursor is what both streams, notifications and read marks, are covered up to: a client that is cut off after
 *  this page starts from there. */
export function buildPage(user: UserId, walk: Walk, read: Extract<PageRead, { kind: "page" }>): SyncPage {
  switch (walk.kind) {
    case "since":
      return buildSince(user, walk, read);
    case "unread":
      return buildUnread(user, walk, read.notifications);
    default:
      return assertNever(walk);
  }
}

function buildSince(user: UserId, walk: Extract<Walk, { kind: "since" }>, read: Extract<PageRead, { kind: "page" }>): SyncPage {
  const reads = read.reads.items.map((mark) => mark.notificationId);
  // All marks fit with room for the biggest notification to spare (a test holds that sum), so that both streams move on each page.
  const taken = takeFitting(read.notifications, frameRoomBytes - readsBytes(reads));
  const cursor = laterCursor(walk.floor, coveredCursor(taken, read.reads));
  const next: Walk = { ...walk, notificationsAfter: taken.covered, readsAfter: read.reads.covered };
  return finishPage(user, { texts: taken.texts, reads, hasMore: taken.more || read.reads.more, cursor, next });
}

/** Up to where both streams are covered: the one that is at its end holds nothing back. */
function coveredCursor(notifications: Progress, reads: Progress): Cursor {
  const [a, b] = [notifications.covered.cursor, reads.covered.cursor];
  if (notifications.more === reads.more) return notifications.more ? earlierCursor(a, b) : laterCursor(a, b);
  return notifications.more ? a : b;
}

/** What did not fit beside the first of the newest unread, and what has come since. Read ones in between were not asked for. */
function buildUnread(user: UserId, walk: Extract<Walk, { kind: "unread" }>, part: Part<StoredNotification>): SyncPage {
  const unread = { ...part, items: part.items.filter((notification) => !notification.read) };
  const taken = takeFitting(unread, frameRoomBytes);
  const cursor = laterCursor(walk.floor, taken.covered.cursor);
  const next: Walk = { ...walk, notificationsAfter: taken.covered };
  return finishPage(user, { texts: taken.texts, reads: [], hasMore: taken.more, cursor, next });
}

/** The first page without `last_seen`: the newest unread in cursor order, one page unless they are too big for one. `now` is what a client
 *  of an empty stream saves. */
export function buildNewest(user: UserId, read: Extract<NewestUnread, { kind: "newest" }>, now: Cursor): SyncPage {
  const last = read.notifications.at(-1);
  const taken = takeFitting(
    { items: read.notifications, covered: last ?? { cursor: now, notificationId: "" }, more: false },
    frameRoomBytes,
  );
  const cursor = taken.more ? taken.covered.cursor : (read.newest ?? now);
  return finishPage(user, {
    texts: taken.texts,
    reads: [],
    hasMore: taken.more,
    cursor,
    next: { kind: "unread", floor: cursor, notificationsAfter: taken.covered },
  });
}

type Progress = Pick<Part<unknown>, "covered" | "more">;

interface Taken extends Progress {
  readonly texts: readonly string[];
}

/** The first of `part` that fit into `roomBytes`, at least one. */
function takeFitting(part: Part<StoredNotification>, roomBytes: number): Taken {
  const texts: string[] = [];
  let usedBytes = 0;
  let covered: Position | undefined;
  for (const notification of part.items) {
    const text = syncNotification(notification);
    usedBytes += utf8Bytes(text) + 1;
    if (covered !== undefined && usedBytes > roomBytes) return { texts, covered, more: true };
    texts.push(text);
    covered = { cursor: notification.cursor, notificationId: notification.notificationId };
  }
  return { texts, covered: part.covered, more: part.more };
}

interface PageParts {
  readonly texts: readonly string[];
  readonly reads: readonly NotificationId[];
  readonly hasMore: boolean;
  readonly cursor: Cursor;
  readonly next: Walk;
}

function finishPage(user: UserId, { texts, reads, hasMore, cursor, next }: PageParts): SyncPage {
  const frame = syncBatchFrame({ notifications: texts, reads, hasMore, cursor });
  return { frame, hasMore, cursor, nextPage: hasMore ? formatPageToken(user, next) : "" };
}

/** As they stand in the frame: quotes and a comma each. */
function readsBytes(reads: readonly NotificationId[]): number {
  let bytes = 0;
  for (const id of reads) bytes += id.length + 3;
  return bytes;
}
