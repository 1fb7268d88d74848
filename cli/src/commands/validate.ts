import { type ParsedDocument, type ParsedManifests, parseManifests } from "@pushfleet/operator";
import { describeFault, type Fault } from "@pushfleet/protocol";
import type { ExitCode, Io, OutputFormat } from "../io.js";
import { describeUnusable, faultsOf, readText } from "../local/manifest-file.js";

export interface ValidateOptions {
  readonly file: string;
  readonly output: OutputFormat;
}

type Read = ParsedManifests | { readonly kind: "unreadable"; readonly why: string };

/** Checks each PushGateway of a file against the CRD's schema, and passes over objects of other kinds. 0: all are right; 2: faults, all of them,
 *  each with its path and, where there are several documents, with the document that it is in. */
export async function validate(options: ValidateOptions, io: Io): Promise<ExitCode> {
  const text = readText(options.file === "-" ? "/dev/stdin" : options.file);
  const read: Read = text.kind === "text" ? parseManifests(text.text) : text;
  const { faults, lines, counts } = read.kind === "manifests" ? judge(options.file, read) : unusable(options.file, read);
  if (options.output === "json") io.out(`${JSON.stringify({ valid: faults.length === 0, faults, ...counts })}\n`);
  else for (const line of lines) (faults.length === 0 ? io.out : io.error)(`${line}\n`);
  return faults.length === 0 ? 0 : 2;
}

interface Verdict {
  readonly faults: readonly (Fault & { readonly document?: number })[];
  /** For a person. */
  readonly lines: readonly string[];
  readonly counts: { readonly checked: number; readonly passedOver: number } | undefined;
}

function unusable(file: string, read: Exclude<Read, { kind: "manifests" }>): Verdict {
  return { faults: faultsOf(file, read), lines: describeUnusable(file, read), counts: undefined };
}

/** A file of one document needs neither positions nor counts. */
function judge(file: string, { documents, manifests }: Extract<Read, { kind: "manifests" }>): Verdict {
  const isAlone = documents === 1;
  const faults = manifests.flatMap((one) => faultsIn(one).map((fault) => ({ ...fault, ...(isAlone ? {} : { document: one.position }) })));
  const counts = isAlone ? undefined : { checked: manifests.length, passedOver: documents - manifests.length };
  if (faults.length === 0) return { faults, lines: [`${file}: right${counts === undefined ? "" : describeCounts(counts)}`], counts };
  const where = ({ document }: { readonly document?: number }) => (document === undefined ? file : `${file}: document ${document}`);
  return { faults, lines: faults.map((fault) => `${where(fault)}: ${describeFault(fault)}`), counts };
}

function faultsIn({ parsed }: ParsedDocument): readonly Fault[] {
  return parsed.kind === "faults" ? parsed.faults : [];
}

function describeCounts({ checked, passedOver }: { readonly checked: number; readonly passedOver: number }): string {
  const passed = passedOver === 1 ? "1 object of another kind" : `${passedOver} objects of other kinds`;
  return `: ${checked} PushGateway${checked === 1 ? "" : "s"} checked, ${passed} passed over`;
}
