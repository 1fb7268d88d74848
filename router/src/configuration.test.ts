import { validateConfiguration } from "@pushfleet/service";
import { expect, test } from "vitest";
import { routerProcessRefinements, routerSchema } from "./configuration.js";

const redis = { kind: "redis", url: "redis://127.0.0.1:6379" };
const least = { registry: redis, store: { kind: "memory" } };
const kafka = { brokers: ["127.0.0.1:9092"] };
const validate = (value: object) => validateConfiguration(routerSchema, value, routerProcessRefinements);

test("what is left out has the defaults of the design", () => {
  expect(validate({ ...least, kafka, store: { kind: "memory", allowVolatile: true } })).toEqual({
    kind: "configuration",
    value: {
      http: { host: "127.0.0.1", port: 8081 },
      admin: { host: "127.0.0.1", port: 9092 },
      grpc: { host: "127.0.0.1", port: 9200 },
      kafka: {
        brokers: ["127.0.0.1:9092"],
        topic: "notifications.in_app",
        groupId: "pushfleet-router",
        deadLetterTopic: "notifications.dead",
        clientEventsTopic: "notifications.client_events",
        outcomesTopic: null,
      },
      registry: expect.objectContaining(redis),
      store: { kind: "memory", allowVolatile: true },
    },
  });
});

test("without kafka a volatile store needs no leave", () => {
  expect(validate(least).kind).toBe("configuration");
});

test.each<[string, object, string, string]>([
  ["a volatile store beside Kafka", { ...least, kafka }, "store.allowVolatile", "true"],
  ["a store that is not built", { ...least, store: { kind: "redis" } }, "store.kind", '"memory"'],
  ["a registry in memory", { ...least, registry: { kind: "memory" } }, "registry.kind", '"redis"'],
  ["HTTP for everybody without tokens", { ...least, http: { host: "0.0.0.0" } }, "http.host", "http.apiTokensFile"],
  ["gRPC for everybody without TLS", { ...least, grpc: { host: "0.0.0.0" } }, "grpc.host", "grpc.tls"],
  ["no brokers", { ...least, kafka: { brokers: [] } }, "kafka.brokers", "a list of 1"],
  ["a topic that is no name", { ...least, kafka: { ...kafka, topic: "a b" } }, "kafka.topic", "a Kafka topic name"],
  ["a topic that Kafka has not", { ...least, kafka: { ...kafka, deadLetterTopic: ".." } }, "kafka.deadLetterTopic", 'neither "." nor ".."'],
  ...["deadLetterTopic", "clientEventsTopic", "outcomesTopic"].map((name): [string, object, string, string] => [
    `the topic it reads as its ${name}`,
    { ...least, kafka: { ...kafka, [name]: "notifications.in_app" } },
    "kafka.topic",
    `another topic than kafka.${name}`,
  ]),
  ["a misspelt field", { ...least, kafka: { ...kafka, group: "g" } }, "kafka.group", "groupId"],
])("%s is a fault that says what would be right", (_, value, path, expected) => {
  const validated = validate(value);
  const faults = validated.kind === "faults" ? validated.faults : [];
  expect(faults.find((fault) => fault.path === path)?.expected ?? JSON.stringify(validated)).toContain(expected);
});
