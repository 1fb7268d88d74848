import { formatCursor } from "@pushfleet/protocol";
import { expect, test } from "vitest";
import { createStamp } from "./stamp.js";

test("a router's cursors rise, also while its clock stands still or goes back", () => {
  const times = [1000, 1000, 400, 1000, 2000];
  const stamp = createStamp(() => times.shift() ?? 0);
  expect([stamp(), stamp(), stamp(), stamp(), stamp()]).toEqual([
    formatCursor(1000, 0),
    formatCursor(1000, 1),
    formatCursor(1000, 2),
    formatCursor(1000, 3),
    formatCursor(2000, 0),
  ]);
});
