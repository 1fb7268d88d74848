import { X509Certificate } from "node:crypto";
import { limits } from "@pushfleet/protocol";
import { describe, expect, test } from "vitest";
import { exampleFleet } from "../../../../test/support/example-fleet.js";
import { createAuthority } from "./authority.js";
import { base64, entryOf, readAuthoritySecret, type Secret } from "./authority-secret.js";
import { gatewayLeaf, routerLeaf } from "./leaf-secret.js";
import { type CertificatePlan, issueInMemory, planCertificates } from "./plan-certificates.js";
import { renewAtMs } from "./rotation.js";

const dayMs = 86_400_000;
const startMs = Date.UTC(2026, 0, 1);

/** The Secrets of a namespace, changed by the plans' writes as an API server would. */
class Namespace {
  nowMs = startMs;
  fleet = exampleFleet();
  brought: Secret | undefined;
  readonly secrets = new Map<string, Secret>();
  readonly pods = new Set<string>();
  #version = 0;

  async plan(): Promise<CertificatePlan> {
    const isNew = (name: string): boolean => !this.secrets.has(name);
    const wanted = [
      routerLeaf(this.fleet, isNew("demo-router-tls")),
      ...[...this.pods].map((name) => gatewayLeaf(this.fleet, { name, isNew: isNew(`${name}-tls`) })),
    ];
    return await planCertificates({ fleet: this.fleet, secrets: this.secrets, brought: this.brought, wanted, nowMs: this.nowMs });
  }

