import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { LocalFleet } from "./local-fleet.js";
import { readManifest } from "./manifest-file.js";

const manifestText = (minReplicas: number | string, name = "edited") => `apiVersion: pushfleet.dev/v1alpha1
kind: PushGateway
metadata: { name: ${name} }
spec:
  gateway: { auth: { hs256SecretRef: { name: jwt, key: key } } }
  pools: [{ name: default, minReplicas: ${minReplicas}, maxReplicas: 4, softConnections: 100, hardConnections: 200 }]
`;

test("a bad edit of the manifest is reported and changes nothing that runs; a good one is applied", async () => {
  const manifestFile = join(mkdtempSync(join(tmpdir(), "pushfleet-local-")), "fleet.yaml");
  writeFileSync(manifestFile, manifestText(2));
  const read = readManifest(manifestFile);
  if (read.kind !== "manifest") throw new Error("the manifest is right");
  const reports: string[] = [];
  const fleet = new LocalFleet({
    manifestFile,
    manifest: read.manifest,
    jwtSecret: "secret",
    ports: { client: 0, http: 0, console: 0 },
    report: (line) => reports.push(line),
  });
  const serving = () =>
    fleet
      .live()
      .status?.pods.filter((pod) => pod.state === "Serving")
      .map((pod) => pod.name) ?? [];
  const reported = (text: string) => vi.waitFor(() => expect(reports.join("\n")).toContain(text), { timeout: 10_000 });
  try {
    await fleet.start();
    const before = serving();
    expect(before).toHaveLength(2);
    expect(reports.splice(0)).toEqual([expect.stringContaining("spec.gateway.auth.hs256SecretRef: is not read in local mode")]);
    writeFileSync(manifestFile, manifestText("lots"));
    await reported("the edit was not applied");
    expect(reports[0]).toContain('spec.pools[0].minReplicas: "lots" is not right');
    writeFileSync(manifestFile, manifestText(2, "other"));
    await reported("a running fleet keeps its name");
    expect(serving()).toEqual(before);
    writeFileSync(manifestFile, manifestText(3));
    await reported("was applied");
    await vi.waitFor(() => expect(serving()).toHaveLength(3), { timeout: 10_000 });
    expect(serving()).toEqual(expect.arrayContaining(before));
  } finally {
    await fleet.stop();
  }
});
