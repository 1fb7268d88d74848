// Writes operator/src/generated/push-gateway.ts from crds/pushgateway.yaml: the types of a PushGateway, and its schema as a constant, so
// that validating a manifest needs no file. Run by `make build`; the result is git-ignored.
//
// Own emitter: a structural schema has no $ref, no oneOf and no tuples, so the whole of it is one function a kind of node, and the output
// is what the code base wants: readonly, documented, no `any`. The types are those of an object *after* defaulting, which is the only
// kind the code meets: a field is optional only when it is neither required nor has a default.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";

const crdFile = fileURLToPath(new URL("../../crds/pushgateway.yaml", import.meta.url));
const outputFolder = new URL("../src/generated/", import.meta.url);
const lineWidth = 140;

/** The OpenAPI schema of the one version served, from the text of the CustomResourceDefinition. */
export function readSchema(crdText) {
  const versions = parse(crdText).spec.versions.filter((version) => version.served);
  if (versions.length !== 1)
    throw new Error(`crds/pushgateway.yaml serves ${versions.length} versions: types are generated for exactly one`);
  return versions[0].schema.openAPIV3Schema;
}

/** Every place where the schema breaks a house rule of crds/pushgateway.yaml, as "path: what is missing". */
export function schemaFaults(schema, path = "") {
  const faults = [];
  const lacks = (...names) => {
    for (const name of names) if (schema[name] === undefined) faults.push(`${path}: has no ${name}`);
  };
  const inStatus = path.startsWith("status");
  if (schema.type === "integer" && !path.endsWith("Generation")) lacks("minimum", ...(inStatus ? [] : ["maximum"]));
  if (schema.type === "string" && schema.enum === undefined && path !== "apiVersion" && path !== "kind") lacks("maxLength");
  if (schema.type === "array") lacks("maxItems", "x-kubernetes-list-type");
  if (schema.additionalProperties !== undefined) lacks("maxProperties");
  faults.push(...defaultFaults(schema, path));
  for (const [name, child] of Object.entries(schema.properties ?? {})) {
    const childPath = path === "" ? name : `${path}.${name}`;
    if (child.description === undefined && !childPath.startsWith("metadata")) faults.push(`${childPath}: has no description`);
    faults.push(...schemaFaults(child, childPath));
  }
  if (schema.items) faults.push(...schemaFaults(schema.items, `${path}[]`));
  if (schema.additionalProperties) faults.push(...schemaFaults(schema.additionalProperties, `${path}{}`));
  return faults;
}

/** A default that repeats a default inside it (for CEL rules, see crds/pushgateway.yaml) must say the same. */
function defaultFaults(schema, path) {
  const given = schema.default;
  const object =
    schema.type === "array" && typeof given?.[0] === "object" ? { schema: schema.items, value: given[0] } : { schema, value: given };
  if (typeof object.value !== "object" || object.value === null || Array.isArray(object.value)) return [];
  return Object.entries(object.value).flatMap(([name, value]) => {
    const child = object.schema.properties?.[name];
    if (child === undefined) return [`${path}: the default has a field "${name}" that the schema has not`];
    const inside = child.default;
    if (typeof value === "object") return defaultFaults({ ...child, default: value }, `${path}.${name}`);
    return inside === undefined || inside === value ? [] : [`${path}.${name}: ${inside} by itself, ${value} in the default around it`];
  });
}

/** The schema for a JSON Schema validator, as strict as `kubectl --validate=strict`: unknown fields are refused, `x-kubernetes-list-type:
 *  set` becomes uniqueItems, int-or-string becomes two types, formats are left out. The x-kubernetes-* annotations stay for CEL. */
export function validatorSchema(schema) {
  const { properties, type, "x-kubernetes-int-or-string": intOrString, anyOf, format, ...rest } = schema;
  const result = { ...(type === undefined ? {} : { type }), ...rest };
  if (intOrString) return { ...result, type: ["integer", "string"], expected: "a quantity such as 500m, 2 or 4Gi" };
  if (schema["x-kubernetes-list-type"] === "set") result.uniqueItems = true;
  if (schema.items) result.items = validatorSchema(schema.items);
  if (schema.additionalProperties) result.additionalProperties = validatorSchema(schema.additionalProperties);
  if (properties === undefined) return result;
  result.properties = Object.fromEntries(Object.entries(properties).map(([name, child]) => [name, validatorSchema(child)]));
  result.additionalProperties = false;
  return result;
}

/** `validatorSchema` of the whole object: apiVersion, kind and metadata.name are required here (the API server asks for them itself), and
 *  metadata may have the fields of any Kubernetes object. */
