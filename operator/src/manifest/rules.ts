import type { CelInput } from "@bufbuild/cel";
import { type Fault, isMapping } from "@pushfleet/protocol";
import { cel } from "./cel.js";
import { toCelValue } from "./cel-value.js";
import { expressionFaults } from "./check-expression.js";
import { childSchema, joinField, type RuleSource, type SchemaNode } from "./schema.js";

/** Rules of a schema, compiled, in the shape of the schema: only branches that have rules are kept. */
export interface CompiledRules {
  readonly schema: SchemaNode;
  readonly rules: readonly CompiledRule[];
  readonly fields: ReadonlyMap<string, CompiledRules>;
  /** Of a list's elements, or of a map's values. */
  readonly elements: CompiledRules | undefined;
}

interface CompiledRule {
  readonly source: RuleSource;
  /** Names below the rule's place, of `fieldPath`. */
  readonly fieldPath: readonly string[];
  readonly evaluate: (bindings: Record<string, CelInput>) => unknown;
}

/** Keys of an `x-kubernetes-validations` entry that are honoured. `messageExpression`, `optionalOldSelf` and rules on `oldSelf` are not
 *  written yet: a schema that uses them does not compile. */
const knownKeys = new Set(["rule", "message", "fieldPath", "reason"]);

/** Compiles every rule of a schema. Throws for one that cannot be evaluated as the API server would: skipping it would call a manifest right
 *  that the API server refuses. */
export function compileRules(schema: SchemaNode): CompiledRules {
  return compileNode(schema, "") ?? { schema, rules: [], fields: new Map(), elements: undefined };
}

function compileNode(schema: SchemaNode, path: string): CompiledRules | undefined {
  const rules = (schema["x-kubernetes-validations"] ?? []).map((source) => compileRule(source, schema, path));
  const fields = new Map<string, CompiledRules>();
  for (const [field, child] of Object.entries(schema.properties ?? {})) {
    const compiled = compileNode(child, joinField(path, field));
    if (compiled !== undefined) fields.set(field, compiled);
  }
  const inner = schema.items ?? (typeof schema.additionalProperties === "object" ? schema.additionalProperties : undefined);
  const elements = inner === undefined ? undefined : compileNode(inner, `${path}[]`);
  const isEmpty = rules.length === 0 && fields.size === 0 && elements === undefined;
  return isEmpty ? undefined : { schema, rules, fields, elements };
}

function compileRule(source: RuleSource, schema: SchemaNode, path: string): CompiledRule {
  const { parse, plan, environment } = cel();
  const fail = (why: string): never => {
    throw new Error(`${path}: the rule ${JSON.stringify(source.rule)} cannot be evaluated: ${why}`);
  };
  const unknown = Object.keys(source).filter((key) => !knownKeys.has(key));
  if (unknown.length > 0) fail(`${unknown.join(", ")} is not supported`);
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(source.rule);
  } catch (cause) {
    return fail((cause as Error).message);
  }
  if (parsed.expr === undefined) return fail("it is empty");
  const faults = expressionFaults(parsed.expr, schema, (name) => environment.funcs.find(name) !== undefined);
  if (faults.length > 0) fail(faults.join("; "));
  return { source, fieldPath: [...(source.fieldPath ?? "").matchAll(/[^.]+/g)].map(([name]) => name), evaluate: plan(environment, parsed) };
}

/** What the rules say of a value that has its defaults and the types of the schema, at every level of it. Like the API server: a rule is
 *  evaluated wherever its place is there, and one whose evaluation fails refuses the value. */
export function* ruleFaults(compiled: CompiledRules, value: unknown, path: string): Iterable<Fault> {
  if (compiled.rules.length > 0) {
    const self = toCelValue(value, compiled.schema);
    for (const rule of compiled.rules) yield* applyRule(rule, self, { value, schema: compiled.schema }, path);
  }
  if (Array.isArray(value)) {
    if (compiled.elements === undefined) return;
    for (const [index, element] of value.entries()) yield* ruleFaults(compiled.elements, element, `${path}[${index}]`);
  } else if (isMapping(value)) {
    for (const [field, inside] of Object.entries(value)) {
      const rules = compiled.fields.get(field) ?? compiled.elements;
      if (rules !== undefined) yield* ruleFaults(rules, inside, joinField(path, field));
    }
  }
}

/** A value and what the schema says of it. */
interface Place {
  readonly value: unknown;
  readonly schema: SchemaNode | undefined;
}

function* applyRule(rule: CompiledRule, self: CelInput, place: Place, path: string): Iterable<Fault> {
  const result = rule.evaluate({ self });
  if (result === true) return;
  const { source, fieldPath } = rule;
  const where = { path: fieldPath.reduce(joinField, path), value: shown(placeAt(place, fieldPath)) };
  const why = result === false ? "" : ` (which cannot be evaluated here: ${describe(result)})`;
  yield { ...where, expected: `to keep the rule: ${source.message}${why}` };
}

function describe(result: unknown): string {
  return cel().isCelError(result) ? result.message : `it gives ${String(result)}, not true or false`;
}

function placeAt(place: Place, names: readonly string[]): Place {
  return names.reduce<Place>(
    ({ value, schema }, name) => ({
      value: isMapping(value) ? value[name] : undefined,
      schema: schema === undefined ? undefined : childSchema(schema, name),
    }),
    place,
  );
}

const shownCharactersMax = 200;

/** Of a map its entries, since the rule may be about one of them; of an object nothing, for somewhere in it may be a password. */
function shown({ value, schema }: Place): unknown {
  if (Array.isArray(value)) return `${value.length} elements`;
  if (!isMapping(value)) return value;
  if (schema?.properties !== undefined) return "a mapping";
  const text = Object.entries(value)
    .map(([name, inside]) => `${name}: ${String(inside)}`)
    .join(", ");
  return text.length <= shownCharactersMax ? text : `${text.slice(0, shownCharactersMax)}…`;
}
