import type { Breach } from "./manifest-rows.js";

/** What the walk reads of a node of the OpenAPI schema. */
interface SchemaNode extends Readonly<Record<string, unknown>> {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly additionalProperties?: SchemaNode;
  readonly required?: readonly string[];
  readonly "x-kubernetes-validations"?: readonly { readonly rule: string; readonly message: string }[];
}

const valueKeywords = ["minimum", "maximum", "minLength", "maxLength", "pattern", "enum", "minItems", "maxItems", "maxProperties"];

/** What the API server checks by itself, before it asks the schema: no row can meet the schema's own check. */
const checkedBefore = new Set(["apiVersion type", "kind type", "metadata type", "metadata.name type", " type"]);

/** Every CEL rule and every bound of a structural schema, by place: what a table of bad manifests has to break. A rule's `bound` is its
 *  message. An object with fields counts `unknownField`, a list of unique elements `duplicate`. */
export function schemaBounds(node: SchemaNode, at = ""): readonly Breach[] {
  const own = [...ownBounds(node)].map(({ keyword, bound }) => ({ at, keyword, bound }));
  const children = Object.entries(node.properties ?? {}).flatMap(([name, child]) =>
    schemaBounds(child, at === "" ? name : `${at}.${name}`),
  );
  const elements = node.items === undefined ? [] : schemaBounds(node.items, `${at}[]`);
  const values = node.additionalProperties === undefined ? [] : schemaBounds(node.additionalProperties, `${at}{}`);
  return [...own.filter(({ keyword }) => !checkedBefore.has(`${at} ${keyword}`)), ...children, ...elements, ...values];
}

function* ownBounds(node: SchemaNode): Iterable<Omit<Breach, "at">> {
  for (const keyword of valueKeywords) if (node[keyword] !== undefined) yield { keyword, bound: node[keyword] };
  if (node["x-kubernetes-int-or-string"] === true) yield { keyword: "type", bound: "integer,string" };
  else if (node.type !== undefined) yield { keyword: "type", bound: node.type };
  if (node["format"] === "date-time") yield { keyword: "format", bound: "date-time" };
  if (node.properties !== undefined) yield { keyword: "unknownField", bound: true };
  for (const name of node.required ?? []) yield { keyword: "required", bound: name };
  if (node["x-kubernetes-list-type"] === "set") yield { keyword: "duplicate", bound: "set" };
  if (node["x-kubernetes-list-type"] === "map")
    yield { keyword: "duplicate", bound: (node["x-kubernetes-list-map-keys"] as string[]).join() };
  for (const { message } of node["x-kubernetes-validations"] ?? []) yield { keyword: "rule", bound: message };
}

/** Whether a row that breaks `broken` breaks this bound. A row names a rule by a part of its message. */
export function isSameBound(broken: Breach, bound: Breach): boolean {
  if (broken.at !== bound.at || broken.keyword !== bound.keyword) return false;
  if (broken.keyword === "rule") return String(bound.bound).includes(String(broken.bound));
  return JSON.stringify(broken.bound) === JSON.stringify(bound.bound);
}

export const describeBound = ({ at, keyword, bound }: Breach): string =>
  `${at === "" ? "(root)" : at}: ${keyword} ${JSON.stringify(bound)}`;
