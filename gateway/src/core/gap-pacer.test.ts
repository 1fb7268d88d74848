import { type Cursor, formatCursor } from "@pushfleet/protocol";
import { expect, test } from "vitest";
import { GapPacer } from "./gap-pacer.js";

const cursor = (ms: number) => formatCursor(ms, 0);

test("sends each connection one gap, the earliest it was given, in order and at the rate", () => {
  const pacer = new GapPacer<string>(10, 0);
  for (let i = 0; i < 30; i++) pacer.add(`c${i}`, cursor(500 + i));
  pacer.add("c3", cursor(100));
  pacer.add("c4", cursor(900));
  pacer.remove("c5");
  const sent: [string, Cursor][] = [];
  for (let nowMs = 100; nowMs <= 3000; nowMs += 100) {
    pacer.take(nowMs, (connection, after) => sent.push([connection, after]));
    expect(sent.length).toBeLessThanOrEqual(nowMs / 100);
  }
  expect(sent.length).toBe(29);
  expect(sent.slice(0, 5)).toEqual([
    ["c0", cursor(500)],
    ["c1", cursor(501)],
    ["c2", cursor(502)],
    ["c3", cursor(100)],
    ["c4", cursor(504)],
  ]);
  expect(pacer.size).toBe(0);
});

test("a pause saves up no more than a second", () => {
  const pacer = new GapPacer<number>(10, 0);
  for (let i = 0; i < 100; i++) pacer.add(i, cursor(i));
  let sent = 0;
  pacer.take(60_000, () => sent++);
  expect(sent).toBe(10);
});

test("one that was sent its gap may be given another", () => {
  const pacer = new GapPacer<string>(1000, 0);
  const sent: Cursor[] = [];
  pacer.add("c", cursor(1));
  pacer.take(100, (_connection, after) => sent.push(after));
  pacer.add("c", cursor(2));
  pacer.take(200, (_connection, after) => sent.push(after));
  expect(sent).toEqual([cursor(1), cursor(2)]);
});
