import "reflect-metadata";
import { createPrivateKey, webcrypto, X509Certificate } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { checkServerIdentity, connect, createServer } from "node:tls";
import * as x509 from "@peculiar/x509";
import { checkKeyPair, parseIdentity } from "@pushfleet/service";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Authority, createAuthority, readAuthority } from "./authority.js";
import { issueLeaf, type Leaf } from "./leaf.js";

const nowMs = Date.now();
const names = ["demo-router", "demo-router.push.svc", "demo-router.push.svc.cluster.local"];
const wish = { namespace: "push", fleet: "demo", role: "router", id: "demo-router", dnsNames: names, nowMs } as const;

/** An authority as somebody else makes it: `type` of its key's PEM, any subject key identifier. */
async function foreignAuthority(algorithm: EcAlgorithm | RsaAlgorithm, type: "sec1" | "pkcs1" | "pkcs8", keyIdentifier?: string) {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=somebody's",
    keys,
    signingAlgorithm: { ...algorithm, hash: "SHA-256" },
    notBefore: new Date(nowMs - 1000),
    notAfter: new Date(nowMs + 3_600_000),
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      ...(keyIdentifier === undefined ? [] : [new x509.SubjectKeyIdentifierExtension(keyIdentifier)]),
    ],
  });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
  const key = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" }).export({ format: "pem", type }).toString();
  return { cert: certificate.toString("pem"), key };
}

