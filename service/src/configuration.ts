import { readFileSync } from "node:fs";
import { type Fault, isMapping } from "@pushfleet/protocol";
import { type Static, type TObject, Type } from "@sinclair/typebox";
import { Ajv } from "ajv";
import { parseDocument } from "yaml";
import { hostPortExpected, hostPortPattern } from "./host-port.js";
import { faultsFromSchemaErrors, nearestName } from "./schema-faults.js";

export type Configured<T> =
  | { readonly kind: "configuration"; readonly value: T }
  | { readonly kind: "faults"; readonly faults: readonly Fault[] };

export interface ConfigurationSource {
  /** Path of one YAML file; absent: environment and defaults only. */
  readonly file?: string | undefined;
  /** `PUSHFLEET_GATEWAY_`: path in camelCase → UPPER_SNAKE behind it (`limits.maxConnections` → `PUSHFLEET_GATEWAY_LIMITS_MAX_CONNECTIONS`). */
  readonly environmentPrefix: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** A rule that a schema cannot state, about the part of a configuration under `path` ("auth", "" for the whole): it is asked only when the
 *  schema found nothing wrong there, and what it finds stands in the same list. */
export interface Refinement<T> {
  readonly path: string;
  readonly faults: (configuration: T) => readonly Fault[];
}

/** A string that `--print-config` and faults never show. */
export const Secret = (options: { readonly minLength?: number } = {}) => Type.String({ minLength: 1, ...options, secret: true });
export const Port = (options: { readonly default?: number } = {}) => Type.Integer({ minimum: 0, maximum: 65535, ...options });
export const HostPort = () => Type.String({ pattern: hostPortPattern, expected: hostPortExpected });
/** An object in which an unknown key is a fault. */
export const Strict = <Properties extends Parameters<typeof Type.Object>[0]>(properties: Properties, options = {}) =>
  Type.Object(properties, { additionalProperties: false, ...options });

/** Reads, overlays the environment (it wins), fills in defaults and validates. Reports all faults at once; never throws for a bad file. */
export function loadConfiguration<Schema extends TObject>(
  schema: Schema,
  source: ConfigurationSource,
  refinements: readonly Refinement<Static<Schema>>[] = [],
): Configured<Static<Schema>> {
  const fromFile = source.file === undefined ? { kind: "value" as const, value: {} } : readYaml(source.file);
  if (fromFile.kind === "faults") return fromFile;
  const faults: Fault[] = [];
  const { tree, setBy } = overlayEnvironment(schema, fromFile.value, source, faults);
  const validated = validateConfiguration(schema, tree, refinements);
  const all = [...faults, ...(validated.kind === "faults" ? validated.faults.map((fault) => tellVariable(fault, setBy)) : [])];
  return all.length > 0 ? { kind: "faults", faults: all } : validated;
}

/** Validates a value already in memory (it is copied, then completed with the schema's defaults). */
export function validateConfiguration<Schema extends TObject>(
  schema: Schema,
  value: unknown,
  refinements: readonly Refinement<Static<Schema>>[] = [],
): Configured<Static<Schema>> {
  const ajv = new Ajv({ allErrors: true, verbose: true, useDefaults: true, strict: false });
  const copy: unknown = JSON.parse(JSON.stringify(value)); // a YAML alias is one object in two places: defaults must not go to both
  const validate = ajv.compile<Static<Schema>>(chooseKinds(schema as JsonSchema, copy));
  const faults: Fault[] = validate(copy) ? [] : [...faultsFromSchemaErrors(validate.errors ?? [])];
  const refined = refinements.filter(({ path }) => !faults.some((fault) => isUnder(fault.path, path)));
  faults.push(...refined.flatMap((refinement) => refinement.faults(copy as Static<Schema>)));
  return faults.length === 0 ? { kind: "configuration", value: copy as Static<Schema> } : { kind: "faults", faults };
}

function isUnder(path: string, parent: string): boolean {
  return parent === "" || path === "" || path === parent || path.startsWith(`${parent}.`) || path.startsWith(`${parent}[`);
}

/** Replaces each union of objects that differ in `kind` by the one that `value` names: its defaults then apply, and a fault is told of
 *  that one only. An unknown kind leaves nothing but the list of known ones. */
function chooseKinds(schema: JsonSchema, value: unknown): JsonSchema {
  const tree = isMapping(value) ? value : {};
  const kinds = schema.anyOf?.map((alternative) => alternative.properties?.["kind"]?.const);
  if (schema.anyOf !== undefined && kinds?.every((kind) => typeof kind === "string")) {
    const chosen = schema.anyOf[(kinds as readonly unknown[]).indexOf(tree["kind"])];
    if (chosen !== undefined) return chooseKinds(chosen, value);
    return { type: "object", properties: { kind: { enum: kinds } }, required: ["kind"] };
  }
  if (schema.properties === undefined) return schema;
  const properties = Object.entries(schema.properties).map(([name, child]) => [name, chooseKinds(child, tree[name])]);
  return { ...schema, properties: Object.fromEntries(properties) };
}

type Tree = Record<string, unknown>;
type ReadYaml = { readonly kind: "value"; readonly value: Tree } | { readonly kind: "faults"; readonly faults: readonly Fault[] };

function readYaml(file: string): ReadYaml {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    return { kind: "faults", faults: [{ path: "-c", value: file, expected: `a readable file (${(cause as Error).message})` }] };
  }
  const document = parseDocument(text, { prettyErrors: true });
  if (document.errors.length > 0) {
    return {
      kind: "faults",
      faults: document.errors.map((error) => ({ path: file, value: error.message.split("\n")[0], expected: "YAML" })),
    };
  }
  const value: unknown = document.toJS() ?? {};
  if (!isMapping(value)) {
    return { kind: "faults", faults: [{ path: file, value: String(value).slice(0, 60), expected: "a mapping" }] };
  }
  return { kind: "value", value };
}

