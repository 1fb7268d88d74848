import { type Fault, isMapping } from "@pushfleet/protocol";
import { childSchema, joinField, type SchemaNode } from "./schema.js";

/** Elements of a `x-kubernetes-list-type: map` that have the key of an earlier one (two pools of one name). */
export function* repeatedKeys(value: unknown, schema: SchemaNode | undefined, path: string): Iterable<Fault> {
  if (schema === undefined) return;
  if (Array.isArray(value)) {
    if (schema["x-kubernetes-list-type"] === "map") yield* repeatedIn(value, schema["x-kubernetes-list-map-keys"] ?? [], path);
    for (const [index, element] of value.entries()) yield* repeatedKeys(element, schema.items, `${path}[${index}]`);
  } else if (isMapping(value)) {
    for (const [field, inside] of Object.entries(value)) yield* repeatedKeys(inside, childSchema(schema, field), joinField(path, field));
  }
}

function* repeatedIn(elements: readonly unknown[], keys: readonly string[], path: string): Iterable<Fault> {
  const seen = new Map<string, number>();
  for (const [index, element] of elements.entries()) {
    if (!isMapping(element)) continue;
    const key = JSON.stringify(keys.map((name) => element[name]));
    const first = seen.get(key);
    if (first === undefined) seen.set(key, index);
    else {
      const expected = `no duplicate: ${path}[${first}] has this ${keys.join(", ")}`;
      yield { path: `${path}[${index}]`, value: keys.map((name) => element[name]).join(", "), expected };
    }
  }
}
