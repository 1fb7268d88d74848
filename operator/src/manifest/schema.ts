import { pushGatewaySchema } from "../generated/push-gateway.js";

/** A node of crds/pushgateway.yaml as the generator hands it on: what a walk over a value and its schema side by side needs. */
export interface SchemaNode {
  readonly type?: string | readonly string[];
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  /** The values of a map; `false` where `properties` are all there is. */
  readonly additionalProperties?: SchemaNode | boolean;
  readonly "x-kubernetes-list-type"?: string;
  readonly "x-kubernetes-list-map-keys"?: readonly string[];
  readonly "x-kubernetes-validations"?: readonly RuleSource[];
}

/** One entry of `x-kubernetes-validations`. */
export interface RuleSource {
  readonly rule: string;
  readonly message: string;
  /** A JSON path below the rule's place, `.a.b`. */
  readonly fieldPath?: string;
  readonly reason?: string;
}

export const manifestSchema = pushGatewaySchema as SchemaNode;

/** The part of the schema that describes one field, or one key of a map. */
export function childSchema(schema: SchemaNode, field: string): SchemaNode | undefined {
  const property = schema.properties?.[field];
  if (property !== undefined) return property;
  return typeof schema.additionalProperties === "object" ? schema.additionalProperties : undefined;
}

/** `spec.pools[0]` and a field of it, as users write paths. A name that is no word stands in quotes. */
export function joinField(path: string, field: string): string {
  const shown = /^[A-Za-z_][A-Za-z0-9_-]*$/.test(field) ? field : JSON.stringify(field);
  return path === "" ? shown : `${path}.${shown}`;
}
