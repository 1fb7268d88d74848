import type { Fault } from "@pushfleet/protocol";
import { faultsFromSchemaErrors, nearestName } from "@pushfleet/service";
import { Ajv, type ValidateFunction } from "ajv";
import { parseAllDocuments } from "yaml";
import { type FleetSpec, fleetSpec, revisionOf } from "./core/index.js";
import { type PushGatewaySpec, pushGatewaySchema } from "./generated/push-gateway.js";

/** A PushGateway as written, checked against the schema of crds/pushgateway.yaml and completed with its defaults. */
export interface Manifest {
  readonly name: string;
  readonly namespace: string;
  readonly spec: PushGatewaySpec;
}

export type ParsedManifest =
  | { readonly kind: "manifest"; readonly manifest: Manifest }
  | { readonly kind: "faults"; readonly faults: readonly Fault[] };

const apiVersion = "pushfleet.dev/v1alpha1";
const kind = "PushGateway";
const namePattern = /^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/;
const nameExpected = "1 to 40 of [a-z0-9-], beginning and ending with a letter or digit";

/** Parses YAML text that holds one PushGateway. Reports every fault with its path; never throws for a bad text. */
export function parseManifest(text: string): ParsedManifest {
  const [document, ...more] = parseAllDocuments(text).filter((one) => one.contents !== null || one.errors.length > 0);
  if (document === undefined) return faults({ path: "", value: undefined, expected: `a ${kind} (the file is empty)` });
  if (document.errors.length > 0) {
    return {
      kind: "faults",
      faults: document.errors.map((error) => ({ path: "", value: error.message.split("\n")[0], expected: "YAML" })),
    };
  }
  if (more.length > 0) return faults({ path: "", value: `${more.length + 1} documents`, expected: `one ${kind}` });
  return checkManifest(document.toJS());
}

function checkManifest(value: unknown): ParsedManifest {
  if (!isMapping(value))
    return faults({ path: "", value: String(value).slice(0, 60), expected: "a mapping: apiVersion, kind, metadata, spec" });
  const found = [...checkEnvelope(value)];
  const spec: unknown = structuredClone(value["spec"] ?? {});
  const validate = specValidator();
  if (!validate(spec)) found.push(...faultsFromSchemaErrors(validate.errors ?? [], "spec"));
  if (found.length > 0) return { kind: "faults", faults: found };
  const metadata = value["metadata"] as { readonly name: string; readonly namespace?: string };
  return { kind: "manifest", manifest: { name: metadata.name, namespace: metadata.namespace ?? "default", spec: spec as PushGatewaySpec } };
}

function* checkEnvelope(value: Readonly<Record<string, unknown>>): Iterable<Fault> {
  const known = ["apiVersion", "kind", "metadata", "spec", "status"];
  for (const name of Object.keys(value)) {
    if (known.includes(name)) continue;
    const nearest = nearestName(name, known);
    yield {
      path: name,
      value: "",
      expected: nearest === undefined ? `one of ${known.join(", ")}` : `"${nearest}" (there is no field "${name}")`,
    };
  }
  if (value["apiVersion"] !== apiVersion) yield { path: "apiVersion", value: value["apiVersion"], expected: JSON.stringify(apiVersion) };
  if (value["kind"] !== kind) yield { path: "kind", value: value["kind"], expected: JSON.stringify(kind) };
  const name = isMapping(value["metadata"]) ? value["metadata"]["name"] : undefined;
  if (typeof name !== "string" || !namePattern.test(name)) yield { path: "metadata.name", value: name, expected: nameExpected };
}

let compiled: ValidateFunction | undefined;

function specValidator(): ValidateFunction {
  compiled ??= new Ajv({ allErrors: true, verbose: true, useDefaults: true, strict: false, validateFormats: false }).compile(
    (pushGatewaySchema["properties"] as { readonly spec: object }).spec,
  );
  return compiled;
}

/** The planner's view. A pool's revision moves with what its gateways are made of, not with how many there are. */
export function toFleetSpec(manifest: Manifest): FleetSpec {
  const { spec } = manifest;
  const { gateway, autoscaling, drain, rollout } = spec;
  return fleetSpec({
    name: manifest.name,
    pools: spec.pools.map((pool) => ({
      name: pool.name,
      revision: revisionOf({ gateway, tuning: pool.tuning, hardConnections: pool.hardConnections }),
      minReplicas: pool.minReplicas,
      maxReplicas: pool.maxReplicas,
      softConnections: pool.softConnections,
      hardConnections: pool.hardConnections,
    })),
    handshakesPerSecond: gateway.limits.handshakesPerSecond,
    autoscaling: { mode: autoscaling.mode, stabilizationMs: autoscaling.stabilizationSeconds * 1000 },
    drain: {
      reconnectsPerSecond: drain.reconnectsPerSecond,
      deadlineMs: drain.deadlineSeconds * 1000,
      stragglerGraceMs: drain.stragglerGraceSeconds * 1000,
    },
    rollout: {
      maxSurge: rollout.maxSurge,
      soakMs: rollout.soakSeconds * 1000,
      maxReconnectFailurePercent: rollout.maxReconnectFailurePercent,
      paused: rollout.paused,
    },
    dryRun: spec.dryRun,
  });
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function faults(...list: readonly Fault[]): ParsedManifest {
  return { kind: "faults", faults: list };
}
