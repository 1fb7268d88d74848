import { readFileSync } from "node:fs";
import { type Manifest, parseManifest } from "@pushfleet/operator";
import { assertNever, describeFault, type Fault } from "@pushfleet/protocol";

export type ReadText = { readonly kind: "text"; readonly text: string } | { readonly kind: "unreadable"; readonly why: string };

export type ReadManifest =
  | { readonly kind: "manifest"; readonly manifest: Manifest }
  | { readonly kind: "faults"; readonly faults: readonly Fault[] }
  | Extract<ReadText, { kind: "unreadable" }>;

export function readText(file: string): ReadText {
  try {
    return { kind: "text", text: readFileSync(file, "utf8") };
  } catch (cause) {
    return { kind: "unreadable", why: (cause as Error).message };
  }
}

export function readManifest(file: string): ReadManifest {
  const read = readText(file);
  return read.kind === "text" ? parseManifest(read.text) : read;
}

/** All that is wrong: a file that cannot be read is one fault. */
export function faultsOf(file: string, read: Exclude<ReadManifest, { kind: "manifest" }>): readonly Fault[] {
  switch (read.kind) {
    case "unreadable":
      return [{ path: "", value: file, expected: `a PushGateway manifest that can be read (${read.why})` }];
    case "faults":
      return read.faults;
    default:
      return assertNever(read);
  }
}

/** A line each, ready to print. */
export function describeUnusable(file: string, read: Exclude<ReadManifest, { kind: "manifest" }>): readonly string[] {
  if (read.kind === "unreadable") return [`${file}: cannot be read, expected a PushGateway manifest (${read.why})`];
  return read.faults.map((fault) => `${file}: ${describeFault(fault)}`);
}
