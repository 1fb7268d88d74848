/** Names of everything a fleet owns, in one place. A fleet's name has at most 28 characters and a pool's 20, so that all but the Secrets
 *  stay within the 63 of a DNS label; a Secret's name may have 253. */

type Named = { readonly name: string };

/** The Service that clients use. */
export const clientServiceName = (fleet: Named): string => fleet.name;
/** Headless, one address a gateway pod; also the PodDisruptionBudget of the gateways and the pods' subdomain. */
export const gatewaysName = (fleet: Named): string => `${fleet.name}-gateways`;
/** ServiceAccount and NetworkPolicy of the gateways. */
export const gatewayName = (fleet: Named): string => `${fleet.name}-gateway`;
/** Headless Service, Deployment, ServiceAccount, NetworkPolicy and PodDisruptionBudget of the routers. */
export const routerName = (fleet: Named): string => `${fleet.name}-router`;
/** Deployment, ServiceAccount, NetworkPolicy and PodDisruptionBudget of the HAProxies. */
export const haproxyName = (fleet: Named): string => `${fleet.name}-haproxy`;
/** ConfigMap and ControllerRevision of one revision of a pool. */
export const poolRevisionName = (fleet: Named, pool: string, revision: string): string => `${fleet.name}-${pool}-${revision}`;
/** ConfigMap and ControllerRevision of one revision of the routers. */
export const routerRevisionName = (fleet: Named, revision: string): string => `${fleet.name}-router-${revision}`;
/** ConfigMap and ControllerRevision of one revision of the HAProxies. */
export const haproxyRevisionName = (fleet: Named, revision: string): string => `${fleet.name}-haproxy-${revision}`;
/** Secret with the fleet's certificate authority. */
export const authoritySecretName = (fleet: Named): string => `${fleet.name}-ca`;
/** Secret with the certificate of one gateway pod. */
export const gatewayTlsSecretName = (pod: string): string => `${pod}-tls`;
/** Secret with the certificate that the routers share. */
export const routerTlsSecretName = (fleet: Named): string => `${fleet.name}-router-tls`;
/** Secret with the key of resume tokens, where no HS256 secret gives one to all gateways. */
export const resumeSecretName = (fleet: Named): string => `${fleet.name}-resume`;

/** Other fleets whose objects in the same namespace would have names of this one's: `a` has a Service `a-router`, as has a fleet of that
 *  name for its clients. */
export function clashingFleets(name: string, others: readonly string[]): readonly string[] {
  const parts = ["gateways", "gateway", "router", "haproxy"];
  const clashes = (one: string, other: string): boolean => parts.some((part) => other === `${one}-${part}`);
  return others.filter((other) => clashes(name, other) || clashes(other, name));
}

/** Names inside the cluster of a Service; the last is the full one. */
export function serviceDnsNames(service: string, namespace: string, clusterDomain = "cluster.local"): readonly string[] {
  return [service, `${service}.${namespace}`, `${service}.${namespace}.svc`, `${service}.${namespace}.svc.${clusterDomain}`];
}
