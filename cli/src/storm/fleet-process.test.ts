import { mkdtempSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startFleetProcess } from "./fleet-process.js";

/** The console of a fleet that serves. */
const console = createServer((_, response) => response.end(JSON.stringify({ status: { podsByState: { Serving: 3 } } })));
let consolePort: number;

beforeEach(async () => {
  await new Promise<void>((resolve) => console.listen(0, "127.0.0.1", resolve));
  consolePort = (console.address() as AddressInfo).port;
});
afterEach(() => {
  console.closeAllConnections();
  console.close();
});

function start(script: string) {
  const program = join(mkdtempSync(join(tmpdir(), "pushfleet-storm-")), "local.mjs");
  writeFileSync(program, script);
  return startFleetProcess({ manifest: "fleet.yaml", secret: "secret", print: () => {}, program, consolePort });
}

test("a fleet that another process runs on the same ports is not taken for the one that was started", async () => {
  await expect(start("setTimeout(() => process.exit(1), 300);")).rejects.toThrow("pushfleet local ended with 1");
});

test("a fleet is there when it says that it is up and a gateway serves", async () => {
  const fleet = await start('console.log("pushfleet demo is up"); setInterval(() => {}, 1000);');
  expect((await fleet.status()).podsByState.Serving).toBe(3);
  await fleet.stop();
});
