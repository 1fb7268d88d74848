declare const brand: unique symbol;
/** `c1_<13-digit ms>_<6-digit sequence>`: a place in a user's stream, by append time. Opaque to clients; compares as text. */
export type Cursor = string & { readonly [brand]: "Cursor" };

const cursorPattern = /^c1_(\d{13})_(\d{6})$/;
const msMax = 9_999_999_999_999;
const sequenceMax = 999_999;

export function formatCursor(ms: number, sequence: number): Cursor {
  return `c1_${String(ms).padStart(13, "0")}_${String(sequence).padStart(6, "0")}` as Cursor;
}

export function parseCursor(value: unknown): Cursor | undefined {
  return typeof value === "string" && cursorPattern.test(value) ? (value as Cursor) : undefined;
}

/** Append time of `cursor` in ms since the epoch. */
export function cursorMs(cursor: Cursor): number {
  return Number(cursor.slice(3, 16));
}

/** The greatest cursor below `cursor`; the first of all stays itself. */
export function cursorBefore(cursor: Cursor): Cursor {
  const ms = cursorMs(cursor);
  const sequence = Number(cursor.slice(17));
  if (sequence > 0) return formatCursor(ms, sequence - 1);
  return ms > 0 ? formatCursor(ms - 1, sequenceMax) : cursor;
}

/** The next cursor of one router: strictly above `previous`, at `nowMs` unless the clock stands still or went back. */
export function nextCursor(previous: Cursor | undefined, nowMs: number): Cursor {
  const now = Math.min(Math.max(Math.floor(nowMs), 0), msMax);
  if (previous === undefined || cursorMs(previous) < now) return formatCursor(now, 0);
  const sequence = Number(previous.slice(17));
  const ms = cursorMs(previous);
  return sequence < sequenceMax ? formatCursor(ms, sequence + 1) : formatCursor(ms + 1, 0);
}

export function laterCursor(a: Cursor, b: Cursor): Cursor {
  return a >= b ? a : b;
}

export function earlierCursor(a: Cursor, b: Cursor): Cursor {
  return a < b ? a : b;
}

const isoPattern = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?$/;

/** Reads `last_seen`: a cursor, ISO 8601 text, or ms since the epoch (number or digits). `undefined`: none of them (`bad_cursor`). */
export function parseLastSeen(value: unknown): Cursor | undefined {
  const cursor = parseCursor(value);
  if (cursor !== undefined) return cursor;
  if (typeof value === "number") return cursorFromMs(value);
  if (typeof value !== "string") return undefined;
  if (/^\d{1,13}$/.test(value)) return cursorFromMs(Number(value));
  return isoPattern.test(value) ? cursorFromMs(Date.parse(value)) : undefined;
}

function cursorFromMs(ms: number): Cursor | undefined {
  return Number.isFinite(ms) && ms >= 0 && ms <= msMax ? formatCursor(Math.floor(ms), 0) : undefined;
}
