import { readFileSync } from "node:fs";
import { parseManifest } from "@pushfleet/operator";
import { describeFault } from "@pushfleet/protocol";
import type { ExitCode, Io, OutputFormat } from "../io.js";

export interface ValidateOptions {
  readonly file: string;
  readonly output: OutputFormat;
}

/** Checks a manifest against the CRD's schema. 0: right; 2: faults, all of them, each with its path. */
export async function validate(options: ValidateOptions, io: Io): Promise<ExitCode> {
  let text: string;
  try {
    text = readFileSync(options.file === "-" ? 0 : options.file, "utf8");
  } catch (cause) {
    io.error(`pushfleet validate: ${options.file} cannot be read (${(cause as Error).message})\n`);
    return 2;
  }
  const parsed = parseManifest(text);
  const faults = parsed.kind === "faults" ? parsed.faults : [];
  if (options.output === "json") io.out(`${JSON.stringify({ valid: faults.length === 0, faults })}\n`);
  else if (faults.length === 0) io.out(`${options.file}: right\n`);
  else for (const fault of faults) io.error(`${options.file}: ${describeFault(fault)}\n`);
  return faults.length === 0 ? 0 : 2;
}
