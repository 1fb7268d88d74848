import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { readManifest } from "./manifest-file.js";
import { WatchedManifest } from "./watched-manifest.js";

const text = (spec: string, name = "demo") =>
  `apiVersion: pushfleet.dev/v1alpha1\nkind: PushGateway\nmetadata: { name: ${name} }\nspec: ${spec}\n`;

let file: string;
let reports: string[];
let watched: WatchedManifest;

beforeEach(() => {
  file = join(mkdtempSync(join(tmpdir(), "pushfleet-watched-")), "fleet.yaml");
  writeFileSync(file, text("{}"));
  const read = readManifest(file);
  if (read.kind !== "manifest") throw new Error("the manifest is right");
  reports = [];
  watched = new WatchedManifest({ file, manifest: read.manifest, report: (line) => reports.push(line) });
});

function save(content: string): string {
  writeFileSync(file, content);
  expect(watched.reread()).toBe("unchanged");
  return watched.reread();
}

test("a right edit is applied once", () => {
  expect(save(text("{ dryRun: true }"))).toBe("applied");
  expect(watched.current.spec.dryRun).toBe(true);
  expect(watched.reread()).toBe("unchanged");
  expect(reports).toEqual([`${file} was applied`]);
});

test("a wrong edit is told once, with every fault, and what was right stays", () => {
  expect(save(text("{ dryRun: maybe, drain: { deadlineSeconds: 1 } }"))).toBe("refused");
  expect(watched.reread()).toBe("unchanged");
  expect(watched.current.spec.dryRun).toBe(false);
  expect(reports.join("\n")).toMatch(/spec\.drain\.deadlineSeconds: 1 .*\n.*spec\.dryRun: "maybe".*\n.*the edit was not applied/);
  expect(save(text("{}"))).toBe("applied");
});

test("another name and a file that is gone are refused; the file may come back", () => {
  expect(save(text("{}", "other"))).toBe("refused");
  rmSync(file);
  expect([watched.reread(), watched.reread(), watched.reread()]).toEqual(["unchanged", "refused", "unchanged"]);
  expect(watched.current.name).toBe("demo");
  expect(reports.join("\n")).toMatch(/a running fleet keeps its name[\s\S]*cannot be read/);
  expect(save(text("{ dryRun: true }"))).toBe("applied");
});

test("a file that is only half written is not judged", () => {
  writeFileSync(file, "");
  expect(watched.reread()).toBe("unchanged");
  writeFileSync(file, text("{ dryRun: true }"));
  expect([watched.reread(), watched.reread()]).toEqual(["unchanged", "applied"]);
  expect(reports).toEqual([`${file} was applied`]);
});

test("what is read at the start only is applied to nothing, and said", () => {
  expect(save(text('{ registry: { kind: Redis, url: "redis://127.0.0.1" }, dryRun: true }'))).toBe("applied");
  expect(reports[1]).toBe("spec.registry: is read at the start, restart pushfleet local for this change");
  expect(reports).toHaveLength(2);
  expect(watched.current.spec).toMatchObject({ dryRun: true });
  expect(watched.current.spec).not.toHaveProperty("registry");
});

test("what decides who gets in and is not read here is told, once", () => {
  const auth = "gateway: { auth: { hs256SecretRef: { name: jwt, key: key } }, tls: { secretName: clients } }";
  const http = "router: { http: { apiTokensSecretRef: { name: publishers, key: tokens } } }";
  expect(save(text(`{ ${auth}, ${http} }`))).toBe("applied");
  expect(reports.slice(1)).toEqual([
    "spec.gateway.auth.hs256SecretRef: is not read in local mode: tokens are checked with --jwt-secret (HS256)",
    "spec.gateway.tls: is not read in local mode: clients come to 127.0.0.1 without TLS",
    "spec.router.http: is not read in local mode: publishers on 127.0.0.1 need no token",
  ]);
  reports.length = 0;
  expect(save(text(`{ ${auth}, ${http}, dryRun: true }`))).toBe("applied");
  expect(reports).toEqual([`${file} was applied`]);
  expect(save(text("{ gateway: { auth: { jwksUrl: 'https://issuer.example/jwks' } } }"))).toBe("applied");
  expect(reports.at(-1)).toBe("spec.gateway.auth.jwksUrl: is not read in local mode: tokens are checked with --jwt-secret (HS256)");
});
