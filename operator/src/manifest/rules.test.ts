import { describe, expect, test } from "vitest";
import { compileRules, ruleFaults } from "./rules.js";
import { manifestSchema, type SchemaNode } from "./schema.js";

const integer: SchemaNode = { type: "integer" };

/** An object with one rule and these fields. */
function withRule(rule: string, properties: Readonly<Record<string, SchemaNode>>, more: object = {}): SchemaNode {
  return { type: "object", properties, "x-kubernetes-validations": [{ rule, message: `must keep ${rule}`, ...more }] };
}

function faults(schema: SchemaNode, value: unknown): readonly string[] {
  return [...ruleFaults(compileRules(schema), value, "spec")].map((fault) => `${fault.path}: ${String(fault.value)}, ${fault.expected}`);
}

describe("rules are evaluated", () => {
  test("over whole numbers, which are no doubles", () => {
    const schema = withRule("self.a / 2 == 3", { a: integer });
    expect(faults(schema, { a: 7 })).toEqual([]);
    expect(faults(schema, { a: 8 })).toEqual(["spec: a mapping, to keep the rule: must keep self.a / 2 == 3"]);
  });

  test("with the place their fieldPath says, though nothing stands there", () => {
    const schema = withRule("has(self.a.b)", { a: { type: "object", properties: { b: integer } } }, { fieldPath: ".a.b" });
    expect(faults(schema, { a: {} })).toEqual(["spec.a.b: undefined, to keep the rule: must keep has(self.a.b)"]);
  });

  test("in every element of a list, every value of a map and every field, and only where they are", () => {
    const element = withRule("self.n > 0", { n: integer }, { fieldPath: ".n" });
    const schema: SchemaNode = {
      type: "object",
      properties: { list: { type: "array", items: element }, map: { type: "object", additionalProperties: element }, one: element },
    };
    const bad = { n: 0 };
    expect(
      faults(schema, { list: [{ n: 1 }, bad], map: { "a.b": bad, c: { n: 2 } }, one: bad }).map((fault) => fault.split(":")[0]),
    ).toEqual(["spec.list[1].n", 'spec.map."a.b".n', "spec.one.n"]);
    expect(faults(schema, {})).toEqual([]);
  });

  test("on the keys of a map", () => {
    const schema: SchemaNode = {
      type: "object",
      additionalProperties: { type: "string" },
      "x-kubernetes-validations": [{ rule: "self.all(k, k.matches('^[a-z]+$'))", message: "keys must be words" }],
    };
    expect(faults(schema, { a: "1" })).toEqual([]);
    expect(faults(schema, { a: "1", b2: "2" })).toEqual(["spec: a: 1, b2: 2, to keep the rule: keys must be words"]);
    const long = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`k${index}`, "v"]));
    expect(faults(schema, long)).toEqual([expect.stringMatching(/^spec: k0: v, .{180,200}…, to keep the rule/)]);
  });

  test.each([
    [1, "1000m", true],
    ["0.3", "300m", true],
    ["1Gi", 1_073_741_824, true],
    ["1Gi", "1G", false],
    ["1e3", "1k", true],
    ["1001m", 1, false],
  ])("over quantities: %s is at most %s: %s", (a, b, isAtMost) => {
    const quantity: SchemaNode = { type: ["integer", "string"] };
    const schema = withRule("quantity(string(self.a)).compareTo(quantity(string(self.b))) <= 0", { a: quantity, b: quantity });
    expect(faults(schema, { a, b })).toHaveLength(isAtMost ? 0 : 1);
  });

  test("a text that is no quantity cannot be compared, and can be asked for", () => {
    const text: SchemaNode = { type: "string" };
    expect(faults(withRule("isQuantity(self.a)", { a: text }), { a: "8 cores" })).toHaveLength(1);
    expect(faults(withRule("quantity(self.a).compareTo(quantity('1')) <= 0", { a: text }), { a: "8 cores" })).toEqual([
      expect.stringContaining('cannot be evaluated here: "8 cores" is no quantity'),
    ]);
  });

  test("with the names of fields as Kubernetes escapes them", () => {
    const schema = withRule("self.__namespace__ == self.a__dash__b", { namespace: integer, "a-b": integer });
    expect(faults(schema, { namespace: 1, "a-b": 1 })).toEqual([]);
  });

  test("and one whose evaluation fails refuses the value, as on the API server", () => {
    const schema = withRule("self.a > 1", { a: integer });
    expect(faults(schema, {})).toEqual([
      "spec: a mapping, to keep the rule: must keep self.a > 1 (which cannot be evaluated here: field not found: a)",
    ]);
  });
});

describe("rules that cannot be evaluated do not compile", () => {
  test.each([
    ["bad grammar", "self.a <", {}, "end of input"],
    ["a misspelt field", "!has(self.b)", {}, 'the schema has no field "b" there'],
    ["a misspelt field of an element", "self.list.all(e, e.m == 1)", {}, 'the schema has no field "m" there'],
    ["a function that the library has not", "self.list.isSorted()", {}, 'there is no function "isSorted"'],
    ["an unknown variable", "oldSelf.a == self.a", {}, 'there is no variable "oldSelf"'],
    ["a message that is computed", "self.a == 1", { messageExpression: "'a'" }, "messageExpression is not supported"],
  ])("%s", (_what, rule, more, expected) => {
    const list: SchemaNode = { type: "array", items: { type: "object", properties: { n: integer } } };
    expect(() => compileRules(withRule(rule, { a: integer, list }, more))).toThrow(expected);
  });
});

test("every rule of crds/pushgateway.yaml compiles", () => {
  expect(() => compileRules(manifestSchema)).not.toThrow();
});
