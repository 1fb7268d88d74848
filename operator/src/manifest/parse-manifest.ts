import { type Fault, isMapping } from "@pushfleet/protocol";
import { faultsFromSchemaErrors } from "@pushfleet/service";
import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import { type PushGatewaySpec, pushGatewaySchema, pushGatewaySchemaKeywords } from "../generated/push-gateway.js";
import { repeatedKeys } from "./list-maps.js";
import { metadataFaults } from "./metadata.js";
import { pruneNulls } from "./prune-nulls.js";
import { readYaml } from "./read-yaml.js";
import { type CompiledRules, compileRules, ruleFaults } from "./rules.js";
import { manifestSchema } from "./schema.js";

/** A PushGateway that the API server would take, completed with its defaults. */
export interface Manifest {
  readonly name: string;
  readonly namespace: string;
  readonly spec: PushGatewaySpec;
}

export type ParsedManifest =
  | { readonly kind: "manifest"; readonly manifest: Manifest }
  | { readonly kind: "faults"; readonly faults: readonly Fault[] };

export interface ParsedDocument {
  /** Of the document in its file, from 1. */
  readonly position: number;
  readonly parsed: ParsedManifest;
}

/** `documents`: how many hold anything. `manifests`: at least one. `faults`: of the text as a whole. */
export type ParsedManifests =
  | { readonly kind: "manifests"; readonly documents: number; readonly manifests: readonly ParsedDocument[] }
  | { readonly kind: "faults"; readonly faults: readonly Fault[] };

/** Parses YAML text that holds one PushGateway, and maybe objects of other kinds beside it. Reports every fault with its path; never throws for a
 *  bad text.
 *
 *  The verdict is the one of `kubectl apply`: unknown fields are refused, nulls dropped, defaults filled in, then types and bounds, unique
 *  names of a list, and the CEL rules are held against the result. */
export function parseManifest(text: string): ParsedManifest {
  const all = parseManifests(text);
  if (all.kind === "faults") return all;
  const [first, ...more] = all.manifests;
  if (first !== undefined && more.length === 0) return first.parsed;
  return wholeFault(`${all.manifests.length} documents`, "one PushGateway");
}

/** Parses YAML text that holds any number of objects, as a file for `kubectl apply` does: each PushGateway is judged by itself, other kinds are
 *  passed over. A lone object must be a PushGateway. */
export function parseManifests(text: string): ParsedManifests {
  const read = readYaml(text, "a PushGateway");
  if (read.kind === "faults") return read;
  const { documents } = read;
  const judged = documents.length === 1 ? documents : documents.filter(({ value }) => !isOfAnotherKind(value));
  if (judged.length === 0) return wholeFault(`${documents.length} documents`, "a PushGateway among them");
  return {
    kind: "manifests",
    documents: documents.length,
    manifests: judged.map(({ position, value }) => ({ position, parsed: checkManifest(value) })),
  };
}

/** A misspelt kind of our API group is meant to be ours, and what has no kind is nothing that could be passed over. */
function isOfAnotherKind(value: unknown): boolean {
  if (!isMapping(value)) return false;
  const { apiVersion, kind } = value as { readonly apiVersion?: unknown; readonly kind?: unknown };
  return typeof kind === "string" && kind !== "PushGateway" && !String(apiVersion).startsWith("pushfleet.dev/");
}

function wholeFault(value: string, expected: string): { readonly kind: "faults"; readonly faults: readonly Fault[] } {
  return { kind: "faults", faults: [{ path: "", value, expected }] };
}

/** `parseManifest` of what the YAML says. */
export function checkManifest(value: unknown): ParsedManifest {
  if (!isMapping(value)) {
    const fault = { path: "", value: String(value).slice(0, 60), expected: "a mapping: apiVersion, kind, metadata, spec" };
    return { kind: "faults", faults: [fault] };
  }
  // `status` is not a person's to write: the API server drops it too. An object without metadata misses its name, first of all.
  const { status: _, ...given } = structuredClone(value);
  const manifest = { ...given, metadata: given["metadata"] ?? {} } as Record<string, unknown>;
  pruneNulls(manifest, manifestSchema);
  const validate = validator();
  const errors = validate(manifest) ? [] : (validate.errors ?? []);
  const metadata = isMapping(manifest["metadata"]) ? manifest["metadata"] : {};
  const faults = [
    ...faultsFromSchemaErrors(errors).map(withConstant),
    ...metadataFaults(metadata),
    ...repeatedKeys(manifest["spec"], manifestSchema.properties?.["spec"], "spec"),
    // As on the API server: what a rule says of a value of another type, or of one that is not there, is noise.
    ...(errors.every(letsRulesRun) ? ruleFaults(rules(), manifest, "") : []),
  ];
  if (faults.length > 0) return { kind: "faults", faults: faults.map(withoutPassword) };
  const { name, namespace } = metadata as { readonly name: string; readonly namespace?: string };
  return { kind: "manifest", manifest: { name, namespace: namespace ?? "default", spec: manifest["spec"] as PushGatewaySpec } };
}

/** Faults of a value beside which rules still make sense; with any other (a wrong type, something missing, too much of something, an unknown
 *  field) the API server evaluates none. Source: k8s.io/apiextensions-apiserver, customresource strategy, hasBlockingErr. */
const harmless = new Set(["enum", "pattern", "minimum", "maximum", "minLength", "minItems", "uniqueItems"]);

function letsRulesRun(error: ErrorObject): boolean {
  return harmless.has(error.keyword);
}

const constants = new Map([
  ["apiVersion", "pushfleet.dev/v1alpha1"],
  ["kind", "PushGateway"],
]);

function withConstant(fault: Fault): Fault {
  const constant = constants.get(fault.path);
  return constant === undefined ? fault : { ...fault, expected: JSON.stringify(constant) };
}

/** An address in a fault may hold a password, and faults are printed and logged. */
function withoutPassword(fault: Fault): Fault {
  return typeof fault.value === "string" ? { ...fault, value: fault.value.replace(/\/\/[^/@\s]*@/g, "//(secret)@") } : fault;
}

let compiledSchema: ValidateFunction | undefined;

function validator(): ValidateFunction {
  if (compiledSchema !== undefined) return compiledSchema;
  const ajv = new Ajv({ allErrors: true, verbose: true, useDefaults: true, allowUnionTypes: true, strict: true });
  ajv.addVocabulary([...pushGatewaySchemaKeywords]);
  compiledSchema = ajv.compile(pushGatewaySchema);
  return compiledSchema;
}

let compiledRules: CompiledRules | undefined;

function rules(): CompiledRules {
  compiledRules ??= compileRules(manifestSchema);
  return compiledRules;
}
