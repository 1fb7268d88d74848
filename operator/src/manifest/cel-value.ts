import type { CelInput } from "@bufbuild/cel";
import { isMapping } from "@pushfleet/protocol";
import { childSchema, type SchemaNode } from "./schema.js";

/** A value of a manifest as its rules see it: integers are int (not double), objects and maps are maps, an absent field is absent. */
export function toCelValue(value: unknown, schema: SchemaNode | undefined): CelInput {
  switch (typeof value) {
    case "number":
      return Number.isInteger(value) && schema?.type !== "number" ? BigInt(value) : value;
    case "string":
    case "boolean":
      return value;
    default:
      if (Array.isArray(value)) return value.map((element) => toCelValue(element, schema?.items));
      if (!isMapping(value)) return null;
      return new Map(
        Object.entries(value).map(([field, inside]) => [
          schema?.properties === undefined ? field : escapedField(field),
          toCelValue(inside, schema === undefined ? undefined : childSchema(schema, field)),
        ]),
      );
  }
}

/** CEL's own words, which a rule writes as `__namespace__`. */
const reservedWords = new Set(
  "true false null in as break const continue else for function if import let loop package namespace return var void while".split(" "),
);

/** The name of a field in a rule. Source: Kubernetes, "Validation rules", property name escaping. */
export function escapedField(field: string): string {
  if (reservedWords.has(field)) return `__${field}__`;
  return field.replaceAll("__", "__underscores__").replaceAll(".", "__dot__").replaceAll("-", "__dash__").replaceAll("/", "__slash__");
}
