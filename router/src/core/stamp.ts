import { type Cursor, nextCursor } from "@pushfleet/protocol";

/** Gives the next cursor of this router, above all it gave before. */
export type Stamp = () => Cursor;

/** One router has one, for appends and read marks alike. `nowMs` is the wall clock, ms since the epoch. */
export function createStamp(nowMs: () => number): Stamp {
  let last: Cursor | undefined;
  return () => {
    last = nextCursor(last, nowMs());
    return last;
  };
}
