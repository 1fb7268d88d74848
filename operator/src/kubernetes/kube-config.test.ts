import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { RequestOptions } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { loadKubeConfig } from "./kube-config.js";

const folder = mkdtempSync(join(tmpdir(), "pushfleet-kube-config-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(server: string): string {
  const file = join(folder, "config");
  const clusters = [{ name: "c", cluster: { server } }];
  const contexts = [{ name: "x", context: { cluster: "c", user: "u" } }];
  const users = [{ name: "u", user: { token: "secret" } }];
  writeFileSync(file, JSON.stringify({ clusters, contexts, users, "current-context": "x" }));
  return file;
}

// `kubectl proxy`: there is no certificate to look at. client-node refuses each request unless it is told not to look.
test.each([
  ["http://127.0.0.1:8001", false],
  ["https://127.0.0.1:6443", undefined],
])("a kubeconfig with the server %s gives credentials", async (server, rejectUnauthorized) => {
  const applied: RequestOptions = { headers: {} };
  await loadKubeConfig(write(server)).applyToHTTPSOptions(applied);
  expect(applied.headers).toEqual({ Authorization: "Bearer secret" });
  expect(applied.rejectUnauthorized).toBe(rejectUnauthorized);
});
