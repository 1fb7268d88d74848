import type { Cursor } from "./cursor.js";
import type { DeviceId, NotificationId } from "./ids.js";

/** Codes of `error` frames and of HTTP error bodies. */
export type ErrorCode =
  | "bad_cursor"
  | "rate_limited"
  | "store_unavailable"
  | "busy"
  | "bad_frame"
  | "unauthenticated"
  | "forbidden"
  | "not_found"
  | "not_implemented";

export interface Hello {
  readonly connectionId: string;
  readonly device: DeviceId;
  readonly server: string;
  readonly heartbeatMs: number;
  readonly cursor: Cursor;
  readonly resume: string;
  readonly registered: boolean;
}

export function helloFrame(hello: Hello): string {
  return JSON.stringify({
    type: "hello",
    connection_id: hello.connectionId,
    device: hello.device,
    server: hello.server,
    heartbeat_ms: hello.heartbeatMs,
    cursor: hello.cursor,
    resume: hello.resume,
    registered: hello.registered,
  });
}

export interface NotificationFields {
  readonly notificationId: NotificationId;
  readonly cursor: Cursor;
  /** JSON text, put into the frame as it is. */
  readonly data: string;
  readonly createdAtMs?: number | undefined;
  readonly read?: boolean | undefined;
}

function notificationMembers(fields: NotificationFields): string {
  const createdAt = fields.createdAtMs === undefined ? "" : `,"created_at":${fields.createdAtMs}`;
  const read = fields.read === true ? ',"read":true' : "";
  return `"notification_id":"${fields.notificationId}","cursor":"${fields.cursor}"${createdAt}${read},"data":${fields.data}`;
}

export function notificationFrame(fields: NotificationFields): string {
  return `{"type":"notification",${notificationMembers(fields)}}`;
}

/** One element of `sync_batch.notifications`. */
export function syncNotification(fields: NotificationFields): string {
  return `{${notificationMembers(fields)}}`;
}

/** `notifications` are texts made by `syncNotification`, in cursor order. */
export function syncBatchFrame(batch: {
  readonly notifications: readonly string[];
  readonly reads: readonly NotificationId[];
  readonly hasMore: boolean;
  readonly cursor: Cursor;
}): string {
  const notifications = batch.notifications.join(",");
  const rest = `"reads":${JSON.stringify(batch.reads)},"has_more":${batch.hasMore},"cursor":"${batch.cursor}"`;
  return `{"type":"sync_batch","notifications":[${notifications}],${rest}}`;
}

export function markReadFrame(notificationIds: readonly NotificationId[], cursor: Cursor): string {
  return JSON.stringify({ type: "mark_read", notification_ids: notificationIds, cursor });
}

/** `afterMs`: the server closes the connection then, whether the client has moved or not. */
export function reconnectFrame(afterMs: number, reason: string): string {
  return JSON.stringify({ type: "reconnect", after_ms: Math.max(0, Math.round(afterMs)), reason });
}

export function gapFrame(after: Cursor): string {
  return `{"type":"gap","after":"${after}"}`;
}

export function authExpiringFrame(expiresInMs: number): string {
  return `{"type":"auth_expiring","expires_in_ms":${Math.max(0, Math.round(expiresInMs))}}`;
}

export const pongFrame = '{"type":"pong"}';

export interface ErrorFields {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryAfterMs?: number | undefined;
}

export function errorFrame(error: ErrorFields): string {
  return JSON.stringify({ type: "error", ...errorMembers(error) });
}

/** Body of every HTTP refusal: `{"error":{"code","message","retry_after_ms"?}}`. */
export function errorBody(error: ErrorFields): string {
  return JSON.stringify({ error: errorMembers(error) });
}

function errorMembers(error: ErrorFields): Record<string, unknown> {
  const members: Record<string, unknown> = { code: error.code, message: error.message };
  if (error.retryAfterMs !== undefined) members["retry_after_ms"] = Math.max(0, Math.round(error.retryAfterMs));
  return members;
}
