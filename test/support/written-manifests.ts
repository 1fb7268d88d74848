import type { BadManifest, Breach, GoodManifest, ManifestRows } from "./manifest-rows.js";

const head = "apiVersion: pushfleet.dev/v1alpha1\nkind: PushGateway\nmetadata: { name: demo }\n";

interface Written extends Partial<Pick<BadManifest, "offline">> {
  readonly path: string;
  readonly message: string;
  readonly breaks: Breach;
}

const bad = (name: string, manifest: string, { path, message, offline, breaks }: Written): BadManifest => ({
  name,
  manifest,
  expectedPath: path,
  expectedMessage: message,
  offline: offline ?? { path, message: "" },
  breaks,
});
const good = (name: string, spec: string): GoodManifest => ({ name, manifest: `${head}spec: ${spec}\n` });

const typeFault = (path: string, at: string, type: string, given: string): Written => ({
  path,
  message: `must be of type ${type}: "${given}"`,
  breaks: { at, keyword: "type", bound: type },
});
const document = (path: string, message: string): Written => ({ path, message, breaks: { at: "", keyword: "document", bound: message } });

/** Rows about what YAML text means. Kubernetes reads YAML 1.1 (yes and off are booleans, 010 is eight) without its dates and sexagesimal
 *  numbers, refuses a key that is written twice, and takes a number without a fraction for an integer. */
export const writtenManifests: ManifestRows = {
  bad: [
    bad(
      "a label yes, which is a boolean",
      `${head}spec: { pools: [{ name: a, nodeSelector: { zone: yes } }] }\n`,
      typeFault("spec.pools[0].nodeSelector.zone", "spec.pools[].nodeSelector{}", "string", "boolean"),
    ),
    bad(
      "a pool named y, which is a boolean",
      `${head}spec: { pools: [{ name: y }] }\n`,
      typeFault("spec.pools[0].name", "spec.pools[].name", "string", "boolean"),
    ),
    bad(
      "a label 010, which is a number",
      `${head}spec: { pools: [{ name: a, nodeSelector: { zone: 010 } }] }\n`,
      typeFault("spec.pools[0].nodeSelector.zone", "spec.pools[].nodeSelector{}", "string", "integer"),
    ),
    bad(
      "a time 1:30, which is text",
      `${head}spec: { drain: { deadlineSeconds: 1:30 } }\n`,
      typeFault("spec.drain.deadlineSeconds", "spec.drain.deadlineSeconds", "integer", "string"),
    ),
    bad(
      "a quantity 1.5, which is neither an integer nor text",
      `${head}spec: { gateway: { resources: { limits: { cpu: 1.5 } } } }\n`,
      typeFault("spec.gateway.resources.limits.cpu", "spec.gateway.resources.limits{}", "integer,string", "number"),
    ),
    bad(
      "a list's element without a value",
      `${head}spec: { gateway: { allowedOrigins: [~] } }\n`,
      typeFault("spec.gateway.allowedOrigins[0]", "spec.gateway.allowedOrigins[]", "string", "null"),
    ),
    bad("a required field without a value", `${head}spec: { pools: [{ name: ~ }] }\n`, {
      path: "spec.pools[0].name",
      message: "Required value",
      breaks: { at: "spec.pools[]", keyword: "required", bound: "name" },
    }),
    bad("a key that is written twice", `${head}spec:\n  dryRun: true\n  dryRun: false\n`, {
      ...document("", 'key "dryRun" already set in map'),
      offline: { path: "", message: "" },
    }),
    bad("an unknown field of metadata", `${head.replace("demo", "demo, unheardOf: 1")}spec: {}\n`, {
      path: "metadata.unheardOf",
      message: 'unknown field "metadata.unheardOf"',
      offline: { path: "metadata.unheardOf", message: "unheardOf" },
      breaks: { at: "metadata", keyword: "unknownField", bound: true },
    }),
    bad("another kind", `${head.replace("kind: PushGateway", "kind: PushGateways")}spec: {}\n`, document("kind", "must be PushGateway")),
    bad("another version", `${head.replace("v1alpha1", "v9")}spec: {}\n`, {
      ...document("", "cannot be handled as a PushGateway"),
      offline: { path: "apiVersion", message: "pushfleet.dev/v1alpha1" },
    }),
    bad("no version", `${head.split("\n").slice(1).join("\n")}spec: {}\n`, {
      ...document("", "does not match the expected API version"),
      offline: { path: "apiVersion", message: "pushfleet.dev/v1alpha1" },
    }),
  ],
  good: [
    good("booleans as yes and off", "{ dryRun: yes, rollout: { paused: off, adoptOperatorTemplate: No } }"),
    good(
      "numbers as 1e3, 3.0, 0x10, 020 and 1_500",
      "{ replicas: 1e3, drain: { reconnectsPerSecond: 3.0, deadlineSeconds: 1_500, stragglerGraceSeconds: 020 }, gateway: { workers: 0x10 } }",
    ),
    good("a date where text is asked for", "{ pools: [{ name: a, nodeSelector: { since: 2026-01-01 } }] }"),
    good(
      "a mapping merged into another",
      "{ pools: [{ name: a, tuning: &shared { profile: None } }, { name: b, tuning: { <<: *shared, nofile: 700000 } }] }",
    ),
    good("keys that are booleans", "{ pools: [{ name: a, nodeSelector: { yes: a } }] }"),
  ],
};
