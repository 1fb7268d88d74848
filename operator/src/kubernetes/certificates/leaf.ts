import "reflect-metadata";
import { createHash, createPrivateKey, generateKeyPairSync, type KeyObject, sign, X509Certificate } from "node:crypto";
import { AsnConvert, OctetString } from "@peculiar/asn1-schema";
import * as asn1 from "@peculiar/asn1-x509";
import { PemConverter } from "@peculiar/x509";
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

/** A certificate for both ends of a connection (serverAuth, clientAuth), with a new key. It never outlives its authority. A fleet has one for each
 *  pod, so it is made of X.509's own structures: `X509CertificateGenerator` reads again what it has just written, which takes three times as long. */
export function issueLeaf(authority: Authority, wish: LeafWish): Leaf {
  const keys = createKeyPair();
  const issuer = issuerOf(authority);
  const notBeforeMs = wholeSeconds(wish.nowMs - limits.certificateBackdateMs);
  const notAfterMs = wholeSeconds(leafNotAfterMs(authority, wish.nowMs));
  const publicKey = AsnConvert.parse(keys.publicKey, asn1.SubjectPublicKeyInfo);
  const tbsCertificate = new asn1.TBSCertificate({
    version: asn1.Version.v3,
    serialNumber: bytesOf(Buffer.from(createSerialNumber(), "hex")),
    signature: issuer.algorithm,
    issuer: issuer.subject,
    validity: new asn1.Validity({ notBefore: new Date(notBeforeMs), notAfter: new Date(notAfterMs) }),
    subject: nameOf(wish),
    subjectPublicKeyInfo: publicKey,
    extensions: new asn1.Extensions([...sameForAll, alternativeNames(wish), keyIdentifier(publicKey), ...issuer.extensions]),
  });
  const signed = Buffer.from(AsnConvert.serialize(tbsCertificate));
  const certificate = new asn1.Certificate({
    tbsCertificate,
    signatureAlgorithm: issuer.algorithm,
    signatureValue: bytesOf(sign("sha256", signed, issuer.key)),
  });
  return { cert: PemConverter.encode(AsnConvert.serialize(certificate), "CERTIFICATE"), key: keys.privateKey, notBeforeMs, notAfterMs };
}

const sameForAll: readonly asn1.Extension[] = [
  extension(asn1.id_ce_basicConstraints, new asn1.BasicConstraints({ cA: false }), "critical"),
  extension(asn1.id_ce_keyUsage, new asn1.KeyUsage(asn1.KeyUsageFlags.digitalSignature), "critical"),
  extension(asn1.id_ce_extKeyUsage, new asn1.ExtendedKeyUsage([asn1.id_kp_serverAuth, asn1.id_kp_clientAuth])),
];

function alternativeNames(wish: LeafWish): asn1.Extension {
  const names = [
    new asn1.GeneralName({ uniformResourceIdentifier: formatIdentity(wish) }),
    ...wish.dnsNames.map((dNSName) => new asn1.GeneralName({ dNSName })),
  ];
  return extension(asn1.id_ce_subjectAltName, new asn1.SubjectAlternativeName(names));
}

/** RFC 5280 §4.2.1.2, method 1. */
function keyIdentifier({ subjectPublicKey }: asn1.SubjectPublicKeyInfo): asn1.Extension {
  const hash = createHash("sha1").update(Buffer.from(subjectPublicKey)).digest();
  return extension(asn1.id_ce_subjectKeyIdentifier, new asn1.SubjectKeyIdentifier(bytesOf(hash)));
}

function extension(extnID: string, value: object, criticality: "critical" | "other" = "other"): asn1.Extension {
  return new asn1.Extension({ extnID, critical: criticality === "critical", extnValue: new OctetString(AsnConvert.serialize(value)) });
}

/** Organization, unit and common name. */
function nameOf({ namespace, fleet, id }: LeafWish): asn1.Name {
  const parts = [
    ["2.5.4.10", namespace],
    ["2.5.4.11", fleet],
    ["2.5.4.3", id.slice(0, commonNameMax)],
  ] as const;
  return new asn1.Name(
    parts.map(([type, utf8String]) => {
      return new asn1.RelativeDistinguishedName([new asn1.AttributeTypeAndValue({ type, value: new asn1.AttributeValue({ utf8String }) })]);
    }),
  );
}

/** RFC 5280, ub-common-name. */
const commonNameMax = 64;

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
  readonly key: KeyObject;
  readonly algorithm: asn1.AlgorithmIdentifier;
  readonly subject: asn1.Name;
  /** That its certificates have of it: none, or its key's identifier. */
  readonly extensions: readonly asn1.Extension[];
}

/** Reading an authority takes longer than signing by it, and a fleet's certificates are made many at a time. */
const issuerOf = oncePerObject(readIssuer);

function readIssuer(authority: Authority): Issuer {
  const key = createPrivateKey(authority.key);
  const { tbsCertificate } = AsnConvert.parse(new X509Certificate(authority.cert).raw, asn1.Certificate);
  return { key, algorithm: algorithmOf(key), subject: tbsCertificate.subject, extensions: authorityKeyIdentifier(tbsCertificate) };
}

/** As the authority says it: how it is made of a key differs (RFC 5280 §4.2.1.2, RFC 7093), and OpenSSL refuses two that differ. */
function authorityKeyIdentifier({ extensions }: asn1.TBSCertificate): readonly asn1.Extension[] {
  const subject = extensions?.find((one) => one.extnID === asn1.id_ce_subjectKeyIdentifier);
  if (subject === undefined) return [];
  const id = AsnConvert.parse(subject.extnValue.buffer, asn1.SubjectKeyIdentifier);
  const value = new asn1.AuthorityKeyIdentifier({ keyIdentifier: new asn1.KeyIdentifier(id.buffer) });
  return [extension(asn1.id_ce_authorityKeyIdentifier, value)];
}

/** ecdsa-with-SHA256 (RFC 5758) or sha256WithRSAEncryption (RFC 4055), whose parameters are NULL. */
function algorithmOf(key: KeyObject): asn1.AlgorithmIdentifier {
  const name = signingAlgorithm(key)?.name;
  if (name === undefined) throw new Error(`an authority cannot sign with a key of type ${key.asymmetricKeyType}`);
  return name === "ECDSA"
    ? new asn1.AlgorithmIdentifier({ algorithm: "1.2.840.10045.4.3.2" })
    : new asn1.AlgorithmIdentifier({ algorithm: "1.2.840.113549.1.1.11", parameters: null });
}

/** A copy with a buffer of its own: what Node answers may be a part of a larger one. */
function bytesOf(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
