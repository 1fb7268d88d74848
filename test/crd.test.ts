import { readdirSync, readFileSync } from "node:fs";
import { Ajv } from "ajv";
import { describe, expect, test } from "vitest";
import { parse, parseAllDocuments } from "yaml";
import { foreignKeywords, generate, manifestSchema, readSchema, schemaFaults } from "../operator/scripts/generate-types.mjs";
import { parseManifests } from "../operator/src/manifest.js";
import { readSource } from "./support/source-text.js";

const root = new URL("..", import.meta.url);
const crdText = readFileSync(new URL("crds/pushgateway.yaml", root), "utf8");
const crd = parse(crdText);
const version = crd.spec.versions[0];

/** As strict as `kubectl --validate=strict`, with the defaults filled in. */
function validator() {
  const schema = manifestSchema(readSchema(crdText));
  const ajv = new Ajv({ allErrors: true, useDefaults: true, allowUnionTypes: true, strict: true });
  ajv.addVocabulary(foreignKeywords(schema));
  const validate = ajv.compile(schema);
  return (manifest: unknown): readonly string[] =>
    validate(manifest) ? [] : (validate.errors ?? []).map((e) => `${e.instancePath} ${e.message}`);
}

const manifest = (spec: unknown) => ({ apiVersion: "pushfleet.dev/v1alpha1", kind: "PushGateway", metadata: { name: "demo" }, spec });

