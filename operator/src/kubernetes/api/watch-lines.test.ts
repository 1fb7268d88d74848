import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LineSplitter, parseWatchLine } from "./watch-lines.js";

/** The pieces of `bytes` when it is cut at `cuts`. */
function pieces(bytes: Buffer, cuts: readonly number[]): readonly Buffer[] {
  const at = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

describe("a line splitter", () => {
  test("gives the same lines wherever the stream is cut, also within a character", () => {
    const line = fc.string({ unit: "grapheme" }).filter((text) => !text.includes("\n"));
    fc.assert(
      fc.property(fc.array(line), line, fc.array(fc.nat(1000)), (lines, last, cuts) => {
        const splitter = new LineSplitter(1_000_000);
        const seen = pieces(Buffer.from([...lines, last].join("\n")), cuts).flatMap((piece) => splitter.push(piece));
        expect(seen).toEqual(lines.filter((text) => text !== ""));
        expect(splitter.rest()).toBe(last);
      }),
    );
  });

  test("gives up a line that is too long, whether it comes at once or in pieces, and keeps what came before", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.array(fc.nat(200)), (lineBytesMax, cuts) => {
        const splitter = new LineSplitter(lineBytesMax);
        const bytes = Buffer.from(`a\n${"x".repeat(lineBytesMax + 1)}\nb`);
        const seen: string[] = [];
        for (const piece of pieces(bytes, cuts)) {
          if (!splitter.overflow) seen.push(...splitter.push(piece));
        }
        expect(seen).toEqual(["a"]);
        expect(splitter.overflow).toBe(true);
      }),
    );
  });
});

describe("a line of a watch", () => {
  const object = { kind: "Pod", metadata: { name: "a", uid: "u", resourceVersion: "1" } };
  test.each([
    { type: "ADDED", object },
    { type: "MODIFIED", object },
    { type: "DELETED", object },
    { type: "BOOKMARK", object: { metadata: { resourceVersion: "1" } } },
    { type: "ERROR", object: { code: 410 } },
  ])("%j is an event", (event) => {
    expect(parseWatchLine(JSON.stringify(event))).toEqual(event);
  });

  test.each([
    "",
    "{",
    "null",
    "[]",
    "5",
    '"ADDED"',
    "<html>",
    "{}",
    '{"type":"ADDED"}',
    '{"type":"ADDED","object":null}',
    '{"type":"ADDED","object":[]}',
    '{"type":"ADDED","object":{"metadata":{"name":"a","uid":"u"}}}',
    '{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"1"}}}',
    '{"type":"ADDED","object":{"metadata":{"uid":"u","resourceVersion":"1"}}}',
    '{"type":"ADDED","object":{"metadata":{"name":"","uid":"u","resourceVersion":"1"}}}',
    '{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":5}}}',
    '{"type":"added","object":{"metadata":{"name":"a","uid":"u","resourceVersion":"1"}}}',
    '{"type":"ERROR","object":"410"}',
  ])("%j is none", (line) => {
    expect(parseWatchLine(line)).toBeUndefined();
  });
});
