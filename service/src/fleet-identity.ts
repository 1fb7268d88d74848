/** What a process is in its fleet. Where a certificate says so it is the SAN URI `pushfleet://<namespace>/<fleet>/<role>/<id>`. */
export interface FleetIdentity {
  readonly namespace: string;
  readonly fleet: string;
  readonly role: FleetRole;
  /** Of a gateway its name (`id` of gateway.yaml, the pod's), of the others what the operator calls them. */
  readonly id: string;
}

export const fleetRoles = ["gateway", "router", "operator"] as const;
export type FleetRole = (typeof fleetRoles)[number];

/** Whom a caller looked up: a process of its own fleet. `id` is absent where only the role is known. */
export interface ExpectedPeer {
  readonly role: FleetRole;
  readonly id?: string | undefined;
}

const scheme = "pushfleet://";
const pattern = /^pushfleet:\/\/([A-Za-z0-9._-]{1,253})\/([A-Za-z0-9._-]{1,253})\/(gateway|router|operator)\/([A-Za-z0-9._:@-]{1,253})$/;

export function formatIdentity({ namespace, fleet, role, id }: FleetIdentity): string {
  return `${scheme}${namespace}/${fleet}/${role}/${id}`;
}

/** From the subject alternative names of a certificate, as Node writes them ("DNS:a, URI:b"). A name with anything unusual in it is quoted there
 *  (CVE-2021-44532), and then no identity. Two identities in one certificate are none. */
export function parseIdentity(subjectAltName: string | undefined): FleetIdentity | undefined {
  const uris = (subjectAltName ?? "").split(", ").flatMap((name) => (name.startsWith("URI:") ? [name.slice("URI:".length)] : []));
  const [uri, ...others] = uris.filter((name) => name.toLowerCase().startsWith(scheme));
  const [, namespace, fleet, role, id] = (others.length === 0 && uri !== undefined && pattern.exec(uri)) || [];
  const known = fleetRoles.find((one) => one === role);
  return namespace === undefined || fleet === undefined || known === undefined || id === undefined
    ? undefined
    : { namespace, fleet, role: known, id };
}

export function isSameFleet(a: FleetIdentity, b: FleetIdentity): boolean {
  return a.namespace === b.namespace && a.fleet === b.fleet;
}

/** Why the process that shows `found` is not the one that was looked up; `undefined`: it is. */
export function peerFault(own: FleetIdentity, expected: ExpectedPeer, found: FleetIdentity | undefined): string | undefined {
  const wanted = formatIdentity({ ...own, role: expected.role, id: expected.id ?? "…" });
  if (found === undefined) return `its certificate names no process of a fleet, expected ${wanted}`;
  const isExpected = isSameFleet(own, found) && found.role === expected.role && (expected.id === undefined || found.id === expected.id);
  return isExpected ? undefined : `its certificate is that of ${formatIdentity(found)}, expected ${wanted}`;
}
