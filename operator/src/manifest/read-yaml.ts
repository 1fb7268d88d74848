import type { Fault } from "@pushfleet/protocol";
import { type ParsedNode, parseAllDocuments, type ScalarTag } from "yaml";

export interface YamlDocument {
  /** From 1, as a reader counts them: empty ones too. */
  readonly position: number;
  readonly value: unknown;
}

/** At least one document. */
export type ReadYaml =
  | { readonly kind: "documents"; readonly documents: readonly YamlDocument[] }
  | { readonly kind: "faults"; readonly faults: readonly Fault[] };

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

/** The documents of a YAML text that hold something, as JSON would hold them. `what` is named when there is none. */
export function readYaml(text: string, what: string): ReadYaml {
  const all = parseAllDocuments<ParsedNode>(text, { merge: true, customTags: (tags) => [...kubectlTags, ...tags] });
  const broken = [...all].flatMap((document) => document.errors);
  if (broken.length > 0) {
    return { kind: "faults", faults: broken.map((error) => ({ path: "", value: error.message.split("\n")[0], expected: "YAML" })) };
  }
  const documents: YamlDocument[] = [];
  for (const [index, document] of [...all].entries()) {
    if (document.contents === null) continue;
    try {
      const value: unknown = document.toJS({ maxAliasCount: aliasesMax });
      if (value !== null) documents.push({ position: index + 1, value }); // a comment alone reads as null
    } catch (cause) {
      return fault((cause as Error).message, "YAML whose aliases do not multiply");
    }
  }
  return documents.length === 0 ? fault(undefined, `${what} (the file is empty)`) : { kind: "documents", documents };
}

/** Aliases of one document: a few lines of them can stand for gigabytes (the "billion laughs"). */
const aliasesMax = 100;

function fault(value: unknown, expected: string): ReadYaml {
  return { kind: "faults", faults: [{ path: "", value, expected }] };
}
