import { limits } from "@pushfleet/protocol";
import { ManualClock } from "@pushfleet/service";
import { beforeEach, describe, expect, test } from "vitest";
import { exampleFleet } from "../../../../test/support/example-fleet.js";
import { StoredObjects } from "../../../../test/support/stored-objects.js";
import { createAuthority } from "../certificates/authority.js";
import { type Authorities, buildAuthoritySecret, readAuthoritySecret } from "../certificates/authority-secret.js";
import { FleetCertificates } from "./fleet-certificates.js";

const dayMs = 86_400_000;
const fleet = exampleFleet();
const pods = ["demo-default-0-aa", "demo-default-1-aa"];
let stored: StoredObjects;
let clock: ManualClock;

beforeEach(async () => {
  stored = new StoredObjects();
  clock = new ManualClock();
  await operator().ensure(fleet, pods);
});

/** Another process, which remembers nothing. */
function operator(): FleetCertificates {
  return new FleetCertificates({ api: stored.api, caches: stored.caches, clock });
}

/** Throws when it has no certificate to show. */
function dial(certificates: FleetCertificates): void {
  certificates.connect({ uid: "1", pod: "demo-default-0-aa", address: "127.0.0.1:9" }).statuses.close();
}

function authorities(): Authorities {
  const found = stored.get("Secret", "demo-ca");
  const read = found.kind === "ok" ? readAuthoritySecret(found.object) : undefined;
  if (read === undefined) throw new Error("no authority");
  return read;
}

function certificateOf(pod: string): string | undefined {
  const found = stored.get("Secret", `${pod}-tls`);
  return found.kind === "ok" ? (found.object as { readonly data?: Readonly<Record<string, string>> }).data?.["tls.crt"] : undefined;
}

async function another() {
  return { ...(await createAuthority({ namespace: fleet.namespace, fleet: fleet.name, nowMs: clock.nowMs() })), origin: "made" as const };
}

describe("a new operator reaches the gateways of a fleet", () => {
  // Nothing may be written of one that is being deleted, or with dryRun: it shows what the authority signs that is there.
  const states: readonly (readonly [string, () => Promise<void>])[] = [
    ["that is at rest", async () => undefined],
    ["whose authority has to be followed by another", async () => clock.advance(limits.authorityLifetimeMs * limits.certificateRenewShare)],
    [
      "whose next authority is trusted",
      async () => void stored.put(buildAuthoritySecret(fleet, { ...authorities(), next: await another() })),
    ],
    [
      "whose former authority may go",
      async () => void stored.put(buildAuthoritySecret(fleet, { ...authorities(), former: await another() })),
    ],
  ];

  test.each(states)("%s, without writing anything", async (_, come) => {
    await come();
    clock.advance(limits.certificateSettleMs + 1);
    stored.writes.length = 0;
    const certificates = operator();
    await certificates.readOnly(fleet);
    dial(certificates);
    expect(stored.writes).toEqual([]);
  });

  test("although a pod's certificate cannot be written", async () => {
    stored.refusal = (write) => (write.includes("demo-default-2-aa") ? "no" : undefined);
    const certificates = operator();
    const { outcomes } = await certificates.ensure(fleet, [...pods, "demo-default-2-aa"]);
    expect(outcomes.map(({ kind }) => kind)).toEqual(["refused"]);
    dial(certificates);
  });

  test("although the next step of its authority cannot be written", async () => {
    clock.advance(limits.authorityLifetimeMs * limits.certificateRenewShare);
    stored.refusal = () => "no";
    const certificates = operator();
    const { outcomes } = await certificates.ensure(fleet, pods);
    expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set(["refused"]));
    dial(certificates);
  });

  test("but not of one without an authority", async () => {
    stored.take("Secret", "demo-ca");
    const certificates = operator();
    await certificates.readOnly(fleet);
    expect(() => dial(certificates)).toThrow("no certificate authority");
    stored.refusal = () => "no";
    await certificates.ensure(fleet, pods);
    expect(() => dial(certificates)).toThrow("no certificate authority");
  });
});

describe("while the next step of the authority is refused", () => {
  beforeEach(() => {
    clock.advance(limits.authorityLifetimeMs * limits.certificateRenewShare);
    stored.refusal = (write) => (write.endsWith("Secret/demo-ca") ? "immutable" : undefined);
  });

  test("certificates are renewed, a new pod gets one, and the refusal is told", async () => {
    const before = pods.map((pod) => certificateOf(pod));
    const certificates = operator();
    const { outcomes } = await certificates.ensure(fleet, pods, ["demo-default-2-aa"]);
    expect(outcomes.filter(({ kind }) => kind !== "ensured")).toEqual([{ kind: "refused", message: "Secret demo-ca: immutable" }]);
    expect(certificates.hasGateway(fleet, "demo-default-2-aa")).toBe(true);
    const after = pods.map((pod) => certificateOf(pod));
    expect(after.every((one, index) => one !== before[index])).toBe(true);
    stored.writes.length = 0;
    await operator().ensure(fleet, pods, ["demo-default-2-aa"]);
    expect(stored.writes).toEqual(["apply Secret/demo-ca"]);
  });

  test("nothing is signed by one that is over", async () => {
    clock.advance(limits.authorityLifetimeMs);
    stored.writes.length = 0;
    const certificates = operator();
    await certificates.ensure(fleet, pods, ["demo-default-2-aa"]);
    expect(stored.writes).toEqual(["apply Secret/demo-ca"]);
    expect(certificates.hasGateway(fleet, "demo-default-2-aa")).toBe(false);
  });
});

describe("what dryRun leaves undone is told", () => {
  test("not before a certificate has to be renewed", async () => {
    expect(operator().leftUndone(fleet, pods)).toEqual([]);
    clock.advance(limits.leafLifetimeMs * limits.certificateRenewShare - dayMs);
    expect(operator().leftUndone(fleet, pods)).toEqual([]);
  });

  test("with the first that ends, and when", async () => {
    const endsAt = new Date(clock.nowMs() + limits.leafLifetimeMs).toISOString();
    clock.advance(limits.leafLifetimeMs * limits.certificateRenewShare);
    expect(operator().leftUndone(fleet, pods)).toEqual([
      `dryRun keeps 3 certificates from being renewed, of which demo-router-tls ends first, at ${endsAt}: set dryRun to false before then`,
    ]);
  });
});
