import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { freePort } from "../../../test/peers/free-port.js";
import { waitFor } from "../../../test/peers/wait-for.js";
import { LocalFleet } from "../local/local-fleet.js";
import { readManifest } from "../local/manifest-file.js";
import { openClients, type StormClients } from "./clients.js";
import { publishToAll } from "./publish.js";
import { Tally } from "./tally.js";

const secret = "secret";
let fleet: LocalFleet;
let ports: { readonly client: number; readonly http: number; readonly console: number };

beforeEach(async () => {
  const manifestFile = join(mkdtempSync(join(tmpdir(), "pushfleet-storm-")), "fleet.yaml");
  writeFileSync(
    manifestFile,
    `apiVersion: pushfleet.dev/v1alpha1
kind: PushGateway
metadata: { name: stormed }
spec: { pools: [{ name: default, minReplicas: 1, maxReplicas: 1, softConnections: 100, hardConnections: 200 }] }
`,
  );
  const read = readManifest(manifestFile);
  if (read.kind !== "manifest") throw new Error("the manifest is right");
  ports = { client: await freePort(), http: await freePort(), console: 0 };
  fleet = new LocalFleet({ manifestFile, manifest: read.manifest, jwtSecret: secret, ports, report: () => {} });
  await fleet.start();
});
afterEach(() => fleet.stop());

test("two storms on one fleet at once take nothing from each other: neither connections nor notifications", async () => {
  const url = `ws://127.0.0.1:${ports.client}/connect`;
  const opened: StormClients[] = [];
  const open = async () => {
    const tally = new Tally();
    const clients = await openClients({ url, count: 5, secret, tally, signal: new AbortController().signal });
    opened.push(clients);
    return { tally, clients };
  };
  try {
    const runs = [await open(), await open()];
    for (const { tally, clients } of runs) {
      const publishUrl = `http://127.0.0.1:${ports.http}/v1/notifications`;
      expect(await publishToAll({ url: publishUrl, users: clients.users, round: 0, tally })).toEqual({ refused: 0 });
    }
    await waitFor(() => runs.every(({ tally }) => tally.missing === 0), { what: "every notification" });
    for (const { tally, clients } of runs) {
      expect([clients.live(), clients.opened(), tally.delivered, tally.duplicates]).toEqual([5, 5, 5, 0]);
    }
  } finally {
    for (const clients of opened) clients.close();
  }
});