  /** Plans, writes, and says what was written. */
  async turn(): Promise<readonly string[]> {
    const { writes } = await this.plan();
    for (const { kind, secret } of writes) {
      const before = this.secrets.get(secret.metadata.name);
      expect(kind).toBe(before === undefined ? "create" : "apply");
      expect(secret.metadata.resourceVersion).toBe(before?.metadata.resourceVersion);
      this.#version += 1;
      this.secrets.set(secret.metadata.name, { ...secret, metadata: { ...secret.metadata, resourceVersion: String(this.#version) } });
    }
    return writes.map(({ secret, why }) => `${secret.metadata.name}: ${why}`);
  }

  edit(name: string, data: Readonly<Record<string, string>>): void {
    const secret = this.secrets.get(name);
    if (secret !== undefined) this.secrets.set(name, { ...secret, data: { ...secret.data, ...data } });
  }

  /** Certificates that are over, and pairs of which one does not trust the other, as the Secrets are now. */
  strangers(): readonly string[] {
    const leaves = [...this.secrets].filter(([name]) => name.endsWith("-tls"));
    return leaves.flatMap(([name, secret]) => {
      const leaf = new X509Certificate(entryOf(secret, "tls.crt"));
      const over = Date.parse(leaf.validTo) <= this.nowMs ? [`${name} is over`] : [];
      const refusing = leaves.filter(
        ([, other]) => !certificatesIn(entryOf(other, "ca.crt")).some((one) => leaf.checkIssued(one) && leaf.verify(one.publicKey)),
      );
      return [...over, ...refusing.map(([other]) => `${other} does not trust ${name}`)];
    });
  }

  issuer(name: string): string | undefined {
    return this.secrets.get(name)?.metadata.annotations?.["pushfleet.dev/issuer"];
  }

  get authorities() {
    const read = readAuthoritySecret(this.secrets.get("demo-ca"));
    if (read === undefined) throw new Error("no authority");
    return read;
  }
}

function certificatesIn(bundle: string): readonly X509Certificate[] {
  return (bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map((pem) => new X509Certificate(pem));
}

async function newNamespace(pods: readonly string[] = ["demo-default-0-aa", "demo-default-1-aa"]): Promise<Namespace> {
  const namespace = new Namespace();
  for (const pod of pods) namespace.pods.add(pod);
  await namespace.turn();
  return namespace;
}

async function bring(namespace: Namespace): Promise<void> {
  const { cert, key } = await createAuthority({ namespace: "push", fleet: "brought", nowMs: namespace.nowMs });
  namespace.brought = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "mine", namespace: "push" },
    data: { "tls.crt": base64(cert), "tls.key": base64(key) },
  };
  namespace.fleet = exampleFleet({ certificateAuthority: { secretName: "mine" } });
}

describe("the certificates of a fleet", () => {
  test("the first plan makes an authority and a certificate for each process, the authority first; the next has nothing to do", async () => {
    const namespace = new Namespace();
    namespace.pods.add("demo-default-0-aa");
    expect((await namespace.turn()).map((one) => one.split(":")[0])).toEqual(["demo-ca", "demo-router-tls", "demo-default-0-aa-tls"]);
    expect(await namespace.turn()).toEqual([]);
    expect(namespace.strangers()).toEqual([]);
    for (const [name, secret] of namespace.secrets) {
      expect(secret.type).toBe("kubernetes.io/tls");
      expect(secret.metadata.ownerReferences).toMatchObject([{ uid: namespace.fleet.uid }]);
      expect(Object.keys(secret.data ?? {}).sort(), name).toEqual(["ca.crt", "tls.crt", "tls.key"]);
    }
  });

  test("the key of the authority is in its own Secret only", async () => {
    const namespace = await newNamespace();
    const key = namespace.secrets.get("demo-ca")?.data?.["tls.key"];
    for (const [name, { data }] of namespace.secrets) if (name !== "demo-ca") expect(Object.values(data ?? {})).not.toContain(key);
  });

  test("a certificate is renewed after two thirds of its life, with the others left alone", async () => {
    const namespace = await newNamespace();
    const first = namespace.secrets.get("demo-router-tls");
    namespace.nowMs += 30 * dayMs;
    namespace.pods.add("demo-default-2-aa");
    expect(await namespace.turn()).toEqual(["demo-default-2-aa-tls: it is not there"]);
    namespace.nowMs += 31 * dayMs;
    const written = await namespace.turn();
    expect(written).toHaveLength(3);
    expect(written).toContain("demo-router-tls: two thirds of its life are over");
    expect(namespace.secrets.get("demo-router-tls")?.data?.["tls.key"]).not.toBe(first?.data?.["tls.key"]);
    expect(namespace.strangers()).toEqual([]);
  });

  test("what was edited by hand is issued again, once; what somebody adds does not matter", async () => {
    const namespace = await newNamespace();
    namespace.edit("demo-router-tls", { "ca.crt": base64("nonsense") });
    expect(await namespace.turn()).toEqual([expect.stringMatching(/^demo-router-tls: it is not as it was written/)]);
    namespace.edit("demo-router-tls", { note: base64("mine") });
    expect(await namespace.turn()).toEqual([]);
  });

  test("the authority is replaced in steps after two thirds of its life, without a moment of strangers", async () => {
    const namespace = await newNamespace();
    const first = namespace.authorities.current.fingerprint;
    namespace.nowMs = renewAtMs(namespace.authorities.current);
    const seen: string[] = [];
    for (let index = 0; index < 30; index += 1) {
      await namespace.turn();
      expect(namespace.strangers()).toEqual([]);
      const { current, next, former } = namespace.authorities;
      const said = [current, next, former].map((one) => (one === undefined ? "-" : one.fingerprint === first ? "old" : "new")).join(" ");
      if (seen.at(-1) !== said) seen.push(said);
      namespace.nowMs += limits.certificateSettleMs / 2;
    }
    expect(seen).toEqual(["old new -", "new - old", "new - -"]);
    expect(await namespace.turn()).toEqual([]);
    expect(namespace.issuer("demo-router-tls")).toBe(namespace.authorities.current.fingerprint);
    expect(certificatesIn(entryOf(namespace.secrets.get("demo-router-tls"), "ca.crt"))).toHaveLength(1);
  });

  test("an authority of the user's takes the place of the operator's in the same steps, and follows its renewal", async () => {
    const namespace = await newNamespace();
    for (const round of [1, 2]) {
      await bring(namespace);
      for (let index = 0; index < 12; index += 1) {
        await namespace.turn();
        expect(namespace.strangers(), `round ${round}`).toEqual([]);
        namespace.nowMs += limits.certificateSettleMs / 2;
      }
      expect(entryOf(namespace.brought, "tls.crt").trim()).toBe(namespace.authorities.current.cert.trim());
      expect(namespace.authorities).toMatchObject({ next: undefined, former: undefined, current: { origin: "brought" } });
    }
    namespace.fleet = exampleFleet();
    namespace.brought = undefined;
    await namespace.turn();
    expect(namespace.authorities).toMatchObject({ current: { origin: "brought" }, next: { origin: "made" } });
  });

  test("an authority of the user's that is not right changes nothing, and the plan says why", async () => {
    const namespace = await newNamespace();
    namespace.fleet = exampleFleet({ certificateAuthority: { secretName: "mine" } });
    const before = namespace.authorities.current.fingerprint;
    expect(await namespace.plan()).toMatchObject({ writes: [], problems: [expect.stringContaining("is not there")] });
    namespace.brought = namespace.secrets.get("demo-router-tls");
    expect(await namespace.plan()).toMatchObject({ writes: [], problems: [expect.stringContaining("isCA: true")] });
    expect(namespace.authorities.current.fingerprint).toBe(before);
  });

  test("an authority of the user's that nobody renews is told before it ends, and what there is goes on", async () => {
    const namespace = await newNamespace();
    await bring(namespace);
    for (let index = 0; index < 12; index += 1, namespace.nowMs += limits.certificateSettleMs / 2) await namespace.turn();
    const { notBeforeMs, notAfterMs } = namespace.authorities.current;
    namespace.nowMs = renewAtMs(namespace.authorities.current) + dayMs; // its own time, as cert-manager renews
    expect((await namespace.plan()).problems).toEqual([]);
    namespace.nowMs = notBeforeMs + (notAfterMs - notBeforeMs) * limits.certificateWarnShare;
    const told = `the certificate in Secret mine ends at ${new Date(notAfterMs).toISOString()}, and the fleet's with it: renew it`;
    expect(await namespace.plan()).toMatchObject({ problems: [told], authorities: { current: { origin: "brought" } } });
  });

  test("a fleet whose authority was never there waits for the user's", async () => {
    const namespace = new Namespace();
    namespace.fleet = exampleFleet({ certificateAuthority: { secretName: "mine" } });
    expect(await namespace.plan()).toMatchObject({ writes: [], authorities: undefined, problems: [expect.stringContaining("not there")] });
    await bring(namespace);
    await namespace.turn();
    expect(namespace.authorities.current.origin).toBe("brought");
  });

  test("the operator has a certificate in memory that the others know", async () => {
    const namespace = await newNamespace();
    const pem = await issueInMemory(namespace.fleet, namespace.authorities, "operator", "operator", namespace.nowMs);
    const leaf = new X509Certificate(pem.cert);
    expect(leaf.subjectAltName).toBe("URI:pushfleet://push/demo/operator/operator");
    expect(leaf.verify(new X509Certificate(entryOf(namespace.secrets.get("demo-router-tls"), "ca.crt")).publicKey)).toBe(true);
    expect(pem.renewAtMs).toBeGreaterThan(namespace.nowMs + 59 * dayMs);
  });
});
