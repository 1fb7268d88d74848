import { expect, test } from "vitest";
import { Batch } from "./batch.js";

test("takes the oldest out up to the size of a call, one at least", () => {
  const batch = new Batch<string>(100);
  for (const [item, size] of [
    ["a", 30],
    ["b", 5],
    ["c", 5],
    ["d", 1],
  ] as const)
    expect(batch.add(item, size)).toBe("queued");
  expect(batch.take(10)).toEqual(["a"]);
  expect(batch.take(10)).toEqual(["b", "c"]);
  expect(batch.size).toBe(1);
  expect(batch.take(10)).toEqual(["d"]);
  expect(batch.take(10)).toEqual([]);
});

test("is bounded", () => {
  const batch = new Batch<string>(10);
  expect(batch.add("a", 6)).toBe("queued");
  expect(batch.add("b", 5)).toBe("full");
  expect(batch.add("c", 4)).toBe("queued");
  expect(batch.size).toBe(10);
});
