import { createMemoryRegistry, type Registry } from "@pushfleet/registry";
import { createLogger, systemClock, v1 } from "@pushfleet/service";
import { type Admin, ConfigResourceTypes, Kafka, type KafkaMessage, logLevel, type Message, type Producer } from "kafkajs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { KAFKA_START_DEADLINE_MS, type KafkaPeer, useKafka } from "../../../test/peers/kafka.js";
import { describeWithPeers } from "../../../test/peers/peer.js";
import { waitFor } from "../../../test/peers/wait-for.js";
import { createRouter, createStore, type Router } from "../create-router.js";
import { FakeGateway } from "../fake-gateway.test-support.js";

const listen = { host: "127.0.0.1", port: 0 };
const logger = createLogger("router", "silent");
const store = { kind: "memory", allowVolatile: true } as const;

describeWithPeers(["kafka"], "a router on Kafka", () => {
  let peer: KafkaPeer;
  let kafka: Kafka;
  let admin: Admin;
  let producer: Producer;
  let registry: Registry;
  let gateway: FakeGateway;
  let topic: string;
  let routers: Router[];
  let topics = 0;

  beforeAll(async () => {
    peer = await useKafka();
    kafka = new Kafka({ clientId: "test", brokers: [...peer.brokers], logLevel: logLevel.NOTHING });
    admin = kafka.admin();
    producer = kafka.producer();
    await Promise.all([admin.connect(), producer.connect()]);
  }, KAFKA_START_DEADLINE_MS);
  afterAll(async () => {
    await Promise.all([admin.disconnect(), producer.disconnect()]);
    await peer.stop();
  });
  beforeEach(async () => {
    registry = createMemoryRegistry({ clock: systemClock });
    gateway = await new FakeGateway().start(registry);
    routers = [];
    topic = `router-test-${process.pid}-${++topics}`;
    await createTopics({ [topic]: 2, [`${topic}.dead`]: 1, [`${topic}.events`]: 1, [`${topic}.outcomes`]: 1 });
  });
  afterEach(async () => {
    await Promise.all(routers.map((router) => router.stop()));
    gateway.stop();
  });

  async function createTopics(wanted: Readonly<Record<string, number>>, config: Readonly<Record<string, string>> = {}): Promise<void> {
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
    const list = Object.entries(wanted).map(([name, numPartitions]) => ({ topic: name, numPartitions, configEntries }));
    await admin.createTopics({ topics: list, waitForLeaders: true });
  }

  async function startRouter(changes: { readonly outcomesTopic?: string; readonly topic?: string } = {}): Promise<Router> {
    const names = { topic, groupId: topic, deadLetterTopic: `${topic}.dead`, clientEventsTopic: `${topic}.events`, outcomesTopic: null };
    const config = {
      ...{ http: listen, admin: listen, grpc: listen, registry: { kind: "memory" as const }, store },
      kafka: { brokers: [...peer.brokers], ...names, ...changes },
    };
    const router = await createRouter(config, { registry, store: createStore(store, { clock: systemClock }), clock: systemClock, logger });
    routers.push(router);
    return router;
  }

  const send = (...messages: Message[]) => producer.send({ topic, messages });
  const record = (user: string, id: string, data = "1"): Message => ({
    key: user,
    value: `{"user_id":"${user}","notification_id":"${id}","data":${data}}`,
  });
  const idsAt = (at: FakeGateway): readonly string[] => at.deliveries.map((delivery) => delivery.notificationId);

  /** All that a topic has, in order. */
  async function readAll(from: string, count: number): Promise<readonly KafkaMessage[]> {
    const consumer = kafka.consumer({ groupId: `${from}-reader`, maxWaitTimeInMs: 50 });
    const found: KafkaMessage[] = [];
    await consumer.connect();
    await consumer.subscribe({ topics: [from], fromBeginning: true });
    await consumer.run({ eachMessage: async ({ message }) => void found.push(message) });
    await waitFor(() => found.length >= count, { what: `${count} records of ${from}` });
    await consumer.disconnect();
    return found;
  }

  /** Sum over the partitions; what was never committed counts 0. */
  async function committed(): Promise<number> {
    const [fetched] = await admin.fetchOffsets({ groupId: topic, topics: [topic] });
    return (fetched?.partitions ?? []).reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0);
  }
  const waitForCommitted = (count: number) => waitFor(async () => (await committed()) === count, { what: `${count} records committed` });

  test("delivers a record with its data byte for byte, and commits it", async () => {
    await gateway.connect(registry, "usr_42", "phone");
    const router = await startRouter();
    const data = '{ "n":9007199254740993,"f":1.0,\n"e":"\\u00e9","ü":"😀" }';
    await send(record("usr_42", "n1", data));
    await waitFor(() => gateway.frames[0], { what: "the frame" });
    expect(gateway.frames[0]).toMatch(/^\{"type":"notification","notification_id":"n1","cursor":"c1_\d{13}_\d{6}","data":/);
    expect(gateway.frames[0]).toContain(`"data":${data}}`);
    await waitForCommitted(1);
    expect(router.totals()).toMatchObject({ accepted: 1, written: 1 });
    expect(router.readiness()).toEqual({ kind: "ready" });
    expect(await router.metrics.metrics()).toContain('pushfleet_router_notifications_total{source="kafka",result="done"} 1');
  });

  test.each(["gzip", "snappy", "lz4", "zstd"])("reads batches that a producer compressed with %s", async (codec) => {
    const compressed = `${topic}.${codec}`;
    await createTopics({ [compressed]: 1 }, { "compression.type": codec }); // the broker compresses, with Java's libraries
    await gateway.connect(registry, "u", "d");
    await startRouter({ topic: compressed });
    const data = JSON.stringify("compressible ".repeat(500));
    await producer.send({ topic: compressed, messages: Array.from({ length: 20 }, (_, index) => record("u", `n${index}`, data)) });
    await waitFor(() => gateway.deliveries.length === 20, { what: "20 deliveries" });
    expect(gateway.frames.every((frame) => frame.endsWith(`"data":${data}}`))).toBe(true);
  });

  describe("a record that is no notification", () => {
    const invalidUtf8 = Buffer.concat([
      Buffer.from('{"user_id":"u","notification_id":"n","data":"'),
      Buffer.from([0xff, 0xfe]),
      Buffer.from('"}'),
    ]);
    test.each<[string, Buffer | string | null]>([
      ["is not JSON", "{"],
      ["is not UTF-8", invalidUtf8],
      ["has no id", '{"user_id":"u","data":1}'],
      ["has no data", '{"user_id":"u","notification_id":"n"}'],
      ["has data above 32 KiB", JSON.stringify({ user_id: "u", notification_id: "n", data: "x".repeat(33_000) })],
      ["is 100,000 brackets", "[".repeat(100_000)],
      ["is a tombstone", null],
    ])("because it %s goes to the dead-letter topic as it was, with the reason, and those after it are delivered", async (_, value) => {
      await gateway.connect(registry, "u", "d");
      const router = await startRouter();
      await send({ key: "the key", value, headers: { trace: "t1" }, partition: 0 });
      await send({ ...record("u", "after"), partition: 0 });
      await waitForCommitted(2);
      expect(idsAt(gateway)).toEqual(["after"]);
      const [letter] = await readAll(`${topic}.dead`, 1);
      expect(letter?.key?.toString()).toBe("the key");
      expect(letter?.value).toEqual(value === null ? null : Buffer.from(value));
      const headers = Object.fromEntries(Object.entries(letter?.headers ?? {}).map(([name, text]) => [name, String(text)]));
      expect(headers).toMatchObject({
        trace: "t1",
        "pushfleet-reason": "bad_record",
        "pushfleet-topic": topic,
        "pushfleet-partition": "0",
        "pushfleet-offset": "0",
      });
      expect(JSON.parse(headers["pushfleet-details"] ?? "")).toEqual([expect.objectContaining({ expected: expect.any(String) })]);
      expect(router.totals().deadLettered).toBe(1);
    });

    test("and is too large for the dead-letter topic goes there without its value, and does not hold up the partition", async () => {
      await setConfig(`${topic}.dead`, "max.message.bytes", "20000");
      await startRouter();
      await send({ key: "k", value: "x".repeat(50_000) });
      await waitForCommitted(1);
      const [letter] = await readAll(`${topic}.dead`, 1);
      expect([letter?.value, String(letter?.headers?.["pushfleet-value-bytes"])]).toEqual([null, "50000"]);
    });
  });

  async function setConfig(name: string, key: string, value: string): Promise<void> {
    await admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name, configEntries: [{ name: key, value }] }],
    });
  }

  test("nothing is committed before it has its outcomes, and a worker that does not answer in time is asked again", async () => {
    await gateway.connect(registry, "u", "d");
    gateway.answer = "silent";
    const router = await startRouter();
    await send(record("u", "n1"));
    await waitFor(() => gateway.deliveries.length >= 2, { what: "the second attempt", deadlineMs: 15_000 });
    expect([await committed(), router.totals().accepted]).toEqual([0, 0]);
    const synced = await router.link.sync({ user: "u", lastSeen: "", page: "" });
    expect(synced.kind === "ok" && Buffer.from(synced.reply.frame ?? []).toString()).toContain('"n1"');
    gateway.answer = v1.Outcome.OUTCOME_WRITTEN;
    await waitForCommitted(1);
    expect(router.totals()).toMatchObject({ accepted: 1, written: 1 });
  }, 30_000);

  test("one record for a thousand users is done when each of them is", async () => {
    const users = Array.from({ length: 1000 }, (_, index) => `u${index}`);
    for (const user of users) await gateway.connect(registry, user, "d");
    const router = await startRouter();
    await send({ key: "u0", value: JSON.stringify({ user_ids: users, notification_id: "n1", data: 1 }) });
    await waitForCommitted(1);
    expect(router.totals()).toMatchObject({ accepted: 1000, written: 1000 });
  });

  test("tells the outcomes of each notification where that is asked for, before it commits", async () => {
    await gateway.connect(registry, "u", "a");
    await gateway.connect(registry, "u", "b");
    await startRouter({ outcomesTopic: `${topic}.outcomes` });
    await send(record("u", "n1"));
    await waitForCommitted(1);
    const [told] = await readAll(`${topic}.outcomes`, 1);
    expect(told?.key?.toString()).toBe("u");
    expect(JSON.parse(String(told?.value))).toEqual({
      user_id: "u",
      notification_id: "n1",
      cursor: expect.stringMatching(/^c1_/),
      outcomes: { written: 2, offline: 0, stale: 0, overflow: 0 },
    });
  });

  test("client events go to their topic, keyed by user, data as the client wrote it", async () => {
    const router = await startRouter();
    const event = { user: "u", device: "d", name: "typing", data: Buffer.from('{"a":1.0}'), atMs: 5 };
    expect(await router.link.emit({ events: [event] })).toEqual({ kind: "ok", reply: {} });
    const [told] = await readAll(`${topic}.events`, 1);
    expect([String(told?.key), String(told?.value)]).toEqual([
      "u",
      '{"user_id":"u","device":"d","name":"typing","data":{"a":1.0},"at_ms":5}',
    ]);
    expect(router.recentClientEvents()).toEqual([]);
  });

  test("a backlog is taken within bounds and committed to its end; a router that starts again has nothing to do", async () => {
    for (let index = 0; index < 20; index++) await gateway.connect(registry, `u${index}`, "d");
    const messages = Array.from({ length: 5000 }, (_, index) => record(`u${index % 20}`, `n${index}`));
    await send(...messages);
    const router = await startRouter();
    await waitForCommitted(5000);
    expect(new Set(idsAt(gateway)).size).toBe(5000);
    expect(gateway.deliveries).toHaveLength(5000);
    await router.stop();
    await startRouter();
    await send(record("u0", "last"));
    await waitForCommitted(5001);
    expect(gateway.deliveries).toHaveLength(5001);
  });

  test("of two routers each takes a part; when one goes, the other takes over, and everything is delivered", async () => {
    for (let index = 0; index < 20; index++) await gateway.connect(registry, `u${index}`, "d");
    let sent = 0;
    const sendMore = (count: number) => send(...Array.from({ length: count }, () => record(`u${sent % 20}`, `n${sent++}`)));
    await startRouter();
    await sendMore(500);
    const second = await startRouter();
    await sendMore(500);
    await waitFor(() => second.readiness().kind === "ready", { what: "the second router to join" });
    const takesRecords = async (): Promise<boolean> => {
      await sendMore(10);
      return second.totals().accepted > 0;
    };
    await waitFor(takesRecords, { what: "the second router to take records" });
    await second.stop();
    await sendMore(500);
    await waitForCommitted(sent);
    expect(new Set(idsAt(gateway)).size).toBe(sent);
  }, 40_000);
});
