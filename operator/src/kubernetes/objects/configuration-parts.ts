import type { PushGatewaySpec } from "../../generated/push-gateway.js";
import type { Fleet } from "./fleet.js";

/** A configuration file as an object, before it is YAML. */
export type Configuration = Readonly<Record<string, unknown>>;

/** Addresses with a user or a password in them: they are not written into a ConfigMap, which many may read, but into a Secret of the same
 *  revision, and reach the process by its environment. Keys of that Secret. */
export const addressKeys = { registryUrl: "registry-url", storeUrl: "store-url" } as const;

export function hasCredentials(url: string): boolean {
  return /^[a-z]+:\/\/[^/]*@/.test(url);
}

/** The addresses of a spec that have to be in a Secret, by its keys. */
export function secretAddresses({ registry, store }: PushGatewaySpec, part: "gateway" | "router"): Readonly<Record<string, string>> {
  const isSecret = (url: string | undefined): url is string => url !== undefined && hasCredentials(url);
  return {
    ...(isSecret(registry?.url) ? { [addressKeys.registryUrl]: registry.url } : {}),
    ...(part === "router" && isSecret(store?.url) ? { [addressKeys.storeUrl]: store.url } : {}),
  };
}

/** What a fleet's keys start with where its spec does not say: no other fleet's do. */
export function defaultKeyPrefix({ namespace, name }: Pick<Fleet, "namespace" | "name">): string {
  return `${namespace}/${name}:`;
}

/** `registry` of gateway.yaml and router.yaml. */
export function registryConfiguration(fleet: Fleet): Configuration {
  const { registry } = fleet.spec;
  if (registry?.kind !== "Redis") return { kind: "memory" }; // fleet-problems.ts refuses it
  const url = registry.url === undefined || hasCredentials(registry.url) ? {} : { url: registry.url };
  return { kind: "redis", ...url, keyPrefix: registry.keyPrefix ?? defaultKeyPrefix(fleet) };
}
