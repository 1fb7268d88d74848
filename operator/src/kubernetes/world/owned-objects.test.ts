import fc from "fast-check";
import { expect, test } from "vitest";
import { atPathsOf } from "./owned-objects.js";

test.each([
  [
    "a default of the server is no change",
    { spec: { port: 80 } },
    { spec: { port: 80, type: "ClusterIP" }, status: {} },
    { spec: { port: 80 } },
  ],
  ["a field of ours that is gone is", { spec: { port: 80 } }, { spec: {} }, { spec: { port: null } }],
  [
    "and so is one more in a list",
    { ports: [{ port: 80 }] },
    { ports: [{ port: 80, x: 1 }, { port: 81 }] },
    { ports: [{ port: 80 }, { port: 81 }] },
  ],
  ["a list that became something else", { ports: [1] }, { ports: "none" }, { ports: null }],
  ["a label of somebody else's", { labels: { a: "1" } }, { labels: { a: "1", b: "2" } }, { labels: { a: "1" } }],
  ["an object that became a text", { a: { b: 1 } }, { a: "x" }, { a: { b: null } }],
])("of a live object %s", (_name, wanted, live, seen) => {
  expect(atPathsOf(wanted, live)).toEqual(seen);
});

test("an object has itself at its own paths", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const json: unknown = JSON.parse(JSON.stringify(value));
      expect(atPathsOf(json, json)).toEqual(json);
    }),
  );
});
