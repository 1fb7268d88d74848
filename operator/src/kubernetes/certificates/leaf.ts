import "reflect-metadata";
import { createPrivateKey, generateKeyPairSync, webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { limits } from "@pushfleet/protocol";
import { type FleetRole, formatIdentity } from "@pushfleet/service";
import { oncePerObject } from "../once-per-object.js";
import { type Authority, createSerialNumber, type Owner, signingAlgorithm } from "./authority.js";
import { leafNotAfterMs } from "./leaf-lifetime.js";

/** Whose certificate it is to be. */
export interface LeafWish extends Owner {
  readonly role: FleetRole;
  /** Of a gateway its pod's name; of routers `<fleet>-router`; of the operator `operator`. */
  readonly id: string;
  readonly dnsNames: readonly string[];
  readonly nowMs: number;
}

export interface Leaf {
  readonly cert: string;
  readonly key: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** A certificate for both ends of a connection (serverAuth, clientAuth), with a new key. It never outlives its authority. */
export async function issueLeaf(authority: Authority, wish: LeafWish): Promise<Leaf> {
  const keys = createKeyPair();
  const { signer, subject, keyIdentifier } = await issuerOf(authority);
  const notBeforeMs = wholeSeconds(wish.nowMs - limits.certificateBackdateMs);
  const notAfterMs = wholeSeconds(leafNotAfterMs(authority, wish.nowMs));
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: createSerialNumber(),
    subject: [{ O: [wish.namespace] }, { OU: [wish.fleet] }, { CN: [wish.id.slice(0, commonNameMax)] }],
    issuer: subject,
    notBefore: new Date(notBeforeMs),
    notAfter: new Date(notAfterMs),
    publicKey: keys.publicKey,
    signingKey: signer.key,
    signingAlgorithm: signer.algorithm,
    extensions: [
      ...sameForAll,
      new x509.SubjectAlternativeNameExtension([
        { type: "url", value: formatIdentity(wish) },
        ...wish.dnsNames.map((value) => ({ type: "dns" as const, value })),
      ]),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ...keyIdentifier,
    ],
  });
  return { cert: certificate.toString("pem"), key: keys.privateKey, notBeforeMs, notAfterMs };
}

const sameForAll: readonly x509.Extension[] = [
  new x509.BasicConstraintsExtension(false, undefined, true),
  new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
  new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
];

/** P-256, as PEM (PKCS #8) and DER (SubjectPublicKeyInfo). */
const createKeyPair = () =>
  generateKeyPairSync("ec", {
    namedCurve: "P-256",
    publicKeyEncoding: { type: "spki", format: "der" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });

/** A certificate's times have no fractions (RFC 5280 §4.1.2.5). */
function wholeSeconds(ms: number): number {
  return ms - (ms % 1000);
}

interface Issuer {
  readonly signer: Awaited<ReturnType<typeof signingKey>>;
  readonly subject: x509.Name;
  readonly keyIdentifier: readonly x509.Extension[];
}

/** Reading an authority takes longer than signing by it, and a fleet's certificates are made many at a time. */
const issuerOf = oncePerObject(readIssuer);

async function readIssuer(authority: Authority): Promise<Issuer> {
  const certificate = new x509.X509Certificate(authority.cert);
  const signer = await signingKey(authority);
  return { signer, subject: certificate.subjectName, keyIdentifier: authorityKeyIdentifier(certificate) };
}

/** As the authority says it: how it is made of a key differs (RFC 5280 §4.2.1.2, RFC 7093), and OpenSSL refuses two that differ. */
function authorityKeyIdentifier(issuer: x509.X509Certificate): readonly x509.Extension[] {
  const subject = issuer.getExtension(x509.SubjectKeyIdentifierExtension);
  return subject === null ? [] : [new x509.AuthorityKeyIdentifierExtension(subject.keyId)];
}

/** RFC 5280, ub-common-name. */
const commonNameMax = 64;

async function signingKey({ key }: Authority) {
  const privateKey = createPrivateKey(key);
  const algorithm = signingAlgorithm(privateKey);
  if (algorithm === undefined) throw new Error(`an authority cannot sign with a key of type ${privateKey.asymmetricKeyType}`);
  const pkcs8 = privateKey.export({ type: "pkcs8", format: "der" });
  return { algorithm, key: await webcrypto.subtle.importKey("pkcs8", pkcs8, algorithm, false, ["sign"]) };
}
