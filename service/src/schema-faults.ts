import type { Fault } from "@pushfleet/protocol";
import type { ErrorObject } from "ajv";
import { closest } from "fastest-levenshtein";

/** Turns what ajv found (`allErrors`, `verbose`) into faults: dotted path, the value that stood there, what would be right. */
export function faultsFromSchemaErrors(errors: readonly ErrorObject[], root = ""): readonly Fault[] {
  const faults = errors.filter((error) => error.keyword !== "if").map((error) => faultFromError(error, root));
  const seen = new Set<string>();
  return faults.filter((fault) => {
    const key = `${fault.path}\n${fault.expected}`;
    return seen.has(key) ? false : seen.add(key);
  });
}

function faultFromError(error: ErrorObject, root: string): Fault {
  const path = joinPath(root, error.instancePath);
  const params: Readonly<Record<string, unknown>> = error.params;
  switch (error.keyword) {
    case "additionalProperties":
    case "unevaluatedProperties":
      return unknownKey(error, path);
    case "required":
      return { path: join(path, String(params["missingProperty"])), value: undefined, expected: "a value: it is required" };
    default:
      return { path, value: shorten(error.data, error.parentSchema), expected: expectation(error, params) };
  }
}

function unknownKey(error: ErrorObject, path: string): Fault {
  const params: Readonly<Record<string, unknown>> = error.params;
  const name = String(params["additionalProperty"] ?? params["unevaluatedProperty"]);
  const known = Object.keys((error.parentSchema as { properties?: object } | undefined)?.properties ?? {});
  const data = error.data as Readonly<Record<string, unknown>>;
  const nearest = known.length === 0 ? undefined : nearestName(name, known);
  const expected = nearest === undefined ? `one of the known fields: ${known.join(", ")}` : `"${nearest}" (there is no field "${name}")`;
  return { path: join(path, name), value: shorten(data[name], undefined), expected };
}

/** The known name nearest to a misspelt one, when it is near enough to be meant. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const byCase = known.find((candidate) => candidate.toLowerCase() === name.toLowerCase());
  if (byCase !== undefined) return byCase;
  const candidate = closest(name, [...known]);
  return editDistanceAtMost(name, candidate, Math.max(2, Math.floor(name.length / 3))) ? candidate : undefined;
}

function editDistanceAtMost(a: string, b: string, bound: number): boolean {
  let previous = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitute = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(substitute, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    previous = row;
  }
  return (previous[b.length] ?? 0) <= bound;
}

const typeNames: Readonly<Record<string, string>> = {
  integer: "an integer",
  number: "a number",
  string: "a string",
  boolean: "true or false",
  object: "a mapping",
  array: "a list",
  null: "null",
};

function expectation(error: ErrorObject, params: Readonly<Record<string, unknown>>): string {
  const schema = (error.parentSchema ?? {}) as Readonly<Record<string, unknown>>;
  switch (error.keyword) {
    case "type": {
      const types = Array.isArray(params["type"]) ? params["type"] : [params["type"]];
      return types.map((type) => typeNames[String(type)] ?? String(type)).join(" or ") + range(schema);
    }
    case "enum":
      return `one of ${JSON.stringify(params["allowedValues"])}`;
    case "const":
      return JSON.stringify(params["allowedValue"]);
    case "minimum":
    case "maximum":
    case "exclusiveMinimum":
    case "exclusiveMaximum":
    case "multipleOf":
      return `${typeNames[String(schema["type"])] ?? "a number"}${range(schema)}`;
    case "minLength":
    case "maxLength":
      return `a string of ${String(schema["minLength"] ?? 0)} to ${String(schema["maxLength"] ?? "any number of")} characters`;
    case "minItems":
    case "maxItems":
      return `a list of ${String(schema["minItems"] ?? 0)} to ${String(schema["maxItems"] ?? "any number of")} elements`;
    case "pattern":
      return typeof schema["expected"] === "string" ? schema["expected"] : `a string that matches ${String(params["pattern"])}`;
    default:
      return error.message ?? error.keyword;
  }
}

function range(schema: Readonly<Record<string, unknown>>): string {
  const minimum = schema["minimum"];
  const maximum = schema["maximum"];
  if (minimum !== undefined && maximum !== undefined) return ` from ${String(minimum)} to ${String(maximum)}`;
  if (minimum !== undefined) return ` of at least ${String(minimum)}`;
  return maximum === undefined ? "" : ` of at most ${String(maximum)}`;
}

function joinPath(root: string, pointer: string): string {
  let path = root;
  for (const part of pointer.split("/").slice(1)) {
    const name = part.replaceAll("~1", "/").replaceAll("~0", "~");
    path = /^\d+$/.test(name) ? `${path}[${name}]` : join(path, name);
  }
  return path;
}

function join(path: string, name: string): string {
  const shown = /^[A-Za-z_][A-Za-z0-9_-]*$/.test(name) ? name : JSON.stringify(name);
  return path === "" ? shown : `${path}.${shown}`;
}

function shorten(value: unknown, schema: unknown): unknown {
  if ((schema as { secret?: boolean } | undefined)?.secret === true) return "(secret)";
  if (Array.isArray(value)) return `${value.length} elements`;
  if (typeof value === "object" && value !== null) return "a mapping";
  return value;
}
