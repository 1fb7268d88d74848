import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { readSource, type SourceText } from "./source-text.js";

/** A file as git names it, `/` between its folders. */
export interface TreeFile {
  readonly path: string;
  readonly text: string;
}

/** The files that git tracks or would: no ignored ones, no deleted ones. Binary files are left out. */
export function treeFiles(root: string): readonly TreeFile[] {
  const listed = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "-z"], { cwd: root, encoding: "utf8", maxBuffer: 64e6 });
  return listed
    .split("\0")
    .filter((path) => path !== "" && existsSync(join(root, path)))
    .map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }))
    .filter(({ text }) => !text.includes("\0"));
}

/** The house rules. Each answer is "path:line: what is wrong, and what to do instead". */
export function tidyFaults(files: readonly TreeFile[], longFiles: LongFiles): readonly string[] {
  return [...files.flatMap(fileFaults), ...lengthFaults(files, longFiles), ...readmeFaults(files)];
}

/** Files above `sourceLinesMax` lines with their present size, which may only shrink. */
export type LongFiles = Readonly<Record<string, number>>;

export const sourceLinesMax = 400;
export const lineLengthMax = 160;

const isSource = (path: string): boolean => /\.(ts|tsx|js|mjs)$/.test(path);
const isTest = (path: string): boolean => /\.test(-suite)?\.tsx?$/.test(path);
/** `core/` of any package, and all of protocol: plain values in and out. */
const isPure = (path: string): boolean => /^(?:[^/]+\/src\/core\/|protocol\/src\/)/.test(path) && !isTest(path);

