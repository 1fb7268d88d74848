import type { V1Secret } from "@kubernetes/client-node";
import type { Json, KubernetesObject } from "../api/types.js";
import { authoritySecretName, type Fleet, type Made, ownedMeta } from "../objects/index.js";
import { oncePerObject } from "../once-per-object.js";
import { type Authority, readAuthority } from "./authority.js";
import type { AuthorityFacts, AuthorityState } from "./rotation.js";

export type Secret = KubernetesObject & Pick<Json<V1Secret>, "data" | "type">;

export type Origin = AuthorityFacts["origin"];
export type OwnAuthority = Authority & { readonly origin: Origin };

/** What the Secret `<fleet>-ca` holds; `planAuthority` says what the three are. */
export interface Authorities {
  readonly current: OwnAuthority;
  readonly next?: OwnAuthority | undefined;
  readonly former?: OwnAuthority | undefined;
  readonly settledAtMs: number;
}

const settledAnnotation = "pushfleet.dev/settled-at";
const originAnnotation = (role: Role): string => `pushfleet.dev/${role}-authority`;
const roles = ["current", "next", "former"] as const;
type Role = (typeof roles)[number];
const entries: Readonly<Record<Role, { readonly cert: string; readonly key: string }>> = {
  current: { cert: "tls.crt", key: "tls.key" },
  next: { cert: "next.crt", key: "next.key" },
  former: { cert: "former.crt", key: "former.key" },
};

/** Reading certificates and keys takes longer than everything else that is done with them, and each plan asks. */
const readOnce = oncePerObject(parseAuthoritySecret);

/** `undefined`: there is none, or it cannot be read: then the fleet starts with a new one. */
export function readAuthoritySecret(secret: Secret | undefined): Authorities | undefined {
  return secret === undefined ? undefined : readOnce(secret);
}

function parseAuthoritySecret(secret: Secret): Authorities | undefined {
  const read = (role: Role): OwnAuthority | undefined => {
    const found = readAuthority(entryOf(secret, entries[role].cert), entryOf(secret, entries[role].key));
    if (found.kind === "invalid") return undefined;
    return { ...found.authority, origin: secret.metadata.annotations?.[originAnnotation(role)] === "brought" ? "brought" : "made" };
  };
  const current = read("current");
  if (current === undefined) return undefined;
  const settledAtMs = Date.parse(secret.metadata.annotations?.[settledAnnotation] ?? "");
  return {
    current,
    next: read("next"),
    former: read("former"),
    settledAtMs: Number.isNaN(settledAtMs) ? Number.MAX_SAFE_INTEGER : settledAtMs,
  };
}

export function buildAuthoritySecret(fleet: Fleet, authorities: Authorities): Made<V1Secret> {
  const present = roles.flatMap((role) => {
    const one = authorities[role];
    return one === undefined ? [] : [{ role, one }];
  });
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: ownedMeta(fleet, {
      name: authoritySecretName(fleet),
      annotations: {
        [settledAnnotation]: new Date(authorities.settledAtMs).toISOString(),
        ...Object.fromEntries(present.map(({ role, one }) => [originAnnotation(role), one.origin])),
      },
    }),
    type: "kubernetes.io/tls",
    data: {
      "ca.crt": base64(trustBundle(authorities)),
      ...Object.fromEntries(
        present.flatMap(({ role, one }) => [
          [entries[role].cert, base64(one.cert)],
          [entries[role].key, base64(one.key)],
        ]),
      ),
    },
  };
}

/** PEM of all that the fleet trusts. */
export function trustBundle(authorities: Authorities): string {
  return trusted(authorities)
    .map(({ cert }) => `${cert.trim()}\n`)
    .join("");
}

function trusted({ current, next, former }: Authorities): readonly OwnAuthority[] {
  return [current, next, former].flatMap((one) => one ?? []).sort((a, b) => (a.fingerprint < b.fingerprint ? -1 : 1));
}

export function stateOf({ current, next, former, settledAtMs }: Authorities): AuthorityState {
  return { current, next, former, settledAtMs };
}

export function entryOf(secret: Pick<Secret, "data"> | undefined, key: string): string {
  return Buffer.from(secret?.data?.[key] ?? "", "base64").toString("utf8");
}

export function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
