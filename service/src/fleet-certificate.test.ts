import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type TemporaryFolder, temporaryFolder } from "../../test/peers/temporary-folder.js";
import { waitFor } from "../../test/peers/wait-for.js";
import { ExampleAuthority } from "../../test/support/certificates.js";
import { MountedSecret } from "../../test/support/mounted-secret.js";
import { type FleetCertificate, openCertificate, type TlsFiles, type TlsPem } from "./fleet-certificate.js";
import { createLogger } from "./logging.js";
import { ManualClock } from "./manual-clock.js";

const uri = "pushfleet://shop/demo/gateway/demo-default-0";
const hourMs = 3600_000;
let folder: TemporaryFolder;
let authority: ExampleAuthority;
let secret: MountedSecret;
let files: TlsFiles;
let certificate: FleetCertificate | undefined;
const clock = new ManualClock(Date.now());
const logger = createLogger("test", "silent");

beforeEach(async () => {
  folder = await temporaryFolder("certificate");
  authority = await ExampleAuthority.create();
  secret = new MountedSecret(folder.path, asFiles(await authority.issue({ uris: [uri] })));
  files = { certFile: secret.path("tls.crt"), keyFile: secret.path("tls.key"), caFile: secret.path("ca.crt") };
});
afterEach(async () => {
  certificate?.stop();
  vi.restoreAllMocks();
  await folder.remove();
});

const asFiles = ({ cert, key, ca }: TlsPem) => ({ "tls.crt": cert, "tls.key": key, "ca.crt": ca });
const open = (): FleetCertificate => {
  certificate = openCertificate(files, { clock, logger });
  return certificate;
};

/** Looks, as time passes, until `logger[level]` was called. */
async function until(level: "info" | "warn"): Promise<readonly unknown[]> {
  const logged = vi.spyOn(logger, level);
  return await waitFor(
    () => {
      clock.advance(1_000);
      return logged.mock.calls.at(-1);
    },
    { what: `a line of level ${level}` },
  );
}

describe("a certificate in files", () => {
  test("is renewed when a kubelet swaps them", async () => {
    const one = open();
    expect(one.identity).toEqual({ namespace: "shop", fleet: "demo", role: "gateway", id: "demo-default-0" });
    const renewed = await authority.issue({ uris: [uri], validMs: 10 * hourMs });
    secret.write(asFiles(renewed));
    expect(await until("info")).toEqual([{ validUntilMs: expect.any(Number) }, "certificate renewed"]);
    expect(one.validUntilMs).toBeGreaterThan(Date.now() + 9 * hourMs);
    const shown = await new Promise<string>((resolve) => {
      one.provider.addIdentityCertificateListener((update) => resolve(String(update?.certificate)));
    });
    expect(shown).toBe(renewed.cert);
  });

  test.each<readonly [string, () => Promise<TlsPem>]>([
    ["half written", async () => ({ ...(await authority.issue({ uris: [uri] })), cert: "-----BEGIN CERTIFICATE-----\nMIIB" })],
    ["with another one's key", async () => ({ ...(await authority.issue({ uris: [uri] })), key: (await authority.issue({})).key })],
    ["of another identity", () => authority.issue({ uris: ["pushfleet://shop/demo/router/demo-router"] })],
    ["that is over", () => authority.issue({ uris: [uri], validMs: -1 })],
    ["empty", async () => ({ cert: "", key: "", ca: "" })],
  ])("keeps the old one when the new one is %s, says so once, and takes the next right one", async (_, make) => {
    const one = open();
    const was = one.validUntilMs;
    secret.write(asFiles(await make()));
    const warned = vi.spyOn(logger, "warn");
    await until("warn");
    for (let i = 0; i < 20; i++) {
      clock.advance(1_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(warned).toHaveBeenCalledTimes(1);
    expect(one.validUntilMs).toBe(was);
    secret.write(asFiles(await authority.issue({ uris: [uri], validMs: 10 * hourMs })));
    await until("info");
    expect(one.validUntilMs).toBeGreaterThan(was);
  });

  test("that cannot be read, or names no process, is a fault at the start", async () => {
    expect(() => openCertificate({ ...files, keyFile: "/nowhere" }, { clock, logger })).toThrow(/ENOENT.*nowhere/);
    secret.write(asFiles(await authority.issue({ hosts: ["a.example"] })));
    expect(open).toThrow(/expected one subject alternative name URI:pushfleet/);
  });
});
