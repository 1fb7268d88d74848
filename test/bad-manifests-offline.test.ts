import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseDocument } from "yaml";
import { readManifest } from "../cli/src/local/manifest-file.js";
import { WatchedManifest } from "../cli/src/local/watched-manifest.js";
import { run } from "../cli/src/run.js";
import { parseManifest } from "../operator/src/manifest.js";
import { describeFault } from "../protocol/src/index.js";
import { type TemporaryFolder, temporaryFolder } from "./peers/temporary-folder.js";
import { badManifests, goodManifests } from "./support/bad-manifests.js";

/** The judges that need no API server. Each is held against the table that the API server is held against. */

let folder: TemporaryFolder;
let file: string;

beforeAll(async () => {
  folder = await temporaryFolder("manifests");
  file = join(folder.path, "fleet.yaml");
});
afterAll(() => folder.remove());

const named = (name: unknown): string =>
  JSON.stringify({ apiVersion: "pushfleet.dev/v1alpha1", kind: "PushGateway", metadata: { name }, spec: {} });

async function validate(...more: readonly string[]): Promise<{ readonly code: number; readonly out: string; readonly error: string }> {
  const seen = { out: "", error: "" };
  const out = (text: string): void => {
    seen.out += text;
  };
  const error = (text: string): void => {
    seen.error += text;
  };
  return { code: await run(["validate", "-f", file, ...more], { out, error, signal: new AbortController().signal }), ...seen };
}

/** What local mode makes of an edit that saves `manifest` over a running fleet of that name. */
function edit(manifest: string): { readonly outcome: string; readonly reports: string } {
  const name: unknown = parseDocument(manifest).toJS()?.metadata?.name;
  writeFileSync(file, named(name));
  const before = readManifest(file);
  writeFileSync(file, named("demo"));
  const running = before.kind === "manifest" ? before : readManifest(file);
  if (running.kind !== "manifest") throw new Error("an empty spec is right");
  const reports: string[] = [];
  const watched = new WatchedManifest({ file, manifest: running.manifest, report: (line) => reports.push(line) });
  writeFileSync(file, `${manifest}\n`);
  watched.reread();
  const outcome = watched.reread();
  if (outcome === "refused") expect(watched.current).toBe(running.manifest);
  return { outcome, reports: reports.join("\n") };
}

describe("a bad manifest is refused with its path and what would be right", () => {
  test.each(badManifests.map((row) => [row.name, row] as const))("%s", async (_name, { manifest, offline }) => {
    const parsed = parseManifest(manifest);
    const faults = parsed.kind === "faults" ? parsed.faults : [];
    const told = faults.filter((fault) => fault.path === offline.path).map(describeFault);
    expect(told.join("\n"), JSON.stringify(faults)).toContain(offline.message);

    writeFileSync(file, manifest);
    const asText = await validate();
    expect([asText.code, asText.out]).toEqual([2, ""]);
    expect(asText.error).toContain(`${offline.path}: `);
    const asJson = await validate("-o", "json");
    expect([asJson.code, asJson.error]).toEqual([2, ""]);
    expect(JSON.parse(asJson.out)).toEqual({ valid: false, faults: JSON.parse(JSON.stringify(faults)) });

    const edited = edit(manifest);
    expect(edited.outcome).toBe("refused");
    expect(edited.reports).toContain(`${offline.path}: `);
  });
});

describe("a good manifest is taken", () => {
  test.each(goodManifests.map((row) => [row.name, row] as const))("%s", async (_name, { manifest }) => {
    expect(parseManifest(manifest)).toMatchObject({ kind: "manifest" });
    writeFileSync(file, manifest);
    expect(await validate()).toEqual({ code: 0, out: `${file}: right\n`, error: "" });
    expect(edit(manifest).outcome).toBe("applied");
  });
});