interface JsonSchema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly anyOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly required?: readonly string[];
  readonly enum?: readonly unknown[];
  readonly secret?: boolean;
  readonly const?: unknown;
}

interface Overlaid {
  readonly tree: Tree;
  /** The variable that set a path. */
  readonly setBy: ReadonlyMap<string, string>;
}

/** What is wrong with a value that is in no file is looked for in vain there. */
function tellVariable(fault: Fault, setBy: ReadonlyMap<string, string>): Fault {
  const name = setBy.get(fault.path.replace(/\[\d+\]$/, ""));
  return name === undefined ? fault : { ...fault, expected: `${fault.expected} (it is set by ${name})` };
}

function overlayEnvironment(schema: TObject, tree: Tree, source: ConfigurationSource, faults: Fault[]): Overlaid {
  const result = structuredClone(tree);
  const known = new Set<string>();
  const setBy = new Map<string, string>();
  for (const leaf of leaves(schema as JsonSchema, [])) {
    const name = source.environmentPrefix + leaf.path.map(upperSnake).join("_");
    known.add(name);
    const text = source.environment[name];
    if (text === undefined) continue;
    setAt(result, leaf.path, fromText(text, leaf.schemas));
    setBy.set(leaf.path.join("."), name);
  }
  for (const name of Object.keys(source.environment)) {
    if (!name.startsWith(source.environmentPrefix) || known.has(name)) continue;
    const nearest = nearestName(name, [...known]);
    const form = `${source.environmentPrefix} and the path of a setting, as in ${[...known].slice(0, 3).join(", ")}`;
    faults.push({ path: name, value: "(set)", expected: nearest === undefined ? form : `${nearest} (there is no setting for this name)` });
  }
  return { tree: result, setBy };
}

interface Leaf {
  readonly path: readonly string[];
  readonly schemas: JsonSchema[];
}

/** Leaves of the schema; alternatives of a union are walked together, so that every field of each can be set. */
function leaves(schema: JsonSchema, path: readonly string[]): readonly Leaf[] {
  const found = new Map<string, Leaf>();
  const walk = (node: JsonSchema, at: readonly string[]): void => {
    for (const alternative of node.anyOf ?? []) walk(alternative, at);
    if (node.properties !== undefined) {
      for (const [name, child] of Object.entries(node.properties)) walk(child, [...at, name]);
    } else if (node.anyOf === undefined) {
      const key = at.join(".");
      const leaf = found.get(key) ?? { path: at, schemas: [] };
      leaf.schemas.push(node);
      found.set(key, leaf);
    }
  };
  walk(schema, path);
  return [...found.values()];
}

function upperSnake(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toUpperCase();
}

/** What does not convert is left as text, so that validation names it with its path and what would be right. */
function fromText(text: string, schemas: readonly JsonSchema[]): unknown {
  const types = new Set(schemas.map((schema) => schema.type ?? typeof schema.const));
  if (types.has("array")) {
    const elements = schemas.flatMap((schema) => (schema.items === undefined ? [] : [schema.items]));
    return text === "" ? [] : text.split(",").map((part) => fromText(part.trim(), elements));
  }
  if ((types.has("integer") || types.has("number")) && /^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  if (types.has("boolean") && (text === "true" || text === "false")) return text === "true";
  if (types.has("null") && (text === "null" || text === "")) return null;
  return text;
}

function setAt(tree: Tree, path: readonly string[], value: unknown): void {
  let node = tree;
  for (const name of path.slice(0, -1)) {
    const child = node[name];
    const next: Tree = typeof child === "object" && child !== null ? (child as Tree) : {};
    node[name] = next;
    node = next;
  }
  const last = path.at(-1);
  if (last !== undefined) node[last] = value;
}

/** A copy fit for printing: secrets masked. */
export function maskSecrets(schema: TObject, value: unknown): unknown {
  const mask = (node: JsonSchema, at: unknown): unknown => {
    const alternatives = [node, ...(node.anyOf ?? [])];
    if (alternatives.some((alternative) => alternative.secret === true)) return at === undefined ? at : "(secret)";
    if (typeof at === "string") return at.replace(/(\/\/[^/\s:@]*:)[^@/\s]+@/g, "$1(secret)@");
    if (typeof at !== "object" || at === null || Array.isArray(at)) return at;
    const properties = Object.assign({}, ...alternatives.map((alternative) => alternative.properties ?? {})) as Record<string, JsonSchema>;
    return Object.fromEntries(Object.entries(at).map(([name, child]) => [name, mask(properties[name] ?? {}, child)]));
  };
  return mask(schema as JsonSchema, value);
}
