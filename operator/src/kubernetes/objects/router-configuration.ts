import type { PushGatewaySpec } from "../../generated/push-gateway.js";
import { type Configuration, hasCredentials, registryConfiguration } from "./configuration-parts.js";
import type { Fleet } from "./fleet.js";
import { paths, tlsFiles } from "./paths.js";
import { ports } from "./ports.js";

/** router.yaml (DESIGN §9). Without tokens of publishers HTTP listens on the pod's loopback only, where `kubectl port-forward` reaches it. */
export function routerConfiguration(fleet: Fleet): Configuration {
  const { router, store } = fleet.spec;
  return {
    http:
      router.http === undefined
        ? { host: "127.0.0.1", port: ports.routerHttp }
        : { host: "0.0.0.0", port: ports.routerHttp, apiTokensFile: `${paths.apiTokens}/tokens` },
    admin: { host: "0.0.0.0", port: ports.routerAdmin },
    grpc: { host: "0.0.0.0", port: ports.routerGrpc, tls: tlsFiles },
    ...(router.kafka === undefined ? {} : { kafka: kafkaConfiguration(fleet, router.kafka) }),
    registry: registryConfiguration(fleet),
    store: storeConfiguration(store),
  };
}

/** The consumer group of a fleet's routers where its spec does not say. Two fleets in one group would share out one stream between them. */
export function defaultGroupId({ namespace, name }: Pick<Fleet, "namespace" | "name">): string {
  return `pushfleet-router.${namespace}.${name}`;
}

function kafkaConfiguration(fleet: Fleet, kafka: NonNullable<PushGatewaySpec["router"]["kafka"]>): Configuration {
  const { brokers, topic, deadLetterTopic, clientEventsTopic, outcomesTopic } = kafka;
  const groupId = kafka.groupId ?? defaultGroupId(fleet);
  return { brokers, topic, groupId, deadLetterTopic, clientEventsTopic, outcomesTopic: outcomesTopic ?? null };
}

function storeConfiguration(store: PushGatewaySpec["store"]): Configuration {
  if (store?.kind === "Redis") {
    return { kind: "redis", ...(store.url === undefined || hasCredentials(store.url) ? {} : { url: store.url }) };
  }
  if (store?.kind === "Cassandra") {
    const { contactPoints, localDataCenter, keyspace } = store;
    return { kind: "cassandra", contactPoints, localDataCenter, keyspace };
  }
  return { kind: "memory", allowVolatile: store?.allowVolatile ?? false };
}
