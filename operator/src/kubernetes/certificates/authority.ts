import "reflect-metadata";
import { createHash, createPrivateKey, type KeyObject, webcrypto, X509Certificate } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { limits } from "@pushfleet/protocol";

x509.cryptoProvider.set(webcrypto);

/** A certificate authority: PEM texts, and what decisions are made from. */
export interface Authority {
  readonly cert: string;
  /** PKCS #8, PKCS #1 or SEC 1. */
  readonly key: string;
  /** SHA-256 of the certificate in hex, its first 16 digits: names it. */
  readonly fingerprint: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export interface Owner {
  readonly namespace: string;
  readonly fleet: string;
}

export const keyAlgorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** A new self-signed authority of one fleet (ECDSA P-256), valid from a little before `nowMs`. Its subject is its own: two authorities of one
 *  fleet stand side by side while certificates move from one to the other. */
export async function createAuthority({ namespace, fleet, nowMs }: Owner & { readonly nowMs: number }): Promise<Authority> {
  const keys = await createKeys();
  const serialNumber = createSerialNumber();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber,
    name: [{ O: [namespace] }, { OU: [fleet] }, { CN: [`pushfleet authority ${serialNumber.slice(0, 16)}`] }],
    notBefore: new Date(nowMs - limits.certificateBackdateMs),
    notAfter: new Date(nowMs + limits.authorityLifetimeMs),
    keys,
    signingAlgorithm: keyAlgorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return authorityOf(certificate.toString("pem"), await privatePem(keys));
}

export type ReadAuthority =
  | { readonly kind: "authority"; readonly authority: Authority }
  /** `reason` completes "the certificate …". */
  | { readonly kind: "invalid"; readonly reason: string };

/** Reads an authority from PEM texts. Only a self-signed one will do: processes trust it and nothing above it, and they trust each other by it. */
export function readAuthority(cert: string, key: string): ReadAuthority {
  const invalid = (reason: string): ReadAuthority => ({ kind: "invalid", reason });
  let certificate: X509Certificate;
  let privateKey: KeyObject;
  try {
    certificate = new X509Certificate(cert);
    privateKey = createPrivateKey(key);
  } catch (cause) {
    return invalid(`or its key cannot be read (${cause instanceof Error ? cause.message : String(cause)})`);
  }
  if (!certificate.ca) return invalid("is not one of an authority (isCA: true)");
  if (!certificate.checkPrivateKey(privateKey)) return invalid("has another key than the one beside it");
  if (!certificate.checkIssued(certificate) || !certificate.verify(certificate.publicKey)) return invalid("is not self-signed");
  if (signingAlgorithm(privateKey) === undefined) return invalid(`has a key of type ${privateKey.asymmetricKeyType}: use ECDSA or RSA`);
  return { kind: "authority", authority: authorityOf(certificate.toString(), key) };
}

/** For WebCrypto, to import a key and to sign with it. */
export interface SigningAlgorithm {
  readonly name: "ECDSA" | "RSASSA-PKCS1-v1_5";
  readonly hash: "SHA-256";
  readonly namedCurve?: string;
}

/** Algorithms by which an authority with this key signs. */
export function signingAlgorithm(key: KeyObject): SigningAlgorithm | undefined {
  if (key.asymmetricKeyType === "rsa") return { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  if (key.asymmetricKeyType !== "ec") return undefined;
  const namedCurve = curves[key.asymmetricKeyDetails?.namedCurve ?? ""];
  return namedCurve === undefined ? undefined : { name: "ECDSA", namedCurve, hash: "SHA-256" };
}

/** OpenSSL's names and WebCrypto's. */
const curves: Readonly<Record<string, string>> = { prime256v1: "P-256", secp384r1: "P-384", secp521r1: "P-521" };

function authorityOf(cert: string, key: string): Authority {
  const parsed = new X509Certificate(cert);
  return { cert, key, fingerprint: fingerprintOf(cert), notBeforeMs: Date.parse(parsed.validFrom), notAfterMs: Date.parse(parsed.validTo) };
}

export function fingerprintOf(cert: string): string {
  return createHash("sha256").update(new X509Certificate(cert).raw).digest("hex").slice(0, 16);
}

async function createKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(keyAlgorithm, true, ["sign", "verify"]);
}

/** 127 random bits, positive (RFC 5280 §4.1.2.2), in hex. */
export function createSerialNumber(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40; // no leading zeros, which DER would drop
  return Buffer.from(bytes).toString("hex");
}

async function privatePem(keys: webcrypto.CryptoKeyPair): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
}