interface EcAlgorithm {
  readonly name: "ECDSA";
  readonly namedCurve: string;
}
interface RsaAlgorithm {
  readonly name: "RSASSA-PKCS1-v1_5";
  readonly modulusLength: number;
  readonly publicExponent: Uint8Array;
  readonly hash: string;
}
const rsa: RsaAlgorithm = { name: "RSASSA-PKCS1-v1_5", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" };

/** Whether the two come to talk over TLS, each showing its certificate and trusting one authority. */
async function talk(
  server: Leaf & { readonly trusts: Authority },
  client: Leaf & { readonly trusts: Authority },
): Promise<"talk" | "refused"> {
  const listener = createServer(
    { cert: server.cert, key: server.key, ca: server.trusts.cert, requestCert: true, rejectUnauthorized: true },
    (socket) => {
      socket.on("error", () => {});
      socket.end("hello");
    },
  );
  onTestFinished(() => void listener.close());
  listener.on("tlsClientError", () => {});
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  const socket = connect({
    port,
    host: "127.0.0.1",
    servername: "demo-router",
    cert: client.cert,
    key: client.key,
    ca: client.trusts.cert,
  });
  onTestFinished(() => void socket.destroy());
  const refused = once(socket, "close").then(() => "refused" as const);
  const talking = once(socket, "data").then(() => "talk" as const);
  socket.on("error", () => {});
  return await Promise.race([talking, refused]).catch(() => "refused");
}

describe("a certificate of a fleet", () => {
  test("says who it is for: to Node, to TLS and to the fleet's own processes", async () => {
    const authority = await createAuthority(wish);
    const leaf = issueLeaf(authority, wish);
    const read = new X509Certificate(leaf.cert);
    expect(read.subjectAltName).toContain("URI:pushfleet://push/demo/router/demo-router");
    expect(parseIdentity(read.subjectAltName)).toEqual({ namespace: "push", fleet: "demo", role: "router", id: "demo-router" });
    for (const name of names) {
      expect(read.checkHost(name)).toBe(name);
      expect(checkServerIdentity(name, read.toLegacyObject())).toBeUndefined();
    }
    expect(checkServerIdentity("demo-gateways", read.toLegacyObject())).toBeInstanceOf(Error);
    expect(read.ca).toBe(false);
    expect(read.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
    expect(read.checkIssued(new X509Certificate(authority.cert))).toBe(true);
    expect(checkKeyPair(leaf, authority.cert)).toMatchObject({ kind: "right" });
  });

  test("is valid from a little before now, and never longer than its authority", async () => {
    const authority = await createAuthority(wish);
    const leaf = issueLeaf(authority, wish);
    expect(leaf.notBeforeMs).toBeLessThan(nowMs);
    expect(leaf.notAfterMs - nowMs).toBeGreaterThan(89 * 86_400_000);
    const late = issueLeaf(authority, { ...wish, nowMs: authority.notAfterMs - 1000 });
    expect(late.notAfterMs).toBeLessThanOrEqual(authority.notAfterMs);
  });

  test("fits the longest names that Kubernetes allows", async () => {
    const [namespace, id] = ["n".repeat(63), "p".repeat(63)];
    const leaf = issueLeaf(await createAuthority({ ...wish, namespace }), { ...wish, namespace, id, role: "gateway" });
    expect(parseIdentity(new X509Certificate(leaf.cert).subjectAltName)).toMatchObject({ namespace, id });
  });

  test("opens its own fleet, and nothing of another (I7)", async () => {
    const [one, other] = await Promise.all([createAuthority(wish), createAuthority({ ...wish, fleet: "other" })]);
    const mine = { ...issueLeaf(one, wish), trusts: one };
    const theirs = { ...issueLeaf(other, { ...wish, fleet: "other" }), trusts: other };
    expect(await talk(mine, mine)).toBe("talk");
    expect(await talk(theirs, theirs)).toBe("talk");
    // A client that trusts the server, and shows a certificate of its own fleet.
    expect(await talk(mine, { ...theirs, trusts: one })).toBe("refused");
    // A server that takes any client, and is of another fleet.
    expect(await talk({ ...theirs, trusts: one }, mine)).toBe("refused");
  });
});

describe("an authority that somebody brings", () => {
  test.each<[string, EcAlgorithm | RsaAlgorithm, "sec1" | "pkcs1" | "pkcs8", string | undefined]>([
    ["an ECDSA P-256 key, SEC 1", { name: "ECDSA", namedCurve: "P-256" }, "sec1", undefined],
    ["an ECDSA P-384 key, PKCS #8", { name: "ECDSA", namedCurve: "P-384" }, "pkcs8", "00112233445566778899aabbccddeeff00112233"],
    ["an RSA key, PKCS #1", rsa, "pkcs1", "0011223344"],
  ])("with %s signs", async (_, algorithm, type, keyIdentifier) => {
    const { cert, key } = await foreignAuthority(algorithm, type, keyIdentifier);
    const read = readAuthority(cert, key);
    if (read.kind === "invalid") throw new Error(read.reason);
    const leaf = { ...issueLeaf(read.authority, wish), trusts: read.authority };
    expect(await talk(leaf, leaf)).toBe("talk");
    expect(leaf.notAfterMs).toBeLessThanOrEqual(read.authority.notAfterMs);
  });

  test("is refused with a reason when it is none", async () => {
    const authority = await createAuthority(wish);
    const other = await createAuthority(wish);
    const leaf = issueLeaf(authority, wish);
    const under = await foreignAuthority({ name: "ECDSA", namedCurve: "P-256" }, "pkcs8");
    const intermediate = (
      await x509.X509CertificateGenerator.create({
        subject: "CN=intermediate",
        issuer: "CN=somebody's",
        publicKey: await new x509.X509Certificate(authority.cert).publicKey.export(),
        signingKey: await webcrypto.subtle.importKey(
          "pkcs8",
          createPrivateKey(under.key).export({ type: "pkcs8", format: "der" }),
          { name: "ECDSA", namedCurve: "P-256" },
          false,
          ["sign"],
        ),
        signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
        extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
      })
    ).toString("pem");
    const reasonOf = (cert: string, key: string): string => {
      const read = readAuthority(cert, key);
      return read.kind === "invalid" ? read.reason : "it is right";
    };
    expect(reasonOf("nonsense", authority.key)).toContain("cannot be read");
    expect(reasonOf(authority.cert, "nonsense")).toContain("cannot be read");
    expect(reasonOf("", "")).toContain("cannot be read");
    expect(reasonOf(leaf.cert, leaf.key)).toContain("isCA: true");
    expect(reasonOf(authority.cert, other.key)).toContain("another key");
    expect(reasonOf(intermediate, authority.key)).toContain("self-signed");
    expect(reasonOf(authority.cert, authority.key)).toBe("it is right");
  });
});