export function manifestSchema(schema) {
  const result = validatorSchema(schema);
  const { apiVersion, kind, metadata } = result.properties;
  return {
    ...result,
    required: ["apiVersion", "kind", "metadata", ...schema.required],
    properties: {
      ...result.properties,
      apiVersion: { ...apiVersion, enum: ["pushfleet.dev/v1alpha1"] },
      kind: { ...kind, enum: ["PushGateway"] },
      metadata: { ...metadata, required: ["name"], additionalProperties: true },
    },
  };
}

/** Names of the keywords in `schema` that JSON Schema does not define; a strict validator wants to be told of them. */
export function foreignKeywords(schema, found = new Set()) {
  if (Array.isArray(schema)) for (const element of schema) foreignKeywords(element, found);
  else if (typeof schema === "object" && schema !== null) {
    for (const [name, value] of Object.entries(schema)) {
      if (name.startsWith("x-kubernetes-") || (name === "expected" && typeof value === "string")) found.add(name);
      if (name === "default" || name === "x-kubernetes-validations") continue;
      foreignKeywords(value, found);
    }
  }
  return [...found].sort();
}

/** The TypeScript of the types: PushGateway, and one interface for every object inside it, named by its path. */
export function typesOf(schema) {
  const interfaces = [];
  interfaceOf({ ...schema, required: ["apiVersion", "kind", "metadata", ...schema.required] }, "PushGateway", interfaces);
  return interfaces.join("\n\n");
}

function interfaceOf(schema, name, interfaces) {
  const place = interfaces.push("") - 1;
  const fields = Object.entries(schema.properties).map(([field, child]) => {
    const optional = !schema.required?.includes(field) && child.default === undefined;
    const type = field === "metadata" && name === "PushGateway" ? metadataType : typeOf(child, childName(name, field), interfaces);
    return `${comment(child.description, "  ")}  readonly ${field}${optional ? "?" : ""}: ${type};`;
  });
  interfaces[place] = `${comment(schema.description, "")}export interface ${name} {\n${fields.join("\n")}\n}`;
}

const metadataType =
  "{ readonly name: string; readonly namespace?: string; readonly generation?: number } & Readonly<Record<string, unknown>>";

function typeOf(schema, name, interfaces) {
  if (schema["x-kubernetes-int-or-string"]) return "number | string";
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  switch (schema.type) {
    case "string":
    case "boolean":
      return schema.type;
    case "integer":
      return "number";
    case "array":
      return `ReadonlyArray<${typeOf({ description: schema.description, ...schema.items }, name.replace(/s$/, ""), interfaces)}>`;
    case "object":
      if (schema.additionalProperties) return `Readonly<Record<string, ${typeOf(schema.additionalProperties, name, interfaces)}>>`;
      if (schema.properties === undefined) return "Readonly<Record<string, unknown>>";
      interfaceOf(schema, name, interfaces);
      return name;
    default:
      throw new Error(`${name}: the type generator knows no schema of type ${schema.type}`);
  }
}

/** PushGateway + pools → PushGatewayPools (an element: PushGatewayPool); `spec` adds its own word to its own interface only. */
function childName(parent, field) {
  return (parent === "PushGatewaySpec" ? "PushGateway" : parent) + field[0].toUpperCase() + field.slice(1);
}

function comment(description, indent) {
  if (description === undefined) return "";
  const lines = wrap(description.replaceAll("*/", "* /"), lineWidth - indent.length - 8);
  return `${indent}/** ${lines.join(`\n${indent} *  `)} */\n`;
}

function wrap(text, width) {
  const lines = [""];
  for (const word of text.split(/\s+/)) {
    const line = lines[lines.length - 1];
    if (line !== "" && line.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`;
  }
  return lines;
}

/** The whole generated file. Throws when the schema breaks a house rule. */
export function generate(crdText) {
  const schema = readSchema(crdText);
  const faults = schemaFaults(schema);
  if (faults.length > 0) throw new Error(`crds/pushgateway.yaml:\n  ${faults.join("\n  ")}`);
  const forValidator = manifestSchema(schema);
  return `// generated from crds/pushgateway.yaml; run make build

${typesOf(schema)}

/** The schema of a manifest, for a JSON Schema validator with \`useDefaults\` and \`allowUnionTypes\`: unknown fields are refused. It checks
 *  everything but the CEL rules (x-kubernetes-validations) and the unique names of a list-type map (x-kubernetes-list-map-keys). */
export const pushGatewaySchema: Readonly<Record<string, unknown>> = ${JSON.stringify(forValidator, null, 2)};

/** The keywords in it that JSON Schema does not define, for \`addVocabulary\`. */
export const pushGatewaySchemaKeywords: readonly string[] = ${JSON.stringify(foreignKeywords(forValidator))};
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const generated = generate(readFileSync(crdFile, "utf8"));
  mkdirSync(outputFolder, { recursive: true });
  writeFileSync(new URL("push-gateway.ts", outputFolder), generated);
}