describe("crds/pushgateway.yaml", () => {
  test("has the names of the API", () => {
    expect(crd.metadata.name).toBe("pushgateways.pushfleet.dev");
    expect(crd.spec.names).toMatchObject({ kind: "PushGateway", plural: "pushgateways", shortNames: ["pgw"] });
    expect(version.name).toBe("v1alpha1");
  });

  test("every field is described and every number, string, list and map is bounded", () => {
    expect(schemaFaults(readSchema(crdText))).toEqual([]);
  });

  test("every field of the spec says its bounds and choices, and what holds when it is left out", () => {
    expect(undescribed(version.schema.openAPIV3Schema.properties.spec, "spec")).toEqual([]);
    expect(undescribed({ type: "integer", minimum: 1, maximum: 1000, description: "Gateways, 1 to 100." }, "a")).toEqual(["a: 1,000"]);
    const optional = { properties: { b: { enum: ["A"], description: "A." } }, description: "" };
    expect(undescribed(optional, "a")).toEqual(["a.b: Default, Absent or Required"]);
  });

  test("the paths of scale and of the printer columns exist in the schema", () => {
    const { scale } = version.subresources;
    const columns: readonly { readonly jsonPath: string }[] = version.additionalPrinterColumns;
    const paths = [scale.specReplicasPath, scale.statusReplicasPath, scale.labelSelectorPath, ...columns.map((column) => column.jsonPath)];
    const absent = paths.filter((path: string) => !path.startsWith(".metadata.") && !hasPath(version.schema.openAPIV3Schema, path));
    expect(absent).toEqual([]);
    expect(hasPath(version.schema.openAPIV3Schema, ".spec.replica")).toBe(false);
  });

  test("every CEL rule has a message that says what would be right, on one line", () => {
    const rules = celRules(version.schema.openAPIV3Schema);
    expect(rules.length).toBeGreaterThan(15);
    for (const { rule, message } of rules) {
      expect(message, rule).toMatch(/\b(must|needs|set|use|keep|remove|has at most|list)\b/);
      expect(message).not.toContain("\n");
    }
  });

  test("an empty spec is a fleet with the defaults of the design", () => {
    const empty = manifest({});
    expect(validator()(empty)).toEqual([]);
    expect(empty.spec).toMatchObject({
      gateway: { limits: { handshakesPerSecond: 5000 }, heartbeat: { intervalSeconds: 30, timeoutSeconds: 90 }, extraPorts: [] },
      pools: [
        {
          name: "default",
          minReplicas: 3,
          maxReplicas: 10,
          softConnections: 500_000,
          hardConnections: 650_000,
          tuning: { profile: "websocket-500k", sysctls: {}, unsafeSysctls: "Tuner", nofile: 1_000_000 },
        },
      ],
      autoscaling: { mode: "Builtin", stabilizationSeconds: 300 },
      drain: { reconnectsPerSecond: 1000, deadlineSeconds: 1500, stragglerGraceSeconds: 30 },
      rollout: { maxSurge: 1, soakSeconds: 60, maxReconnectFailurePercent: 1, paused: false },
      router: { minReplicas: 2, maxReplicas: 20 },
      loadBalancer: { kind: "Service" },
      dryRun: false,
    });
  });

  test("what local mode and Kubernetes do differently has no default", () => {
    const given = manifest({ router: { kafka: { brokers: ["127.0.0.1:9092"] } } });
    expect(validator()(given)).toEqual([]);
    expect(given.spec).not.toHaveProperty("registry");
    expect(given.spec).not.toHaveProperty("store");
    expect(given.spec).not.toHaveProperty("gateway.auth.maxLifetimeSeconds");
    expect(given.spec).not.toHaveProperty("router.kafka.groupId");
    expect(given.spec).toHaveProperty("router.kafka.topic", "notifications.in_app");
  });

  test.each([
    ["a misspelt field", { pools: [{ name: "a", minReplica: 3 }] }, "/spec/pools/0 must NOT have additional properties"],
    ["a number out of bounds", { drain: { reconnectsPerSecond: 0 } }, "/spec/drain/reconnectsPerSecond must be >= 1"],
    ["a number written as text", { drain: { deadlineSeconds: "1500" } }, "/spec/drain/deadlineSeconds must be integer"],
    ["no pool", { pools: [] }, "/spec/pools must NOT have fewer than 1 items"],
    ["a pool without a name", { pools: [{}] }, "/spec/pools/0 must have required property 'name'"],
    ["an unknown kind", { store: { kind: "Mongo" } }, "/spec/store/kind must be equal to one of the allowed values"],
    ["a port twice", { gateway: { extraPorts: [8081, 8081] } }, "/spec/gateway/extraPorts must NOT have duplicate items"],
    [
      "a quantity that is none",
      { gateway: { resources: { limits: { cpu: "8 cores" } } } },
      "/spec/gateway/resources/limits/cpu must match",
    ],
  ])("%s is refused", (_what, spec, expected) => {
    const [fault, ...others] = validator()(manifest(spec));
    expect(others).toEqual([]);
    expect(fault).toContain(expected);
  });

  test("quantities are numbers or text, as in Kubernetes", () => {
    expect(validator()(manifest({ gateway: { resources: { limits: { cpu: 8, memory: "32Gi" }, requests: { cpu: "500m" } } } }))).toEqual(
      [],
    );
  });
});

describe("examples", () => {
  const pushGatewaysIn = (file: string) =>
    parseAllDocuments(readFileSync(new URL(`examples/${file}`, root), "utf8"))
      .map((document) => document.toJS())
      .filter(({ kind }) => kind === "PushGateway");

  test.each(readdirSync(new URL("examples/", root)).filter((file) => file.endsWith(".yaml")))("%s is a right manifest", (file) => {
    expect(pushGatewaysIn(file).map(validator())).toEqual([[]]);
    const parsed = parseManifests(readFileSync(new URL(`examples/${file}`, root), "utf8")); // its CEL rules too
    expect(parsed).toMatchObject({ kind: "manifests", manifests: [{ parsed: { kind: "manifest" } }] });
  });

  test("a full gateway of each example can drain within its deadline", () => {
    for (const file of ["pushgateway.yaml", "storm.yaml", "kubernetes.yaml"]) {
      const [given] = pushGatewaysIn(file);
      expect(validator()(given)).toEqual([]);
      const { pools, drain } = given.spec;
      for (const { hardConnections } of pools) {
        const seconds = (2 * hardConnections) / drain.reconnectsPerSecond + 30 + drain.stragglerGraceSeconds;
        expect(seconds, file).toBeLessThanOrEqual(drain.deadlineSeconds);
      }
    }
  });
});

