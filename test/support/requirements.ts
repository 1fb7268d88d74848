import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readSource } from "./source-text.js";

/** One row of docs/requirements.md. */
export interface Requirement {
  readonly id: string;
  readonly line: number;
  readonly statement: string;
  readonly verdict: Verdict;
  readonly proof: Proof;
}

export type Verdict = { readonly kind: "kept" } | { readonly kind: "replaced"; readonly record: number };

export type Proof = { readonly kind: "open" } | { readonly kind: "test"; readonly file: string; readonly name: string };

export interface Requirements {
  readonly rows: readonly Requirement[];
  /** What is wrong with the table itself, each with its line. */
  readonly faults: readonly string[];
}

const header = "| id | statement | verdict | test |";

/** Reads every table of the document. A row that cannot be read is a fault and not a row; nothing in the document makes this throw. */
export function parseRequirements(markdown: string): Requirements {
  const rows: Requirement[] = [];
  const faults: string[] = [];
  let previous = 0;
  for (const [index, text] of markdown.split("\n").entries()) {
    if (!text.startsWith("|") || /^\|( -+ \|)+$/.test(text) || text === header) continue;
    const parsed = parseRow(text, index + 1);
    if (typeof parsed === "string") {
      faults.push(`line ${index + 1}: ${parsed}`);
      continue;
    }
    const expected = `R-${String(previous + 1).padStart(3, "0")}`;
    if (parsed.id !== expected) faults.push(`line ${index + 1}: the id is ${parsed.id}, expected ${expected} (ids count up without a gap)`);
    previous = Number(parsed.id.slice(2));
    rows.push(parsed);
  }
  if (rows.length === 0 && faults.length === 0) faults.push(`there is no row under "${header}"`);
  return { rows, faults };
}

function parseRow(text: string, line: number): Requirement | string {
  const cells = text.split("|").map((cell) => cell.trim());
  if (cells.length !== 6) return `${cells.length - 2} cells, expected 4: ${header}`;
  const [, id = "", statement = "", verdictCell = "", proofCell = ""] = cells;
  if (!/^R-\d{3}$/.test(id)) return `the id is "${id}", expected R- and three digits`;
  if (statement === "") return `${id} has no statement`;
  const verdict = parseVerdict(verdictCell);
  if (verdict === undefined) return `${id}: the verdict is "${verdictCell}", expected "kept" or "replaced by ADR-0000"`;
  const proof = parseProof(proofCell);
  if (proof === undefined) return `${id}: the test is "${proofCell}", expected "open" or "path/to/file.test.ts › name of the test"`;
  return { id, line, statement, verdict, proof };
}

function parseVerdict(cell: string): Verdict | undefined {
  if (cell === "kept") return { kind: "kept" };
  const record = /^replaced by ADR-(\d{4})$/.exec(cell)?.[1];
  return record === undefined ? undefined : { kind: "replaced", record: Number(record) };
}

function parseProof(cell: string): Proof | undefined {
  if (cell === "open") return { kind: "open" };
  const [file = "", name = "", ...rest] = cell.split(" › ");
  if (rest.length > 0 || name === "" || !/\.test\.tsx?$/.test(file)) return undefined;
  return { kind: "test", file, name };
}

/** What the rows name and the tree under `root` does not have: records in docs/adr, test files, tests in them. */
export function missingReferences(rows: readonly Requirement[], root: string): readonly string[] {
  const records = new Set(readdirSync(join(root, "docs/adr")).map((file) => Number(/^(\d{4})-.+\.md$/.exec(file)?.[1] ?? -1)));
  return rows.flatMap((row) => {
    const faults: string[] = [];
    if (row.verdict.kind === "replaced" && !records.has(row.verdict.record)) {
      faults.push(`${row.id} names ADR-${String(row.verdict.record).padStart(4, "0")}, which docs/adr does not have`);
    }
    if (row.proof.kind === "test") faults.push(...missingTest(row.id, row.proof, root));
    return faults;
  });
}

function missingTest(id: string, { file, name }: { readonly file: string; readonly name: string }, root: string): readonly string[] {
  const path = join(root, file);
  if (!existsSync(path)) return [`${id} names ${file}, which does not exist`];
  return testNames(readFileSync(path, "utf8")).has(name) ? [] : [`${id} names the test "${name}", which ${file} does not have`];
}

/** The names given to `test(…)` and `it(…)`, their `.each`, `.skipIf` and other forms included. A name must be a plain string. */
export function testNames(source: string): ReadonlySet<string> {
  const call = /(?<![\w.])(?:test|it)(?:\.\w+(?:\((?:[^()]|\([^()]*\))*\))?)*\(\s*(["'`])((?:\\.|(?!\1).)*)\1/gs;
  return new Set([...readSource(source).withoutComments.matchAll(call)].map((match) => (match[2] ?? "").replace(/\\(.)/g, "$1")));
}
