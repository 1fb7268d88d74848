import fc from "fast-check";
import { type Given, withValues } from "./manifest-rows.js";
import { wholeManifest } from "./whole-manifest.js";

/** What is read of a node of the OpenAPI schema. */
interface SchemaNode {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly additionalProperties?: SchemaNode;
  readonly "x-kubernetes-int-or-string"?: boolean;
}

/** Texts on which judges might differ: blanks, other scripts (a length counts characters, not bytes), numbers, and what rules look for. */
const texts = [
  ...["", " ", "a", "A", "a b", "a\n", "\t", "\u0000", "ä", "😀", "é", ".", "..", "...", "-a", "a-", "_a", "a/b", "a.b/c", "a..b/c"],
  ...["a".repeat(63), "ä".repeat(64), "😀".repeat(20), "x".repeat(253), "x".repeat(254)],
  ...["1", "-1", "+1", ".5", "1.", "1e3", "1e100", "1Gi", "0x10", "yes", "true", "null", "*", "1 2 3", "1\t2", "-1 2"],
  ...[
    "kafka:9092",
    "kafka:0",
    "[fd00::1]:9092",
    "[fd00::1]",
    "redis://a",
    "redis://a:70000",
    "rediss://u:p@a/1",
    "https://a",
    "http://a:1/x?y#z",
  ],
  ...["net.core.somaxconn", "cpu", "hugepages-2Mi", "requests.a/b", "Exists", "NoExecute", "DoNotSchedule", "Redis", "Memory", "External"],
];
const text = fc.constantFrom(...texts);
const number = fc.constantFrom(0, 1, -1, 2, 63, 1024, 8080, 9091, 65_536, 650_000, 2_147_483_648, 9_007_199_254_740_991, 1e21, 0.5);
const anything: fc.Arbitrary<unknown> = fc.oneof(
  text,
  number,
  fc.boolean(),
  fc.constant(null),
  fc.constant([]),
  fc.array(text),
  fc.dictionary(text, number),
);

/** Mostly what the schema asks for, at its edges; now and then something else. */
function anyValue(node: SchemaNode): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 9, arbitrary: ofType(node) }, { weight: 1, arbitrary: anything });
}

function ofType({
  type,
  enum: choices,
  minimum = 0,
  maximum = 9,
  properties,
  items,
  additionalProperties,
  ...node
}: SchemaNode): fc.Arbitrary<unknown> {
  if (node["x-kubernetes-int-or-string"] === true) return fc.oneof(number, text);
  if (choices !== undefined) return fc.constantFrom(...choices);
  if (type === "string") return text;
  if (type === "integer") return fc.oneof(number, fc.constantFrom(minimum - 1, minimum, minimum + 1, maximum, maximum + 1));
  if (type === "boolean") return fc.boolean();
  if (items !== undefined) return fc.array(anyValue(items), { maxLength: 3 });
  if (additionalProperties !== undefined) return fc.dictionary(text, anyValue(additionalProperties), { maxKeys: 3 });
  return fc.record(Object.fromEntries(Object.entries(properties ?? {}).map(([name, child]) => [name, anyValue(child)])), {
    requiredKeys: [],
  });
}

/** Every place of the schema, with the first element of each list. */
function* places(node: SchemaNode, path: string): Iterable<readonly [path: string, node: SchemaNode]> {
  yield [path, node];
  for (const [name, child] of Object.entries(node.properties ?? {})) yield* places(child, `${path}.${name}`);
  if (node.items !== undefined) yield* places(node.items, `${path}[0]`);
  if (node.additionalProperties !== undefined) yield* places(node.additionalProperties, `${path}['a.b/c']`);
}

const isInside = (one: string, other: string): boolean => one !== other && one.startsWith(other) && /^[.[]/.test(one.slice(other.length));

/** Manifests with a whole or an empty spec, in which something was replaced at one to three places of `spec`'s schema. */
export function anyManifest(spec: SchemaNode): fc.Arbitrary<object> {
  const change = fc.oneof(...[...places(spec, "spec")].map(([path, node]) => fc.tuple(fc.constant(path), anyValue(node))));
  const changes = fc
    .uniqueArray(change, { minLength: 1, maxLength: 3, selector: ([path]) => path })
    .filter((all) => !all.some(([one]) => all.some(([other]) => isInside(one, other))));
  return fc
    .tuple(fc.constantFrom<object>(wholeManifest, { ...wholeManifest, spec: {} }), changes)
    .map(([base, changed]) => withValues(base, Object.fromEntries(changed) as Given));
}