describe("the type generator", () => {
  test("writes no `any`, and a field with a default is not optional", () => {
    const types = generate(crdText).split("export const")[0] ?? "";
    expect(readSource(types).codeOnly).not.toMatch(/\bany\b/);
    expect(types).toContain("readonly minReplicas: number;");
    expect(types).toContain("readonly replicas?: number;");
    expect(types).toContain("readonly pools: ReadonlyArray<PushGatewayPool>;");
    expect(types).not.toMatch(/^ {2}(?!readonly )\w+\??: /m);
  });

  test.each([
    ["a field without a description", { type: "object", properties: { a: { type: "boolean" } } }, "a: has no description"],
    ["a number without a bound", { type: "integer", minimum: 0 }, ": has no maximum"],
    ["text without a bound", { type: "string" }, ": has no maxLength"],
    ["a list without a bound", { type: "array", "x-kubernetes-list-type": "set", items: { type: "boolean" } }, ": has no maxItems"],
    ["a map without a bound", { type: "object", additionalProperties: { type: "boolean" } }, ": has no maxProperties"],
    [
      "a default that contradicts one inside it",
      { type: "object", default: { a: 1 }, properties: { a: { type: "integer", minimum: 0, maximum: 9, default: 2, description: "A." } } },
      ".a: 2 by itself, 1 in the default around it",
    ],
  ])("%s is a fault", (_what, schema, expected) => {
    expect(schemaFaults(schema)).toEqual([expected]);
  });
});

interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly "x-kubernetes-validations"?: readonly { readonly rule: string; readonly message: string }[];
}

/** Whether a JSON path (`.a.b[0].c`, `[?(…)]`) leads to a field of the schema. */
function hasPath(schema: SchemaNode, path: string): boolean {
  let node: SchemaNode | undefined = schema;
  for (const [step] of path.matchAll(/\.\w+|\[[^\]]*\]/g)) node = step.startsWith(".") ? node?.properties?.[step.slice(1)] : node?.items;
  return node !== undefined;
}

function celRules(node: SchemaNode): readonly { readonly rule: string; readonly message: string }[] {
  const children = [...Object.values(node.properties ?? {}), ...(node.items === undefined ? [] : [node.items])];
  return [...(node["x-kubernetes-validations"] ?? []), ...children.flatMap(celRules)];
}

interface Described {
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Described>>;
  readonly items?: Described;
  readonly [bound: string]: unknown;
}

/** What a field's description does not say, of it and of all inside it. */
function undescribed(node: Described, path: string, isRequired = true): readonly string[] {
  const { description = "", properties, items, required = [] } = node;
  const bounds = ["minimum", "maximum", "maxLength", "maxItems", "maxProperties"].flatMap((name) => {
    const bound = node[name];
    return typeof bound === "number" && (name !== "maxLength" || node.enum === undefined) ? [bound.toLocaleString("en-US")] : [];
  });
  const missing = [...bounds, ...(node.enum ?? [])].filter(
    (word) => !description.includes(word) && !description.includes(word.replaceAll(",", "")),
  );
  const isExplained = isRequired || typeof node.default === "object" || /\b(default|absent|required|not needed)\b/i.test(description);
  return [
    ...[...missing, ...(isExplained ? [] : ["Default, Absent or Required"])].map((what) => `${path}: ${what}`),
    ...Object.entries(properties ?? {}).flatMap(([name, child]) => undescribed(child, `${path}.${name}`, required.includes(name))),
    ...Object.entries(items?.properties ?? {}).flatMap(([name, child]) =>
      undescribed(child, `${path}[].${name}`, items?.required?.includes(name) === true),
    ),
  ];
}
