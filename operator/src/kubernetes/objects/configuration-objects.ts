import type { V1ConfigMap, V1Secret } from "@kubernetes/client-node";
import { secretAddresses } from "./configuration-parts.js";
import { type Fleet, type Made, ownedMeta } from "./fleet.js";
import { resumeSecretName } from "./names.js";
import { resumeSecretKey } from "./pod-template.js";
import { revisionMeta, type StoredRevision } from "./stored-revision.js";

/** The ConfigMap that pods of a revision read. Immutable: a pod that starts again reads what it read before. */
export function buildConfigMap(fleet: Fleet, stored: StoredRevision): Made<V1ConfigMap> {
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: revisionMeta(fleet, stored),
    immutable: true,
    data: stored.files,
  };
}

/** The Secret with addresses that hold a password. `undefined`: the spec has none. Only for a revision made from the spec of now: addresses
 *  of an older one are in its own Secret and nowhere else. */
export function buildAddressSecret(fleet: Fleet, stored: StoredRevision): Made<V1Secret> | undefined {
  const addresses = stored.component === "haproxy" ? {} : secretAddresses(fleet.spec, stored.component);
  if (Object.keys(addresses).length === 0) return undefined;
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: revisionMeta(fleet, stored),
    type: "Opaque",
    immutable: true,
    data: Object.fromEntries(Object.entries(addresses).map(([key, url]) => [key, Buffer.from(url).toString("base64")])),
  };
}

/** Whether the gateways need `buildResumeSecret`: with an HS256 secret they derive the same key from it. */
export function needsResumeSecret({ spec }: Fleet): boolean {
  return spec.gateway.auth.hs256SecretRef === undefined;
}

/** The key of resume tokens, the same for all gateways. Made once, from 32 random bytes, and kept: a new one makes clients queue with the
 *  others at their next reconnect. Gateways read it at their start only, so nobody may edit it: those made before and after would have two. */
export function buildResumeSecret(fleet: Fleet, key: Uint8Array): Made<V1Secret> {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: ownedMeta(fleet, { name: resumeSecretName(fleet), component: "gateway" }),
    type: "Opaque",
    immutable: true,
    data: { [resumeSecretKey]: Buffer.from(Buffer.from(key).toString("base64url")).toString("base64") },
  };
}
