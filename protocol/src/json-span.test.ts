import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { elementSpans, memberSpan } from "./json-span.js";

const slice = (text: string, name: string): string | undefined => {
  const span = memberSpan(text, name);
  return span === undefined ? undefined : text.slice(span.start, span.end);
};

describe("memberSpan", () => {
  test.each([
    ['{"data":9007199254740993}', "9007199254740993"],
    ['{"data":1.0,"x":2}', "1.0"],
    ['{"data":"\\u00e9"}', '"\\u00e9"'],
    ['{ "a" : {"data":1} , "data" : [ "}" , "\\"" ] }', '[ "}" , "\\"" ]'],
    ['{"d\\u0061ta":true}', "true"],
    ['{"data":1,"data":2}', "2"],
    ['{"x":"\\\\","data":null}', "null"],
    ['{"data":{"data":{}}}', '{"data":{}}'],
  ])("in %s the member data is sliced as written", (text, expected) => {
    expect(slice(text, "data")).toBe(expected);
  });

  test("a member that is not there, or an input that is no object, has no span", () => {
    expect(slice('{"x":{"data":1}}', "data")).toBeUndefined();
    expect(slice("[1]", "data")).toBeUndefined();
    expect(slice("", "data")).toBeUndefined();
  });

  test("for any object and any spacing the slice parses to the member's value", () => {
    const spacing = fc.constantFrom(undefined, 1, "\t", " \n ");
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue(), spacing, (others, data, indent) => {
        const text = JSON.stringify({ ...others, data }, null, indent);
        const found = slice(text, "data");
        expect(found).toBeDefined();
        expect(JSON.parse(found ?? "")).toEqual(JSON.parse(JSON.stringify(data)));
      }),
    );
  });

  test("100,000 nested brackets are walked without a stack", () => {
    const data = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    expect(slice(`{"data":${data},"x":1}`, "data")).toBe(data);
  });
});

describe("elementSpans", () => {
  test("for any array the slices parse to its elements", () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue()), fc.constantFrom(undefined, 2), (values, indent) => {
        const text = JSON.stringify(values, null, indent);
        expect(elementSpans(text).map((span) => JSON.parse(text.slice(span.start, span.end)))).toEqual(JSON.parse(text));
      }),
    );
  });
});
