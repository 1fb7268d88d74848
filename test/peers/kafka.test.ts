import { existsSync } from "node:fs";
import { CompressionTypes, type Consumer, Kafka, logLevel } from "kafkajs";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { KAFKA_START_DEADLINE_MS, type KafkaServer, startKafka, useKafka } from "./kafka.js";
import { describeWithPeers } from "./peer.js";
import { isProcessAlive } from "./process-alive.js";
import { waitFor } from "./wait-for.js";

describeWithPeers(["kafka-server"], "a Kafka of our own", () => {
  let kafka: KafkaServer;
  beforeAll(async () => {
    kafka = await startKafka({ topics: { "notifications.in_app": 2 } });
  }, KAFKA_START_DEADLINE_MS);
  afterAll(() => kafka.stop());

  const client = (): Kafka =>
    new Kafka({ clientId: "test", brokers: [...kafka.brokers], logLevel: logLevel.NOTHING, retry: { retries: 3, initialRetryTime: 50 } });

  async function publish(topic: string, values: readonly string[], compression = CompressionTypes.None): Promise<void> {
    const producer = client().producer();
    await producer.connect();
    await producer.send({ topic, messages: values.map((value) => ({ key: value, value })), compression });
    await producer.disconnect();
  }

  /** Reads a topic from its beginning until it has `count` records. */
  async function consume(topic: string, count: number, groupId: string): Promise<readonly string[]> {
    const consumer: Consumer = client().consumer({ groupId, maxWaitTimeInMs: 100 });
    const values: string[] = [];
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({ eachMessage: async ({ message }) => void values.push(String(message.value)) });
    await waitFor(() => values.length >= count, { what: `${count} records` });
    await consumer.disconnect();
    return values.sort();
  }

  test("what is published to a topic made at the start is consumed by a group", async () => {
    await publish("notifications.in_app", ["n1", "n2", "n3"]);
    await expect(consume("notifications.in_app", 3, "router")).resolves.toEqual(["n1", "n2", "n3"]);
  });

  test("gzip batches go through, on a topic made later with the partitions asked for", async () => {
    await kafka.createTopic("compressed", 3);
    await publish("compressed", ["n1", "n2"], CompressionTypes.GZIP);
    await expect(consume("compressed", 2, "gzip")).resolves.toEqual(["n1", "n2"]);
    const admin = client().admin();
    await admin.connect();
    const { topics } = await admin.fetchTopicMetadata({ topics: ["compressed"] });
    expect(topics[0]?.partitions).toHaveLength(3);
    await admin.disconnect();
  });

  test("a Kafka that the environment names is used, with the topics a suite asks for, and stays when it is done", async () => {
    vi.stubEnv("PUSHFLEET_TEST_KAFKA_BROKERS", kafka.brokers.join(","));
    const shared = await useKafka({ shared: 1 });
    vi.unstubAllEnvs();
    expect(shared.brokers).toEqual(kafka.brokers);
    await shared.stop();
    await publish("shared", ["n1"]);
    await expect(consume("shared", 1, "shared")).resolves.toEqual(["n1"]);
  });

  test("an unknown topic is not made by using it", async () => {
    await expect(publish("never-made", ["n1"])).rejects.toThrow(/does not host this topic/);
  });

  test(
    "has its records and its port again after a crash and a restart",
    async () => {
      await kafka.createTopic("kept", 1);
      await publish("kept", ["n1"]);
      await kafka.kill();
      await kafka.restart();
      await expect(consume("kept", 1, "after-crash")).resolves.toEqual(["n1"]);
    },
    KAFKA_START_DEADLINE_MS,
  );

  test(
    "a configuration that Kafka refuses is an error with its words",
    async () => {
      await expect(startKafka({ config: ["log.segment.bytes=none"] })).rejects.toThrow(
        /Invalid value none for configuration log.segment.bytes/,
      );
    },
    KAFKA_START_DEADLINE_MS,
  );

  test("leaves no process and no folder when it is stopped", async () => {
    expect(existsSync(kafka.folder)).toBe(true);
    await kafka.stop();
    expect(isProcessAlive(kafka.pid)).toBe(false);
    expect(existsSync(kafka.folder)).toBe(false);
  });
});