function fileFaults(file: TreeFile): readonly string[] {
  const faults = [...nameFaults(file), ...wordFaults(file)];
  if (file.path.endsWith("package.json")) faults.push(...versionFaults(file));
  if (/\.(ts|tsx|js|mjs|ya?ml|proto|lua|sh)$|(^|\/)Makefile$/.test(file.path)) faults.push(...lineLengthFaults(file));
  if (!isSource(file.path)) return faults;
  const source = readSource(file.text);
  if (/^[^/]+\/src\//.test(file.path)) faults.push(...bannedFaults(file, source.codeOnly, inSources), ...importFaults(file, source));
  if (isPure(file.path)) faults.push(...bannedFaults(file, source.codeOnly, inCore));
  if (isTest(file.path) && !file.path.startsWith("test/peers/")) faults.push(...bannedFaults(file, source.codeOnly, inTests));
  return faults;
}

interface Banned {
  readonly pattern: RegExp;
  readonly instead: string;
}

const inCore: readonly Banned[] = [
  { pattern: /\bDate\.now\b/g, instead: "take `nowMs` as an argument: core has no clock" },
  { pattern: /\bnew Date\(\s*\)/g, instead: "take `nowMs` as an argument: core has no clock" },
  { pattern: /\bperformance\.now\b/g, instead: "take `nowMs` as an argument: core has no clock" },
  { pattern: /\bMath\.random\b/g, instead: "take a `random: () => number` as an argument: core is deterministic" },
  { pattern: /\bset(?:Timeout|Interval)\b/g, instead: "return when to wake, and let the shell wait: core has no timers" },
];

const inSources: readonly Banned[] = [
  {
    pattern: /(?::|\bas|\bsatisfies|\bextends|=>|[<,|&(])\s*any\b(?!\s*[:(?.=])/g,
    instead: "`any` switches the compiler off: use `unknown` and parse it, or the type itself",
  },
  {
    pattern: /^\s*(?:export\s+)?(?:declare\s+)?(?:const\s+)?enum\s+\w/gm,
    instead: '`enum` is not plain JavaScript: use a union of string literals, `type State = "open" | "closed"`',
  },
];

/** `.only` or `.skip` of what vitest gives, not of anything else that has a method of that name. */
function testCall(word: string): RegExp {
  return new RegExp(`\\b(?:test|it|describe|suite|context|ctx)(?:\\.\\w+)*\\.${word}\\b\\s*[.(\`]`, "g");
}

const inTests: readonly Banned[] = [
  { pattern: testCall("only"), instead: "`.only` hides the other tests: remove it before committing" },
  { pattern: testCall("skip"), instead: "`.skip` hides a test: repair or delete it; a missing peer skips through test/peers" },
];

function bannedFaults({ path }: TreeFile, code: string, banned: readonly Banned[]): readonly string[] {
  return banned.flatMap(({ pattern, instead }) =>
    [...code.matchAll(pattern)].map((match) => {
      const start = match.index + match[0].length - match[0].trimStart().length;
      return `${path}:${lineAt(code, start)}: ${match[0].trim()}: ${instead}`;
    }),
  );
}

const lineAt = (text: string, index: number): number => text.slice(0, index).split("\n").length;

/** DESIGN's table of packages: what each may import. `protocol` imports nothing at all. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  service: ["protocol"],
  registry: ["protocol", "service"],
  gateway: ["protocol", "service", "registry"],
  router: ["protocol", "service", "registry"],
  operator: ["protocol", "service"],
  client: ["protocol"],
  cli: ["protocol", "service", "registry", "gateway", "router", "operator", "client"],
};

function importFaults({ path }: TreeFile, { withoutComments, codeOnly }: SourceText): readonly string[] {
  const workspace = path.split("/")[0] ?? "";
  const allowed = mayImport[workspace];
  if (allowed === undefined) return [];
  return importsOf(withoutComments, codeOnly).flatMap(({ specifier, typeOnly, index }) => {
    const fault = importFault({ path, workspace, allowed, specifier, typeOnly });
    return fault === undefined ? [] : [`${path}:${lineAt(withoutComments, index)}: imports "${specifier}": ${fault}`];
  });
}

interface Import {
  readonly specifier: string;
  readonly typeOnly: boolean;
  readonly index: number;
}

/** `import … from`, `export … from`, `import "…"`, `import("…")`. The keyword must stand in code, the specifier is read where the strings are. */
function importsOf(withoutComments: string, codeOnly: string): readonly Import[] {
  const statement = /\b(import|export)\b(\s+type\b)?(?:[\w\s{},*$]*?\bfrom)?\s*\(?\s*(["'])([^"'\n]*)\3/g;
  return [...withoutComments.matchAll(statement)]
    .filter((match) => codeOnly.startsWith(match[1] ?? "", match.index))
    .map((match) => ({ specifier: match[4] ?? "", typeOnly: match[2] !== undefined, index: match.index }));
}

interface ImportToJudge {
  readonly path: string;
  readonly workspace: string;
  readonly allowed: readonly string[];
  readonly specifier: string;
  readonly typeOnly: boolean;
}

function importFault({ path, workspace, allowed, specifier, typeOnly }: ImportToJudge): string | undefined {
  if (specifier.startsWith(".")) {
    const target = posix.join(posix.dirname(path), specifier);
    const own = target.startsWith(`${workspace}/`) || (isTest(path) && /^test\/(peers|support)\//.test(target));
    return own ? undefined : `it leaves ${workspace}/: import the package by its name, @pushfleet/…`;
  }
  const other = /^@pushfleet\/([^/]+)/.exec(specifier)?.[1];
  if (other === workspace) return "a package imports itself by a relative path";
  if (other !== undefined && !allowed.includes(other)) {
    return `${workspace} may import ${allowed.length === 0 ? "no package" : allowed.join(", ")}; what crosses packages belongs in cli/ or test/`;
  }
  if (isTest(path)) return undefined;
  if (workspace === "protocol") return "protocol imports nothing: it is pure, and browsers load it";
  if (workspace === "client" && other !== undefined && !typeOnly) return "the SDK has no dependencies: `import type` only";
  if (isPure(path) && specifier.startsWith("node:")) return "core does no I/O: take what it gives as an argument";
  return undefined;
}

/** Words that say nothing about what is inside. */
function nameFaults({ path }: TreeFile): readonly string[] {
  const words = posix.basename(path).toLowerCase().split(/[-._]/);
  const vague = words.find((word) => ["util", "utils", "helper", "helpers", "common", "manager"].includes(word));
  return vague === undefined ? [] : [`${path}:1: "${vague}" in a file name: name the file after the one thing it does`];
}

/** Put together, so that this file does not contain them. */
const unfinished = new RegExp(`\\b(?:${["TO", "DO"].join("")}|${["FIX", "ME"].join("")}|${["X", "XX"].join("")})\\b`, "g");

function wordFaults({ path, text }: TreeFile): readonly string[] {
  if (path === "package-lock.json" || path === "LICENSE") return [];
  return [...text.matchAll(unfinished)].map(
    (match) => `${path}:${lineAt(text, match.index)}: ${match[0]}: do it now, or open an issue and say in words what does not work yet`,
  );
}

function lineLengthFaults({ path, text }: TreeFile): readonly string[] {
  return text.split("\n").flatMap((line, index) => {
    const tooLong = line.length > lineLengthMax && !line.includes("https://");
    return tooLong ? [`${path}:${index + 1}: ${line.length} characters: break the line at ${lineLengthMax}`] : [];
  });
}

const exactVersion = /^(?:npm:(?:@[\w.-]+\/)?[\w.-]+@)?\d+\.\d+\.\d+(?:-[\w.]+)?$/;

function versionFaults({ path, text }: TreeFile): readonly string[] {
  const manifest = JSON.parse(text) as Readonly<Record<string, Readonly<Record<string, string>> | undefined>>;
  return ["dependencies", "devDependencies", "optionalDependencies"].flatMap((kind) =>
    Object.entries(manifest[kind] ?? {})
      .filter(([, version]) => !exactVersion.test(version))
      .map(([name, version]) => `${path}:1: ${kind} has ${name} "${version}": write the exact version, such as "1.2.3"`),
  );
}

function lengthFaults(files: readonly TreeFile[], longFiles: LongFiles): readonly string[] {
  const sizes = new Map(files.filter(({ path }) => isSource(path)).map(({ path, text }) => [path, text.trimEnd().split("\n").length]));
  const tooLong = [...sizes].flatMap(([path, lines]) => {
    const most = longFiles[path] ?? sourceLinesMax;
    return lines > most ? [`${path}:${most + 1}: ${lines} lines: split it by what it does, at most ${most}`] : [];
  });
  const stale = Object.entries(longFiles).flatMap(([path, most]) => {
    const lines = sizes.get(path) ?? 0;
    if (lines > sourceLinesMax)
      return lines < most ? [`${path}:1: shrunk to ${lines} lines: write that in longFiles instead of ${most}`] : [];
    return [`${path}:1: ${lines === 0 ? "gone" : `only ${lines} lines`}: remove it from longFiles`];
  });
  return [...tooLong, ...stale];
}

/** Every top-level folder, workspaces among them, tells a reader what it is. Folders with a dot are tools'. */
function readmeFaults(files: readonly TreeFile[]): readonly string[] {
  const paths = new Set(files.map(({ path }) => path));
  const folders = new Set([...paths].filter((path) => path.includes("/") && !path.startsWith(".")).map((path) => path.split("/")[0] ?? ""));
  return [...folders]
    .filter((folder) => !paths.has(`${folder}/README.md`))
    .map((folder) => `${folder}/README.md:1: missing: write a screen on what the folder is, for a reader who comes from the root`);
}
