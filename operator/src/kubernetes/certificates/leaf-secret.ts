import { createHash } from "node:crypto";
import type { V1Secret } from "@kubernetes/client-node";
import type { FleetRole } from "@pushfleet/service";
import {
  type Component,
  type Fleet,
  gatewaysName,
  gatewayTlsSecretName,
  type Made,
  ownedMeta,
  routerName,
  routerTlsSecretName,
  serviceDnsNames,
} from "../objects/index.js";
import { type Authorities, base64, entryOf, type Secret, trustBundle } from "./authority-secret.js";
import { type LeafFacts, trustedBy } from "./rotation.js";

/** A certificate that a process of the fleet reads from a Secret. */
export interface WantedLeaf {
  readonly secretName: string;
  readonly role: FleetRole;
  readonly id: string;
  readonly dnsNames: readonly string[];
  readonly component: Component;
  /** No process has read a Secret of this name yet, and none will before this plan's writes are done: the pod is about to be made. */
  readonly isNew: boolean;
}

/** Of the gateway pod `pod`, which may not be there yet. */
export function gatewayLeaf(fleet: Fleet, pod: { readonly name: string; readonly isNew: boolean }, clusterDomain?: string): WantedLeaf {
  const [, ...names] = serviceDnsNames(gatewaysName(fleet), fleet.namespace, clusterDomain);
  return {
    secretName: gatewayTlsSecretName(pod.name),
    role: "gateway",
    id: pod.name,
    dnsNames: [pod.name, ...names.map((name) => `${pod.name}.${name}`)],
    component: "gateway",
    isNew: pod.isNew,
  };
}

/** Of all routers of a fleet. */
export function routerLeaf(fleet: Fleet, isNew: boolean, clusterDomain?: string): WantedLeaf {
  return {
    secretName: routerTlsSecretName(fleet),
    role: "router",
    id: routerName(fleet),
    dnsNames: serviceDnsNames(routerName(fleet), fleet.namespace, clusterDomain),
    component: "router",
    isNew,
  };
}

const annotation = {
  issuer: "pushfleet.dev/issuer",
  trusts: "pushfleet.dev/trusts",
  names: "pushfleet.dev/names",
  notBefore: "pushfleet.dev/not-before",
  notAfter: "pushfleet.dev/not-after",
  settledAt: "pushfleet.dev/settled-at",
  digest: "pushfleet.dev/digest",
} as const;

/** Says that a Secret is one process' certificate. */
export const certificateLabel = "pushfleet.dev/certificate";

interface LeafPem {
  readonly cert: string;
  readonly key: string;
}

export interface LeafTimes {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly settledAtMs: number;
}

/** `issuer`: fingerprint of who signed it. */
export function buildLeafSecret(
  fleet: Fleet,
  wanted: WantedLeaf,
  authorities: Authorities,
  leaf: LeafPem & LeafTimes & { readonly issuer: string },
): Made<V1Secret> {
  const data = { "tls.crt": base64(leaf.cert), "tls.key": base64(leaf.key), "ca.crt": base64(trustBundle(authorities)) };
  const said = {
    [annotation.issuer]: leaf.issuer,
    [annotation.trusts]: trustedBy(authorities).join(","),
    [annotation.names]: namesOf(wanted),
    [annotation.notBefore]: new Date(leaf.notBeforeMs).toISOString(),
    [annotation.notAfter]: new Date(leaf.notAfterMs).toISOString(),
    [annotation.settledAt]: new Date(leaf.settledAtMs).toISOString(),
  };
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: ownedMeta(fleet, {
      name: wanted.secretName,
      component: wanted.component,
      labels: { [certificateLabel]: "true" },
      annotations: { ...said, [annotation.digest]: digestOf(data, said) },
    }),
    type: "kubernetes.io/tls",
    data,
  };
}

/** What its annotations say of a Secret; that they are true of its contents is told by the digest, without reading a certificate: a fleet has
 *  one for each pod, and each plan looks at all. */
export function readLeafSecret(secret: Secret, wanted: WantedLeaf): LeafFacts {
  const { annotations = {} } = secret.metadata;
  const { [annotation.digest]: digest, ...others } = annotations;
  const said = Object.fromEntries(Object.values(annotation).flatMap((name) => (others[name] === undefined ? [] : [[name, others[name]]])));
  const time = (name: string): number => Date.parse(annotations[name] ?? "");
  return {
    issuer: annotations[annotation.issuer] ?? "",
    trusts: (annotations[annotation.trusts] ?? "").split(","),
    notBeforeMs: time(annotation.notBefore),
    notAfterMs: time(annotation.notAfter),
    settledAtMs: time(annotation.settledAt),
    isRight: digest === digestOf(secret.data ?? {}, said) && annotations[annotation.names] === namesOf(wanted),
  };
}

export function readLeafPem(secret: Secret): LeafPem {
  return { cert: entryOf(secret, "tls.crt"), key: entryOf(secret, "tls.key") };
}

/** Whom a certificate names, short enough for a comparison. */
function namesOf({ role, id, dnsNames }: WantedLeaf): string {
  return [`${role}/${id}`, ...dnsNames].join(",");
}

const entries = ["tls.crt", "tls.key", "ca.crt"];

/** Of our own entries only: what somebody adds does not matter, and server-side apply would leave it there. */
function digestOf(data: Readonly<Record<string, string>>, said: Readonly<Record<string, string>>): string {
  const sorted = (values: Readonly<Record<string, string>>) => Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256")
    .update(JSON.stringify([entries.map((entry) => data[entry]), sorted(said)]))
    .digest("hex")
    .slice(0, 32);
}
