/** Where a PushGateway stands. */
export interface FleetPlace {
  readonly namespace: string;
  readonly name: string;
}

/** Names of the Secrets of a fleet: of its clients' key (under "key"), and of its publishers' tokens (under "tokens"). */
export interface SecretNames {
  readonly jwt: string;
  readonly publishers: string;
}

const defaultNames: SecretNames = { jwt: "jwt", publishers: "publishers" };

/** A PushGateway with `fleetSpec`. Fields of `spec` replace those of it. */
export function fleetManifest({ namespace, name }: FleetPlace, redisUrl: string, spec: object = {}, secrets?: SecretNames): object {
  return {
    apiVersion: "pushfleet.dev/v1alpha1",
    kind: "PushGateway",
    metadata: { name, namespace },
    spec: { ...fleetSpec(redisUrl, secrets), ...spec },
  };
}

/** Small, and moved without much waiting: two gateways and a router. */
export function fleetSpec(redisUrl: string, secrets = defaultNames) {
  return {
    gateway: { workers: 1, auth: { hs256SecretRef: { name: secrets.jwt, key: "key" }, maxLifetimeSeconds: 3600 } },
    pools: [onePool()],
    drain: { reconnectsPerSecond: 200, deadlineSeconds: 60, stragglerGraceSeconds: 5 },
    rollout: { soakSeconds: 1 },
    router: { minReplicas: 1, maxReplicas: 1, http: { apiTokensSecretRef: { name: secrets.publishers, key: "tokens" } } },
    registry: { kind: "Redis", url: redisUrl },
    store: { kind: "Memory", allowVolatile: true },
    loadBalancer: { service: { type: "ClusterIP" } },
  };
}

/** Two gateways, and up to six. Fields replace those of it. */
export function onePool(fields: object = {}): object {
  return { name: "default", minReplicas: 2, maxReplicas: 6, softConnections: 1000, hardConnections: 1500, ...fields };
}

export function opaqueSecret(namespace: string, name: string, stringData: object): object {
  return { apiVersion: "v1", kind: "Secret", metadata: { name, namespace }, stringData };
}

/** Whoever shows `token` may publish. */
export function publishersSecret(namespace: string, token: string, name = defaultNames.publishers): object {
  return opaqueSecret(namespace, name, { tokens: `${token}\n` });
}
