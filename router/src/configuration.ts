import type { Fault } from "@pushfleet/protocol";
import { ownProcessFaults, registrySchema } from "@pushfleet/registry";
import {
  fileFaults,
  grpcFaults,
  HostPort,
  isLoopback,
  kafkaTopicExpected,
  kafkaTopicPattern,
  Port,
  type Refinement,
  Strict,
  tlsFileFaults,
} from "@pushfleet/service";
import { type Static, Type } from "@sinclair/typebox";

const Host = () => Type.String({ minLength: 1, default: "127.0.0.1" });
const Topic = (name: string) => Type.String({ pattern: kafkaTopicPattern, expected: kafkaTopicExpected, default: name });
const File = () => Type.String({ minLength: 1 });

/** router.yaml. Without `kafka` notifications come by HTTP and gRPC only. */
export const routerSchema = Strict({
  http: Strict({ host: Host(), port: Port({ default: 8081 }), apiTokensFile: Type.Optional(File()) }, { default: {} }),
  admin: Strict({ host: Host(), port: Port({ default: 9092 }) }, { default: {} }),
  grpc: Strict(
    { host: Host(), port: Port({ default: 9200 }), tls: Type.Optional(Strict({ certFile: File(), keyFile: File(), caFile: File() })) },
    { default: {} },
  ),
  kafka: Type.Optional(
    Strict({
      brokers: Type.Array(HostPort(), { minItems: 1 }),
      topic: Topic("notifications.in_app"),
      groupId: Type.String({ minLength: 1, default: "pushfleet-router" }),
      deadLetterTopic: Topic("notifications.dead"),
      clientEventsTopic: Topic("notifications.client_events"),
      /** A record for the outcomes of each notification; null: none. */
      outcomesTopic: Type.Union([Type.Null(), Topic("notifications.outcomes")], { default: null }),
    }),
  ),
  registry: registrySchema,
  store: Strict({
    kind: Type.Literal("memory"),
    /** Notifications in memory are lost with the router: with Kafka it must be said that this is meant. */
    allowVolatile: Type.Boolean({ default: false }),
  }),
});

export type RouterConfig = Static<typeof routerSchema>;

/** What the schema cannot say. */
export const routerRefinements: readonly Refinement<RouterConfig>[] = [
  { path: "store", faults: storeFaults },
  { path: "kafka", faults: topicFaults },
  { path: "http", faults: httpFaults },
  { path: "grpc", faults: grpcFaults },
];

/** What holds for a process only: parts that share a process share its memory. */
export const routerProcessRefinements: readonly Refinement<RouterConfig>[] = [
  ...routerRefinements,
  { path: "registry", faults: (config) => ownProcessFaults(config, "gateways") },
];

/** What holds where the router runs: the files that it names are there. */
export const routerFileRefinements: readonly Refinement<RouterConfig>[] = [
  { path: "http", faults: ({ http }) => fileFaults({ "http.apiTokensFile": http.apiTokensFile }) },
  { path: "grpc.tls", faults: ({ grpc }) => tlsFileFaults(grpc.tls) },
];

function storeFaults({ store, kafka }: RouterConfig): readonly Fault[] {
  if (kafka === undefined || store.allowVolatile) return [];
  return [
    {
      path: "store.allowVolatile",
      value: false,
      expected: "true beside kafka: what is committed and only in memory is lost with the router",
    },
  ];
}

/** A router that writes to the topic it reads reads back what it wrote, for ever. */
function topicFaults({ kafka }: RouterConfig): readonly Fault[] {
  if (kafka === undefined) return [];
  const { topic } = kafka;
  const written = (["deadLetterTopic", "clientEventsTopic", "outcomesTopic"] as const).filter((name) => kafka[name] === topic);
  return written.map((name) => ({
    path: "kafka.topic",
    value: topic,
    expected: `another topic than kafka.${name}, which the router writes to`,
  }));
}

function httpFaults({ http }: RouterConfig): readonly Fault[] {
  if (http.apiTokensFile !== undefined || isLoopback(http.host)) return [];
  return [{ path: "http.host", value: http.host, expected: "a loopback address, or http.apiTokensFile beside it" }];
}
