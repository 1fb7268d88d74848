import { generateKeyPairSync } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "./free-port.js";
import { createTestAuthority, type KeyPair, type TestAuthority } from "./kubernetes-certificates.js";
import { peerProgram } from "./peer-program.js";
import { type TemporaryFolder, temporaryFolder } from "./temporary-folder.js";

/** Where one control plane lives, and what its parts share. */
export interface KubernetesPlace {
  /** Holds the programs. */
  readonly bin: string;
  /** Configuration, keys and data. */
  readonly folder: TemporaryFolder;
  readonly port: number;
  readonly etcdPort: number;
  readonly url: string;
  readonly authority: TestAuthority;
  /** A member of system:masters, who may do anything. */
  readonly admin: KeyPair;
}

/** Makes the folder with `ca.crt`, `apiserver.crt`, `apiserver.key`, `service-accounts.key` and `service-accounts.pub` in it. */
export async function makeKubernetesPlace(port: number): Promise<KubernetesPlace> {
  const bin = peerProgram("kubernetes");
  const etcdPort = await freePort();
  const folder = await temporaryFolder("kubernetes");
  const authority = await createTestAuthority();
  const admin = await authority.issue({ user: "admin", groups: ["system:masters"] });
  const names = ["localhost", "kubernetes.default.svc"];
  const server = await authority.issue({ user: "kube-apiserver", addresses: ["127.0.0.1"], names });
  const tokens = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const files = {
    "ca.crt": authority.certificatePem,
    "apiserver.crt": server.certificatePem,
    "apiserver.key": server.keyPem,
    "service-accounts.key": tokens.privateKey.export({ type: "sec1", format: "pem" }),
    "service-accounts.pub": tokens.publicKey.export({ type: "spki", format: "pem" }),
  };
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(folder.path, name), text, { mode: 0o600 })));
  return { bin, folder, port, etcdPort, url: `https://127.0.0.1:${port}`, authority, admin };
}

/** Writes a kubeconfig that needs no other file, and returns its path. */
export async function writeKubeconfig(place: KubernetesPlace, name: string, { certificatePem, keyPem }: KeyPair): Promise<string> {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  const path = join(place.folder.path, `${name}.kubeconfig`);
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "test",
    contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
    clusters: [{ name: "test", cluster: { server: place.url, "certificate-authority-data": base64(place.authority.certificatePem) } }],
    users: [{ name: "test", user: { "client-certificate-data": base64(certificatePem), "client-key-data": base64(keyPem) } }],
  };
  await writeFile(path, JSON.stringify(config, undefined, 2), { mode: 0o600 });
  return path;
}
