import { isMapping } from "@pushfleet/protocol";
import { childSchema, type SchemaNode } from "./schema.js";

/** Takes out of `value`, in place, every field that is there with nothing behind it (`gateway:`), as the API server does before it fills in
 *  defaults: a null is no value unless a field is nullable, and none is. Elements of a list stay, and are a fault.
 *  Source: k8s.io/apiextensions-apiserver, PruneNonNullableNullsWithoutDefaults. */
export function pruneNulls(value: unknown, schema: SchemaNode | undefined): void {
  if (Array.isArray(value)) {
    for (const element of value) pruneNulls(element, schema?.items);
    return;
  }
  if (!isMapping(value)) return;
  for (const [field, inside] of Object.entries(value)) {
    const known = schema === undefined ? undefined : childSchema(schema, field);
    if (inside === null && known !== undefined) delete value[field];
    else pruneNulls(inside, known);
  }
}
