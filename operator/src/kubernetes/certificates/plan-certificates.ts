import { assertNever, limits } from "@pushfleet/protocol";
import type { FleetRole, TlsPem } from "@pushfleet/service";
import { authoritySecretName, type Fleet } from "../objects/index.js";
import { type Authority, createAuthority, readAuthority } from "./authority.js";
import {
  type Authorities,
  buildAuthoritySecret,
  entryOf,
  type OwnAuthority,
  readAuthoritySecret,
  type Secret,
  stateOf,
  trustBundle,
} from "./authority-secret.js";
import { issueLeaf } from "./leaf.js";
import { buildLeafSecret, readLeafPem, readLeafSecret, type WantedLeaf } from "./leaf-secret.js";
import { type AuthorityStep, type LeafFacts, planAuthority, planLeaf, renewAtMs, warnAtMs } from "./rotation.js";

export interface CertificateFacts {
  readonly fleet: Fleet;
  /** The fleet's own Secrets, by name: `<fleet>-ca` and those of its certificates. */
  readonly secrets: ReadonlyMap<string, Secret>;
  /** The Secret that `spec.certificateAuthority` names. */
  readonly brought?: Secret | undefined;
  /** Of every process that is there or about to be, those that are being deleted too: they still talk. */
  readonly wanted: readonly WantedLeaf[];
  /** The authority's next step may not be written: nothing but certificates, signed by the one that is there. */
  readonly keepsAuthority?: boolean | undefined;
  readonly nowMs: number;
}

export interface SecretWrite {
  /** create: it is not there; when it is all the same, another operator was faster: plan again. apply: `metadata.resourceVersion` is the
   *  precondition. */
  readonly kind: "create" | "apply";
  readonly secret: Secret;
  readonly why: string;
}

export interface CertificatePlan {
  /** In this order, the authority first: after a write that did not succeed the others must wait for the next plan. */
  readonly writes: readonly SecretWrite[];
  /** What signs and is trusted once the first write is done. `undefined`: there is none, `problems` says why. */
  readonly authorities: Authorities | undefined;
  /** For the condition: what is wrong with the authority that the spec brings. What there is goes on. */
  readonly problems: readonly string[];
  /** When to plan again if nothing else happens. */
  readonly nextAtMs: number;
}

/** Which Secrets of a fleet's certificates to write now. Decisions are rotation.ts's; only the making of keys takes time. */
export async function planCertificates(facts: CertificateFacts): Promise<CertificatePlan> {
  const { fleet, secrets, wanted, nowMs } = facts;
  const before = readAuthoritySecret(secrets.get(authoritySecretName(fleet)));
  const brought = readBrought(facts);
  const leaves = wanted.map((one) => ({ wanted: one, facts: leafFacts(secrets.get(one.secretName), one) }));
  const due = planAuthority({
    authority: before === undefined ? undefined : stateOf(before),
    brought: brought.authority,
    isBrought: fleet.spec.certificateAuthority !== undefined,
    leaves: leaves.map((one) => one.facts),
    nowMs,
  });
  const step: AuthorityStep = facts.keepsAuthority === true ? { kind: "keep" } : due;
  const authorities = await takeStep(step, facts, before, brought.authority);
  if (authorities === undefined) {
    return { writes: [], authorities, problems: brought.problems, nextAtMs: nowMs + limits.certificateSettleMs };
  }
  const writes = step.kind === "keep" ? [] : [writeOf(facts, buildAuthoritySecret(fleet, authorities), "why" in step ? step.why : "")];
  for (const leaf of leaves) writes.push(...planSecret(facts, authorities, leaf));
  return { writes, authorities, problems: brought.problems, nextAtMs: nextAtMs(authorities, leaves, writes.length > 0, nowMs) };
}

/** The certificate of a process that has it in memory: the operator's own. Renew it when `authorities` change, and after two thirds of its life. */
export async function issueInMemory(
  fleet: Fleet,
  authorities: Authorities,
  role: FleetRole,
  id: string,
  nowMs: number,
): Promise<TlsPem & { readonly renewAtMs: number }> {
  const { current } = authorities;
  const leaf = issueLeaf(current, { namespace: fleet.namespace, fleet: fleet.name, role, id, dnsNames: [], nowMs });
  return { cert: leaf.cert, key: leaf.key, ca: trustBundle(authorities), renewAtMs: renewAtMs(leaf) };
}

interface Brought {
  readonly authority?: OwnAuthority | undefined;
  readonly problems: readonly string[];
}

