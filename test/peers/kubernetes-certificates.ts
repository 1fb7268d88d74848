import "reflect-metadata";
import { KeyObject, webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

/** A test's control plane does not live that long. */
const LIFETIME_MS = 7 * 24 * 3_600_000;
/** Clocks of two processes of one machine agree; a certificate that is valid from now on may still be looked at "before" that. */
const BACKDATE_MS = 60_000;
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

export interface KeyPair {
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** Who a certificate is for: Kubernetes takes the user's name from CN and the groups from O. */
export interface Subject {
  readonly user: string;
  readonly groups?: readonly string[];
  /** For a server: the addresses and names it answers at. */
  readonly addresses?: readonly string[];
  readonly names?: readonly string[];
}

/** A certificate authority for one control plane. */
export interface TestAuthority {
  readonly certificatePem: string;
  issue(subject: Subject): Promise<KeyPair>;
}

export async function createTestAuthority(): Promise<TestAuthority> {
  const keys = await makeKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity(),
    serialNumber: "01",
    name: "CN=pushfleet-test-authority",
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    ],
  });
  let serial = 1;
  const issue = async (subject: Subject): Promise<KeyPair> => {
    const own = await makeKeys();
    serial += 1;
    const issued = await x509.X509CertificateGenerator.create({
      ...validity(),
      serialNumber: serial.toString(16).padStart(8, "0"),
      subject: [{ CN: [subject.user] }, ...(subject.groups ?? []).map((group) => ({ O: [group] }))],
      issuer: certificate.subject,
      publicKey: own.publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth, x509.ExtendedKeyUsage.serverAuth]),
        ...alternativeNames(subject),
      ],
    });
    return { certificatePem: issued.toString("pem"), keyPem: toPem(own.privateKey) };
  };
  return { certificatePem: certificate.toString("pem"), issue };
}

function alternativeNames({ addresses = [], names = [] }: Subject): readonly x509.Extension[] {
  if (addresses.length + names.length === 0) return [];
  const ip = addresses.map((value) => ({ type: "ip" as const, value }));
  return [new x509.SubjectAlternativeNameExtension([...ip, ...names.map((value) => ({ type: "dns" as const, value }))])];
}

function validity(): { readonly notBefore: Date; readonly notAfter: Date } {
  return { notBefore: new Date(Date.now() - BACKDATE_MS), notAfter: new Date(Date.now() + LIFETIME_MS) };
}

const makeKeys = (): Promise<webcrypto.CryptoKeyPair> => webcrypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);

const toPem = (key: webcrypto.CryptoKey): string => KeyObject.from(key).export({ type: "pkcs8", format: "pem" }).toString();
