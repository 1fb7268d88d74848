import { type Cursor, limits, parseCursor, parseNotificationId, type UserId } from "@pushfleet/protocol";
import type { Position } from "./position.js";

/** Where a sync goes on after a page. `since`: everything after the client's `last_seen`, and the ids read since. `unread`: it had none, and
 *  gets the newest unread. `floor`: the cursor that the client may save anyway. */
export type Walk =
  | { readonly kind: "since"; readonly floor: Cursor; readonly notificationsAfter: Position; readonly readsAfter: Position }
  | { readonly kind: "unread"; readonly floor: Cursor; readonly notificationsAfter: Position };

const version = "p1";
/** No cursor and no id contains it. */
const separator = "/";

/** `next_page` of a sync reply: any router can go on from it, none keeps a state for it. The checksum covers the user too: it finds tokens
 *  that were damaged or mixed up. It is no signature, for it needs none: whoever could forge one may read that user's stream anyway. */
export function formatPageToken(user: UserId, walk: Walk): string {
  const reads = walk.kind === "since" ? walk.readsAfter : undefined;
  const { notificationsAfter: notifications } = walk;
  const fields = [version, walk.kind, walk.floor, notifications.cursor, notifications.notificationId];
  fields.push(reads?.cursor ?? "", reads?.notificationId ?? "");
  const body = fields.join(separator);
  return `${body}${separator}${checksum(user, body)}`;
}

/** Undefined when `token` is not one that `formatPageToken` made for `user`. Never throws. */
export function parsePageToken(user: UserId, token: string): Walk | undefined {
  if (token.length > limits.syncPageTokenBytesMax) return undefined;
  const end = token.lastIndexOf(separator);
  if (end < 0 || token.slice(end + 1) !== checksum(user, token.slice(0, end))) return undefined;
  const [tokenVersion, kind, floorText, cursor, id, readsCursor, readsId, ...rest] = token.slice(0, end).split(separator);
  const floor = parseCursor(floorText);
  const notificationsAfter = parsePosition(cursor, id);
  if (tokenVersion !== version || rest.length > 0 || floor === undefined || notificationsAfter === undefined) return undefined;
  if (kind === "unread") return readsCursor === "" && readsId === "" ? { kind, floor, notificationsAfter } : undefined;
  const readsAfter = parsePosition(readsCursor, readsId);
  return kind === "since" && readsAfter !== undefined ? { kind, floor, notificationsAfter, readsAfter } : undefined;
}

function parsePosition(cursorText: string | undefined, idText: string | undefined): Position | undefined {
  const cursor = parseCursor(cursorText);
  const notificationId = idText === "" ? "" : parseNotificationId(idText);
  return cursor === undefined || notificationId === undefined ? undefined : { cursor, notificationId };
}

/** FNV-1a, 32 bits, over ASCII: it always finds one changed character. Source: draft-eastlake-fnv. */
function checksum(user: UserId, body: string): string {
  let hash = 0x811c9dc5;
  for (const text of [user, separator, body]) {
    for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return (hash >>> 0).toString(16).padStart(8, "0");
}