function readBrought({ fleet, brought, nowMs }: CertificateFacts): Brought {
  const name = fleet.spec.certificateAuthority?.secretName;
  if (name === undefined) return { problems: [] };
  if (brought === undefined) return { problems: [`the Secret ${name} (certificateAuthority.secretName) is not there`] };
  const read = readAuthority(entryOf(brought, "tls.crt"), entryOf(brought, "tls.key"));
  if (read.kind === "invalid") return { problems: [`the certificate in Secret ${name} ${read.reason}`] };
  const { authority } = read;
  const end = new Date(authority.notAfterMs).toISOString();
  if (nowMs >= authority.notAfterMs) return { problems: [`the certificate in Secret ${name} is over since ${end}`] };
  const problems =
    nowMs >= warnAtMs(authority) ? [`the certificate in Secret ${name} ends at ${end}, and the fleet's with it: renew it`] : [];
  return { authority: { ...authority, origin: "brought" }, problems };
}

function leafFacts(secret: Secret | undefined, wanted: WantedLeaf): LeafFacts | "missing" | "new" {
  if (secret !== undefined) return readLeafSecret(secret, wanted);
  return wanted.isNew ? "new" : "missing";
}

/** The authorities after the step. */
async function takeStep(
  step: AuthorityStep,
  { fleet, nowMs }: CertificateFacts,
  before: Authorities | undefined,
  brought: OwnAuthority | undefined,
): Promise<Authorities | undefined> {
  const settledAtMs = nowMs + limits.certificateSettleMs;
  const make = async (): Promise<OwnAuthority> => {
    const made: Authority = await createAuthority({ namespace: fleet.namespace, fleet: fleet.name, nowMs });
    return { ...made, origin: "made" };
  };
  const subject = (kind: "made" | "brought" | "next") => (kind === "made" ? make() : kind === "brought" ? brought : before?.next);
  switch (step.kind) {
    case "keep":
      return before;
    case "start": {
      const current = await subject(step.subject);
      return current === undefined ? before : { current, settledAtMs };
    }
    case "stage":
      return before === undefined ? before : { current: before.current, next: await subject(step.subject), settledAtMs };
    case "unstage":
    case "dropFormer":
      return before === undefined ? before : { current: before.current, settledAtMs };
    case "promote":
      return before?.next === undefined ? before : { current: before.next, former: before.current, settledAtMs };
    default:
      return assertNever(step);
  }
}

function planSecret(
  facts: CertificateFacts,
  authorities: Authorities,
  leaf: { readonly wanted: WantedLeaf; readonly facts: LeafFacts | "missing" | "new" },
): readonly SecretWrite[] {
  const { fleet, secrets, nowMs } = facts;
  const { wanted } = leaf;
  const step = planLeaf(leaf.facts, stateOf(authorities), nowMs);
  if (step.kind === "keep") return [];
  const settledAtMs = leaf.facts === "new" ? nowMs : nowMs + limits.certificateSettleMs;
  const existing = secrets.get(wanted.secretName);
  if (step.kind === "retrust" && existing !== undefined && typeof leaf.facts === "object") {
    const kept = { ...leaf.facts, ...readLeafPem(existing), settledAtMs };
    return [writeOf(facts, buildLeafSecret(fleet, wanted, authorities, kept), step.why)];
  }
  const { namespace, name } = fleet;
  const issued = issueLeaf(authorities.current, {
    namespace,
    fleet: name,
    role: wanted.role,
    id: wanted.id,
    dnsNames: wanted.dnsNames,
    nowMs,
  });
  const made = { ...issued, settledAtMs, issuer: authorities.current.fingerprint };
  return [writeOf(facts, buildLeafSecret(fleet, wanted, authorities, made), step.why)];
}

function writeOf({ secrets }: CertificateFacts, secret: Secret, why: string): SecretWrite {
  const resourceVersion = secrets.get(secret.metadata.name)?.metadata.resourceVersion;
  if (!secrets.has(secret.metadata.name)) return { kind: "create", secret, why };
  const precondition = resourceVersion === undefined ? {} : { resourceVersion };
  return { kind: "apply", secret: { ...secret, metadata: { ...secret.metadata, ...precondition } }, why };
}

function nextAtMs(
  authorities: Authorities,
  leaves: readonly { readonly facts: LeafFacts | "missing" | "new" }[],
  isWriting: boolean,
  nowMs: number,
): number {
  const isRotating = authorities.next !== undefined || authorities.former !== undefined;
  if (isWriting || isRotating) return nowMs + limits.certificateSettleMs;
  const renewals = leaves.flatMap(({ facts }) => (typeof facts === "object" ? [renewAtMs(facts)] : []));
  const earliest = Math.min(renewAtMs(authorities.current), ...renewals);
  return Math.max(earliest, nowMs + limits.certificateSettleMs);
}
