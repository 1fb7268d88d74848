import type { ExitCode, Io, OutputFormat } from "../io.js";
import { describeUnusable, faultsOf, readManifest } from "../local/manifest-file.js";

export interface ValidateOptions {
  readonly file: string;
  readonly output: OutputFormat;
}

/** Checks a manifest against the CRD's schema. 0: right; 2: faults, all of them, each with its path. */
export async function validate(options: ValidateOptions, io: Io): Promise<ExitCode> {
  const read = readManifest(options.file === "-" ? "/dev/stdin" : options.file);
  const faults = read.kind === "manifest" ? [] : faultsOf(options.file, read);
  if (options.output === "json") io.out(`${JSON.stringify({ valid: faults.length === 0, faults })}\n`);
  else if (read.kind === "manifest") io.out(`${options.file}: right\n`);
  else for (const line of describeUnusable(options.file, read)) io.error(`${line}\n`);
  return faults.length === 0 ? 0 : 2;
}
