import { createMemoryRegistry, type Registry } from "@pushfleet/registry";
import { createLogger, systemClock } from "@pushfleet/service";
import { Kafka, logLevel } from "kafkajs";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { KAFKA_START_DEADLINE_MS, type KafkaServer, startKafka } from "../../../test/peers/kafka.js";
import { describeWithPeers } from "../../../test/peers/peer.js";
import { waitFor } from "../../../test/peers/wait-for.js";
import { createRouter, createStore, type Router } from "../create-router.js";
import { FakeGateway } from "../fake-gateway.test-support.js";
import { post } from "../router-world.test-suite.js";

const listen = { host: "127.0.0.1", port: 0 };
const store = { kind: "memory", allowVolatile: true } as const;
const topics = { topic: "in", deadLetterTopic: "dead", clientEventsTopic: "events", outcomesTopic: null };
const deadlineMs = 60_000;

describeWithPeers(["kafka-server"], "a router whose Kafka is away", () => {
  let kafka: KafkaServer;
  let registry: Registry;
  let gateway: FakeGateway;
  let router: Router;
  beforeAll(async () => {
    kafka = await startKafka({ topics: { in: 2, dead: 1, events: 1 } });
  }, KAFKA_START_DEADLINE_MS);
  afterAll(() => kafka.stop());
  beforeEach(async () => {
    registry = createMemoryRegistry({ clock: systemClock });
    gateway = await new FakeGateway().start(registry);
    await gateway.connect(registry, "u", "d");
  });
  afterEach(async () => {
    await router.stop();
    gateway.stop();
  });

  async function startRouter(groupId: string): Promise<void> {
    router = await createRouter(
      {
        ...{ http: listen, admin: listen, grpc: listen, registry: { kind: "memory" as const }, store },
        kafka: { brokers: [...kafka.brokers], groupId, ...topics },
      },
      { registry, store: createStore(store, { clock: systemClock }), clock: systemClock, logger: createLogger("router", "silent") },
    );
  }

  async function send(...values: readonly string[]): Promise<void> {
    const producer = new Kafka({ clientId: "test", brokers: [...kafka.brokers], logLevel: logLevel.NOTHING }).producer();
    await producer.connect();
    await producer.send({ topic: "in", messages: values.map((value) => ({ key: value, value })) });
    await producer.disconnect();
  }
  const record = (id: string): string => `{"user_id":"u","notification_id":"${id}","data":1}`;
  const waitForReadiness = (kind: "ready" | "not_ready") =>
    waitFor(() => router.readiness().kind === kind, { what: `the router to be ${kind}`, deadlineMs });
  const waitForDelivery = (id: string) =>
    waitFor(() => gateway.deliveries.some((delivery) => delivery.notificationId === id), { what: `the delivery of ${id}`, deadlineMs });

  test(
    "starts without it, is not ready, takes what comes by HTTP, and reads the topic once it is there",
    async () => {
      await kafka.kill();
      await startRouter("late");
      expect(router.readiness()).toEqual({ kind: "not_ready", reason: "not a member of the Kafka group" });
      expect((await post(router.addresses.http, record("by-http"))).status).toBe(202);
      const events = [{ user: "u", device: "d", name: "typing", data: Buffer.from("1"), atMs: 1 }];
      expect((await router.link.emit({ events })).kind).toBe("unavailable");
      await kafka.restart();
      await waitForReadiness("ready");
      await send(record("by-kafka"));
      await waitForDelivery("by-kafka");
    },
    deadlineMs + KAFKA_START_DEADLINE_MS,
  );

  test(
    "is not ready while it is gone, goes on where it was with nothing lost, dead letters included, and stops within seconds without it",
    async () => {
      await startRouter("through");
      await waitForReadiness("ready");
      await send(record("before"));
      await waitForDelivery("before");
      await kafka.kill();
      await waitForReadiness("not_ready");
      await kafka.restart();
      await send("not a notification", record("after"));
      await waitForDelivery("after");
      await waitFor(() => router.totals().deadLettered === 1, { what: "the dead letter", deadlineMs });
      await waitForReadiness("ready");
      await kafka.kill();
      const startedMs = performance.now();
      await router.stop();
      expect(performance.now() - startedMs).toBeLessThan(10_000);
    },
    deadlineMs + KAFKA_START_DEADLINE_MS,
  );
});
