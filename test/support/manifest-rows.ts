import { stringify } from "yaml";

/** Which place of the schema a row breaks: `at` is a path with `[]` for a list's elements and `{}` for a map's values; `keyword` is the
 *  schema's own (minimum, pattern, required …), `rule` for a CEL rule (then `bound` is part of its message, as in the row),
 *  `unknownField`, `duplicate`, or `document` for what no schema says; `bound` is what the schema says there. */
export interface Breach {
  readonly at: string;
  readonly keyword: string;
  readonly bound: unknown;
}

/** Where a judge sees the fault, and a distinctive part of what it says. */
export interface Verdict {
  readonly path: string;
  readonly message: string;
}

/** A manifest that every judge must refuse: the API server with `expectedPath` and `expectedMessage`, `parseManifest` (and with it
 *  `pushfleet validate` and local mode) with those of `offline`. Both may report further faults beside it. */
export interface BadManifest {
  readonly name: string;
  /** YAML text. */
  readonly manifest: string;
  readonly expectedPath: string;
  readonly expectedMessage: string;
  readonly offline: Verdict;
  readonly breaks: Breach;
}

/** A manifest that every judge must accept. */
export interface GoodManifest {
  readonly name: string;
  readonly manifest: string;
}

export interface ManifestRows {
  readonly bad: readonly BadManifest[];
  readonly good: readonly GoodManifest[];
}

/** Values by path, set before the one that a row is about: `{ "spec.store.kind": "Redis" }`; `undefined` removes a field. */
export type Given = Readonly<Record<string, unknown>>;

type Step = { readonly kind: "field" | "key"; readonly name: string } | { readonly kind: "index"; readonly index: number };

/** Reads `spec.pools[0].tuning.sysctls['net.core.somaxconn']`: a map's key stands in brackets and quotes. */
function parsePath(path: string): readonly Step[] {
  return [...path.matchAll(/\['([^']*)'\]|\[(\d+)\]|([^.[\]]+)/g)].map(([, key, index, name]): Step => {
    if (key !== undefined) return { kind: "key", name: key };
    return index === undefined ? { kind: "field", name: name ?? "" } : { kind: "index", index: Number(index) };
  });
}

/** As the API server writes it: `spec.pools[0].tuning.sysctls.net.core.somaxconn`. */
const serverPath = (path: string): string =>
  parsePath(path).reduce(
    (text, step) => (step.kind === "index" ? `${text}[${step.index}]` : text === "" ? step.name : `${text}.${step.name}`),
    "",
  );

/** As our own faults write it: `spec.pools[0].tuning.sysctls."net.core.somaxconn"`. */
const faultPath = (path: string): string =>
  parsePath(path).reduce((text, step) => {
    if (step.kind === "index") return `${text}[${step.index}]`;
    const shown = /^[A-Za-z_][A-Za-z0-9_-]*$/.test(step.name) ? step.name : JSON.stringify(step.name);
    return text === "" ? shown : `${text}.${shown}`;
  }, "");

/** `spec.pools[].tuning.sysctls{}`. */
const schemaPath = (path: string): string =>
  parsePath(path).reduce((text, step) => {
    if (step.kind === "index") return `${text}[]`;
    if (step.kind === "key") return `${text}{}`;
    return text === "" ? step.name : `${text}.${step.name}`;
  }, "");

/** A copy of `base` with these values in it; what stands above a value is made when it is absent. */
export function withValues(base: object, values: Given): object {
  const copy: unknown = structuredClone(base);
  for (const [path, value] of Object.entries(values)) setValue(copy as Record<string, unknown>, parsePath(path), value);
  return copy as object;
}

function setValue(target: Record<string, unknown>, steps: readonly Step[], value: unknown): void {
  const [step, next, ...rest] = steps;
  if (step === undefined) return;
  const name = step.kind === "index" ? String(step.index) : step.name;
  if (next !== undefined) {
    target[name] ??= next.kind === "index" ? [] : {};
    setValue(target[name] as Record<string, unknown>, [next, ...rest], value);
  } else if (value === undefined) delete target[name];
  else target[name] = structuredClone(value);
}

/** In YAML 1.1, as Kubernetes reads it: "yes" and "on" are written in quotes, so that every reader takes them for text. */
const toText = (manifest: object): string => stringify(manifest, { version: "1.1", aliasDuplicateObjects: false, lineWidth: 0 });

const label = (value: unknown): string => {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length <= 40 ? text : `${text.slice(0, 30)}… (${text.length} characters)`;
};

/** What one row of a table says about a place. */
export interface Fault {
  readonly keyword: string;
  readonly bound: unknown;
  /** The API server's words. */
  readonly server: string;
  /** Our own words, where they differ. */
  readonly offline?: string;
  /** The place of the API server's fault, when it is not the one that is set. */
  readonly serverPath?: string;
  readonly offlinePath?: string;
  /** The schema's place, when it is not the one that is set. */
  readonly at?: string;
}

/** Makes the rows of one base manifest. */
export interface RowMaker {
  bad(path: string, value: unknown, fault: Fault, given?: Given): ManifestRows;
  good(path: string, value: unknown, given?: Given): ManifestRows;
}

export function rowMaker(base: object): RowMaker {
  const build = (path: string, value: unknown, given: Given): string => toText(withValues(base, { ...given, [path]: value }));
  return {
    bad: (path, value, fault, given = {}) => ({
      bad: [
        {
          name: `${path}: ${label(value)} (${fault.keyword}${fault.keyword === "rule" ? `: ${fault.server.slice(0, 60)}` : ""})`,
          manifest: build(path, value, given),
          expectedPath: serverPath(fault.serverPath ?? path),
          expectedMessage: fault.server,
          offline: { path: faultPath(fault.offlinePath ?? fault.serverPath ?? path), message: fault.offline ?? fault.server },
          breaks: { at: schemaPath(fault.at ?? path), keyword: fault.keyword, bound: fault.bound },
        },
      ],
      good: [],
    }),
    good: (path, value, given = {}) => ({ bad: [], good: [{ name: `${path}: ${label(value)}`, manifest: build(path, value, given) }] }),
  };
}

export function joinRows(...rows: readonly ManifestRows[]): ManifestRows {
  return { bad: rows.flatMap((row) => row.bad), good: rows.flatMap((row) => row.good) };
}
