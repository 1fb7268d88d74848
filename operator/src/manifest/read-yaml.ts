import type { Fault } from "@pushfleet/protocol";
import { type ParsedNode, parseAllDocuments, type ScalarTag } from "yaml";

export type ReadYaml = { readonly kind: "value"; readonly value: unknown } | { readonly kind: "faults"; readonly faults: readonly Fault[] };

/** What `kubectl` reads differently from YAML 1.2: `yes`, `on` and their opposites are booleans, `500_000` is a number, `0644` an octal one.
 *  A manifest must mean the same here. Source: gopkg.in/yaml.v2 resolve.go, which sigs.k8s.io/yaml keeps. */
const kubectlTags: readonly ScalarTag[] = [
  scalar("bool", /^(?:y|Y|yes|Yes|YES|on|On|ON)$/, () => true),
  scalar("bool", /^(?:n|N|no|No|NO|off|Off|OFF)$/, () => false),
  scalar("int", /^[-+]?0_*[0-7][0-7_]*$/, (text) => sign(text) * Number.parseInt(digits(text), 8)),
  scalar("int", /^[-+]?[0-9]+(?:_[0-9_]*)$/, (text) => sign(text) * Number.parseInt(digits(text), 10)),
];

function scalar(name: string, test: RegExp, resolve: (text: string) => boolean | number): ScalarTag {
  return { tag: `tag:yaml.org,2002:${name}`, default: true, test, resolve };
}

function sign(text: string): 1 | -1 {
  return text.startsWith("-") ? -1 : 1;
}

function digits(text: string): string {
  return text.replace(/^[-+]/, "").replaceAll("_", "");
}

/** The one document of a YAML text, as JSON would hold it. `what` is named when there is none, or more than one. */
export function readYaml(text: string, what: string): ReadYaml {
  const all = parseAllDocuments<ParsedNode>(text, { merge: true, customTags: (tags) => [...kubectlTags, ...tags] });
  const [document, ...more] = [...all].filter((one) => one.contents !== null || one.errors.length > 0);
  if (document === undefined) return fault(undefined, `${what} (the file is empty)`);
  if (document.errors.length > 0) {
    return {
      kind: "faults",
      faults: document.errors.map((error) => ({ path: "", value: error.message.split("\n")[0], expected: "YAML" })),
    };
  }
  if (more.length > 0) return fault(`${more.length + 1} documents`, `one ${what.replace(/^an? /, "")}`);
  try {
    return { kind: "value", value: document.toJS({ maxAliasCount: aliasesMax }) };
  } catch (cause) {
    return fault((cause as Error).message, "YAML whose aliases do not multiply");
  }
}

/** Aliases of one document: a few lines of them can stand for gigabytes (the "billion laughs"). */
const aliasesMax = 100;

function fault(value: unknown, expected: string): ReadYaml {
  return { kind: "faults", faults: [{ path: "", value, expected }] };
}
