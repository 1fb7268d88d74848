import { createSecureContext, type SecureContext } from "node:tls";
import { limits } from "@pushfleet/protocol";
import { type Clock, createGrpcClient, type FleetCertificate, holdCertificate } from "@pushfleet/service";
import { resources } from "../api/resources.js";
import type { ApiResult, KubernetesApi, KubernetesObject } from "../api/types.js";
import {
  type Authorities,
  type CertificatePlan,
  gatewayLeaf,
  issueInMemory,
  planCertificates,
  readAuthoritySecret,
  readLeafSecret,
  renewAtMs,
  routerLeaf,
  type Secret,
  type SecretWrite,
  trustBundle,
} from "../certificates/index.js";
import { authoritySecretName, type Fleet, gatewayTlsSecretName, routerName, routerTlsSecretName } from "../objects/index.js";
import { type EnsureOutcome, outcomeOf } from "./ensure-outcome.js";
import type { FleetCaches } from "./fleet-caches.js";
import { yieldTo } from "./foreign-object.js";
import type { GatewayLink } from "./gateway-stream.js";
import type { GatewayAddress } from "./gateway-streams.js";
import { inParallel } from "./in-parallel.js";
import { StatusConnection } from "./status-connection.js";

export interface FleetCertificatesParts {
  readonly api: KubernetesApi;
  readonly caches: Pick<FleetCaches, "owned">;
  readonly clock: Clock;
}

export interface Ensured {
  readonly outcomes: readonly EnsureOutcome[];
  /** What is wrong with the authority that the spec brings. */
  readonly problems: readonly string[];
}

/** The operator's own in this fleet. */
interface OwnCertificate {
  /** For gRPC channels, which follow its renewals. */
  readonly certificate: FleetCertificate;
  /** The same for connections of one's own. */
  readonly context: SecureContext;
  readonly bundle: string;
  readonly renewAtMs: number;
}

/** The certificates of one fleet: those in Secrets, and the operator's own, which it holds in memory. */
export class FleetCertificates {
  readonly #parts: FleetCertificatesParts;
  #dueAtMs = 0;
  #brought: { readonly name: string; readonly secret: Secret | undefined; readonly atMs: number } | undefined;
  #own: OwnCertificate | undefined;

  constructor(parts: FleetCertificatesParts) {
    this.#parts = parts;
  }

  /** When a certificate has to be renewed, or a step of a rotation taken. */
  isDue(): boolean {
    return this.#parts.clock.nowMs() >= this.#dueAtMs;
  }

