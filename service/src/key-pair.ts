import { createPrivateKey, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";

/** PEM texts: a certificate, with those between it and its authority behind it, and its private key. */
export interface KeyPair {
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
}

export type CheckedPair =
  | { readonly kind: "right"; readonly leaf: X509Certificate; readonly validUntilMs: number }
  | { readonly kind: "fault"; readonly reason: string };

/** Whether a server or a client could use them, and the `ca` beside them. Never throws. */
export function checkKeyPair({ cert, key }: KeyPair, ca?: string): CheckedPair {
  try {
    const leaf = new X509Certificate(cert);
    if (!leaf.checkPrivateKey(createPrivateKey(key))) return { kind: "fault", reason: "its key is another one's" };
    if (ca !== undefined) new X509Certificate(ca);
    createSecureContext({ cert, key, ...(ca === undefined ? {} : { ca }) });
    return { kind: "right", leaf, validUntilMs: Date.parse(leaf.validTo) };
  } catch (cause) {
    return { kind: "fault", reason: cause instanceof Error ? cause.message : String(cause) };
  }
}
