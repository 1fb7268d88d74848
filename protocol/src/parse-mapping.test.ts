import { expect, test } from "vitest";
import { parseMapping } from "./parse-mapping.js";

test.each([
  ['{"a":1,"a":2}', { a: 2 }],
  [" {} ", {}],
  ["[]", undefined],
  ["null", undefined],
  ['"{}"', undefined],
  ["{", undefined],
  ["", undefined],
])("%s as a mapping", (text, mapping) => {
  expect(parseMapping(text)).toEqual(mapping);
});

test("__proto__ is a member, and no prototype", () => {
  const mapping = parseMapping('{"__proto__":{"admin":true}}') ?? {};
  expect(Object.hasOwn(mapping, "__proto__")).toBe(true);
  expect(mapping["admin"]).toBeUndefined();
});
