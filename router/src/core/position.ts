import { type Cursor, formatCursor, type NotificationId } from "@pushfleet/protocol";

/** A place in a user's stream. Two routers may stamp one cursor in the same millisecond: the id tells such two apart. */
export interface Position {
  readonly cursor: Cursor;
  /** "" stands before every id of this cursor. */
  readonly notificationId: NotificationId | "";
}

/** Before everything. */
export const streamStart: Position = { cursor: formatCursor(0, 0), notificationId: "" };

/** Negative when `a` stands before `b`; 0 when they are the same place. */
export function comparePositions(a: Position, b: Position): number {
  if (a.cursor !== b.cursor) return a.cursor < b.cursor ? -1 : 1;
  if (a.notificationId === b.notificationId) return 0;
  return a.notificationId < b.notificationId ? -1 : 1;
}
