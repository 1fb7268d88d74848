import "reflect-metadata";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

x509.cryptoProvider.set(webcrypto);

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const hourMs = 3600_000;

export interface PemPair {
  readonly cert: string;
  readonly key: string;
}

export interface LeafOptions {
  /** Subject alternative names that are URIs. */
  readonly uris?: readonly string[];
  readonly hosts?: readonly string[];
  /** From now on; negative: it was over so long ago. */
  readonly validMs?: number;
}

/** An authority made for a test, and what it signs. */
export class ExampleAuthority {
  readonly #keys: webcrypto.CryptoKeyPair;
  readonly #certificate: x509.X509Certificate;
  readonly ca: string;

  private constructor(keys: webcrypto.CryptoKeyPair, certificate: x509.X509Certificate) {
    this.#keys = keys;
    this.#certificate = certificate;
    this.ca = certificate.toString("pem");
  }

  static async create(name = "authority"): Promise<ExampleAuthority> {
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      name: `CN=${name}`,
      keys,
      signingAlgorithm: algorithm,
      notBefore: new Date(Date.now() - hourMs),
      notAfter: new Date(Date.now() + 24 * hourMs),
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      ],
    });
    return new ExampleAuthority(keys, certificate);
  }

  /** A leaf, its key and the authority that signed it. */
  async issue({ uris = [], hosts = [], validMs = hourMs }: LeafOptions): Promise<PemPair & { readonly ca: string }> {
    const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    const names = [...uris.map((value) => ({ type: "url" as const, value })), ...hosts.map((value) => ({ type: "dns" as const, value }))];
    const certificate = await x509.X509CertificateGenerator.create({
      subject: "CN=leaf",
      issuer: this.#certificate.subject,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: algorithm,
      notBefore: new Date(Date.now() - 2 * hourMs),
      notAfter: new Date(Date.now() + validMs),
      extensions: names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)],
    });
    return { cert: certificate.toString("pem"), key: await privatePem(keys), ca: this.ca };
  }
}

async function privatePem(keys: webcrypto.CryptoKeyPair): Promise<string> {
  const bytes = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  return `-----BEGIN PRIVATE KEY-----\n${bytes.match(/.{1,64}/g)?.join("\n")}\n-----END PRIVATE KEY-----\n`;
}
