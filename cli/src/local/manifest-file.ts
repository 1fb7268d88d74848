import { readFileSync } from "node:fs";
import { type Manifest, parseManifest } from "@pushfleet/operator";
import { describeFault } from "@pushfleet/protocol";

export type ReadManifest =
  | { readonly kind: "manifest"; readonly manifest: Manifest; readonly text: string }
  | { readonly kind: "faults"; readonly lines: readonly string[]; readonly text: string | undefined };

/** Reads and checks a manifest file; `lines` say all that is wrong, ready to print. */
export function readManifest(file: string): ReadManifest {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    return {
      kind: "faults",
      text: undefined,
      lines: [`${file}: cannot be read, expected a PushGateway manifest (${(cause as Error).message})`],
    };
  }
  const parsed = parseManifest(text);
  if (parsed.kind === "manifest") return { kind: "manifest", manifest: parsed.manifest, text };
  return { kind: "faults", text, lines: parsed.faults.map((fault) => `${file}: ${describeFault(fault)}`) };
}