  /** Writes what is missing or has to be renewed: the authority, and after it the certificates of the routers, of `pods` and of `newPods`, which
   *  are about to be made. */
  async ensure(fleet: Fleet, pods: readonly string[], newPods: readonly string[] = []): Promise<Ensured> {
    const { clock } = this.#parts;
    const secrets = this.#secrets(fleet);
    const facts = {
      fleet,
      secrets,
      brought: await this.#broughtSecret(fleet),
      wanted: [
        routerLeaf(fleet, !this.#hasRouters(fleet)),
        ...pods.map((name) => gatewayLeaf(fleet, { name, isNew: false })),
        ...newPods.map((name) => gatewayLeaf(fleet, { name, isNew: true })),
      ],
      nowMs: clock.nowMs(),
    };
    const plan = await planCertificates(facts);
    const outcomes = [...(await this.#write(fleet, plan))];
    const isStepDone = outcomes[0]?.kind === "ensured" || plan.writes[0]?.secret.metadata.name !== authoritySecretName(fleet);
    const standing = isStepDone ? undefined : authoritiesOf(fleet, secrets);
    // What is refused may be so for long: until then the authority that is there goes on, as long as it lives.
    if (standing !== undefined && outcomes[0]?.kind === "refused" && facts.nowMs < standing.current.notAfterMs)
      outcomes.push(...(await this.#write(fleet, await planCertificates({ ...facts, keepsAuthority: true }))));
    await this.#holdOwn(fleet, isStepDone ? plan.authorities : standing);
    this.#dueAtMs = plan.nextAtMs;
    return { outcomes, problems: plan.problems };
  }

  /** Takes the authorities that are there, without writing any, whatever step may be due: for a fleet that is being deleted, or with dryRun. */
  async readOnly(fleet: Fleet): Promise<void> {
    await this.#holdOwn(fleet, authoritiesOf(fleet, this.#secrets(fleet)));
  }

  /** What only `ensure` does, in words: certificates that should have been renewed. */
  leftUndone(fleet: Fleet, pods: readonly string[]): readonly string[] {
    const secrets = this.#secrets(fleet);
    const wanted = [routerLeaf(fleet, false), ...pods.map((name) => gatewayLeaf(fleet, { name, isNew: false }))];
    const nowMs = this.#parts.clock.nowMs();
    const due = wanted.flatMap((leaf) => {
      const secret = secrets.get(leaf.secretName);
      const facts = secret === undefined ? undefined : readLeafSecret(secret, leaf);
      return facts !== undefined && nowMs >= renewAtMs(facts) ? [{ name: leaf.secretName, endsAtMs: facts.notAfterMs }] : [];
    });
    const [first] = due.toSorted((a, b) => a.endsAtMs - b.endsAtMs);
    if (first === undefined) return [];
    const which = due.length === 1 ? `the certificate ${first.name}` : `${due.length} certificates`;
    const ends = due.length === 1 ? "which ends" : `of which ${first.name} ends first,`;
    const at = new Date(first.endsAtMs).toISOString();
    return [`dryRun keeps ${which} from being renewed, ${ends} at ${at}: set dryRun to false before then`];
  }

  /** It is there, for a pod that is about to be made. */
  hasGateway(fleet: Fleet, pod: string): boolean {
    return this.#secrets(fleet).has(gatewayTlsSecretName(pod));
  }

  secretNames(fleet: Fleet, pods: readonly string[]): readonly string[] {
    return [authoritySecretName(fleet), routerTlsSecretName(fleet), ...pods.map(gatewayTlsSecretName)];
  }

  /** The way to a gateway, which must show that it is that pod's. Throws as long as there is no authority. */
  connect({ pod, address }: GatewayAddress): GatewayLink {
    const expect = { role: "gateway", id: pod } as const;
    this.#held();
    return {
      statuses: new StatusConnection({
        address,
        tls: () => {
          const { certificate, context } = this.#held();
          return { context, identity: certificate.identity, expect };
        },
      }),
      openCalls: () => createGrpcClient(address, this.#held().certificate, { expect }),
    };
  }

  #held(): OwnCertificate {
    if (this.#own === undefined) throw new Error("the fleet has no certificate authority yet");
    return this.#own;
  }

  async #write(fleet: Fleet, { writes }: CertificatePlan): Promise<readonly EnsureOutcome[]> {
    const [first, ...others] = writes;
    if (first === undefined) return [{ kind: "ensured" }];
    const outcome = await this.#writeOne(first);
    // The others are of the authority that the first one writes, if it does.
    if (outcome.kind !== "ensured" && first.secret.metadata.name === authoritySecretName(fleet)) return [outcome];
    const outcomes: EnsureOutcome[] = [outcome];
    await inParallel(others, limits.podWritesAtOnce, async (write) => {
      outcomes.push(await this.#writeOne(write));
    });
    return outcomes;
  }

  async #writeOne({ kind, secret }: SecretWrite): Promise<EnsureOutcome> {
    const { api, caches } = this.#parts;
    const owned = caches.owned.get("Secret");
    const object = secret as Parameters<typeof api.create<SecretObject>>[1];
    const result: ApiResult<KubernetesObject> =
      kind === "create" ? await api.create(resources.secrets, object) : await api.apply(resources.secrets, object);
    if (result.kind === "ok") owned?.cache.overlay(result.object);
    const yielded = result.kind === "exists" && owned !== undefined ? await yieldTo(owned, secret, api) : undefined;
    // Where another operator was faster, the next plan is made of its certificate.
    return yielded?.kind === "refused" ? yielded : outcomeOf(result, secret);
  }

  #secrets(fleet: Fleet): ReadonlyMap<string, Secret> {
    const owned = this.#parts.caches.owned.get("Secret")?.cache.byIndex("owner", fleet.uid) ?? [];
    return new Map(owned.map((object) => [object.metadata.name, object as Secret]));
  }

  #hasRouters(fleet: Fleet): boolean {
    const deployments = this.#parts.caches.owned.get("Deployment")?.cache.byIndex("owner", fleet.uid) ?? [];
    return deployments.some((one) => one.metadata.name === routerName(fleet));
  }

  /** It is the user's and not watched. */
  async #broughtSecret({ namespace, spec }: Fleet): Promise<Secret | undefined> {
    const name = spec.certificateAuthority?.secretName;
    if (name === undefined) return undefined;
    const nowMs = this.#parts.clock.monotonicMs();
    if (this.#brought?.name === name && nowMs - this.#brought.atMs < limits.secretLookMs) return this.#brought.secret;
    const found = await this.#parts.api.get(resources.secrets, { namespace, name });
    if (found.kind === "ok") this.#brought = { name, secret: found.object, atMs: nowMs };
    else if (found.kind === "notFound") this.#brought = { name, secret: undefined, atMs: nowMs };
    return this.#brought?.name === name ? this.#brought.secret : undefined;
  }

  /** Renewed when the fleet trusts other authorities, and in good time. */
  async #holdOwn(fleet: Fleet, authorities: Authorities | undefined): Promise<void> {
    if (authorities === undefined) return;
    const nowMs = this.#parts.clock.nowMs();
    const bundle = trustBundle(authorities);
    if (this.#own !== undefined && this.#own.bundle === bundle && nowMs < this.#own.renewAtMs) return;
    const issued = await issueInMemory(fleet, authorities, "operator", "operator", nowMs);
    const fault = this.#own?.certificate.renew(issued, nowMs);
    const certificate = this.#own === undefined || fault !== undefined ? holdCertificate(issued) : this.#own.certificate;
    const context = createSecureContext({ cert: issued.cert, key: issued.key, ca: issued.ca });
    this.#own = { certificate, context, bundle, renewAtMs: issued.renewAtMs };
  }
}

function authoritiesOf(fleet: Fleet, secrets: ReadonlyMap<string, Secret>): Authorities | undefined {
  return readAuthoritySecret(secrets.get(authoritySecretName(fleet)));
}

type SecretObject = NonNullable<(typeof resources.secrets)["sample"]>;
