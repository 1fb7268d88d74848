import { parseUserId } from "@pushfleet/protocol";
import { createRedisRegistry, type Registry } from "@pushfleet/registry";
import { systemClock } from "@pushfleet/service";
import { Redis } from "ioredis";
import { Kafka, logLevel, type Producer } from "kafkajs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import { type HaproxyServer, startHaproxy } from "../peers/haproxy.js";
import { type KafkaServer, startKafka } from "../peers/kafka.js";
import { describeWithPeers } from "../peers/peer.js";
import { waitFor } from "../peers/wait-for.js";
import { Device, signToken } from "../support/device.js";
import type { GatewayProcess } from "../support/fleet-processes.js";
import { ProcessFleet } from "../support/process-fleet.js";

const users = 500;
const notifications = 20_000;
const topic = "notifications.in_app";
const secret = ProcessFleet.jwtSecret;

describeWithPeers(["redis-server", "kafka-server", "haproxy"], "a fleet of processes on real Kafka and Redis", () => {
  let fleet: ProcessFleet;
  let kafka: KafkaServer;
  let balancer: HaproxyServer;
  let producer: Producer;
  let registry: Registry;
  const devices: Device[] = [];

  beforeAll(async () => {
    kafka = await startKafka({ topics: { [topic]: 4, "notifications.dead": 1, "notifications.client_events": 1 } });
    const router = { kafka: { brokers: kafka.brokers } };
    fleet = await ProcessFleet.start({ name: "it", gateways: ["gw-1", "gw-2", "gw-3"], router });
    balancer = await startHaproxy((port) => haproxyConfig(port, fleet.gateways));
    producer = new Kafka({ brokers: [...kafka.brokers], logLevel: logLevel.NOTHING }).producer();
    await producer.connect();
    registry = createRedisRegistry({ url: fleet.redis.url, keyPrefix: fleet.place.keyPrefix, clock: systemClock });
    await registry.start();
  }, 120_000);

  afterAll(async () => {
    for (const device of devices) device.client.close();
    await registry?.stop();
    await producer?.disconnect();
    await Promise.all([fleet?.stop(), balancer?.stop()]);
    await kafka?.stop();
  }, 60_000);

  /** Notifications number `from` to `to`, spread over the users in turn. */
  async function publish(from: number, to: number): Promise<void> {
    for (let at = from; at < to; at += 500) {
      const messages = [];
      for (let n = at; n < Math.min(at + 500, to); n++) {
        const user = `usr_${n % users}`;
        messages.push({ key: user, value: JSON.stringify({ user_id: user, notification_id: `n${n}`, data: { n } }) });
      }
      await producer.send({ topic, messages });
    }
  }

  /** Ids that each user must have once `count` were published. */
  const missing = (count: number): number => {
    let absent = 0;
    for (const device of devices) absent += Math.max(0, expectedOf(device.user, count).length - device.received.length);
    return absent;
  };

  const everybodyHas = (count: number, what: string, deadlineMs: number) =>
    waitFor(() => missing(count) === 0 && devices.every((device) => device.isLive), {
      what: `${what}: every device live, with ${count} published`,
      deadlineMs,
      intervalMs: 100,
    });

  test("I1: through a drain, a SIGKILL, an emptied Redis and a router killed every device gets every notification once", async () => {
    const url = `ws://127.0.0.1:${balancer.port}/connect`;
    for (let user = 0; user < users; user++) {
      const token = await signToken(`usr_${user}`, secret);
      for (let device = 0; device <= user % 3; device++)
        devices.push(new Device({ url, user: `usr_${user}`, device: `d${device}`, token }));
    }
    await waitFor(() => devices.every((device) => device.isLive), { what: "all devices to connect", deadlineMs: 30_000 });
    await publish(0, 4_000);
    await everybodyHas(4_000, "in calm", 30_000);

    // One gateway is asked to stop: it hands its connections over first.
    const [first, second] = fleet.gateways;
    if (first === undefined || second === undefined) throw new Error("no gateways");
    first.process.signal("SIGTERM");
    await publish(4_000, 9_000);
    expect(await first.process.exited).toMatchObject({ code: 0 });
    await everybodyHas(9_000, "after the drain", 30_000);
    expect(devices.reduce((sum, device) => sum + device.handOvers, 0)).toBeGreaterThan(0);

    // One is killed, with devices on it that never come back.
    const gone = await connectBystanders(second, 10);
    await waitFor(async () => (await entriesOf("gw-2", gone)) === gone.length, { what: "bystanders in the registry" });
    const publishing = publish(9_000, 14_000);
    await second.process.kill();
    const killedAtMs = performance.now();
    await publishing;
    await everybodyHas(14_000, "after the SIGKILL", 60_000);

    // Redis loses everything at once.
    const emptying = new Redis(fleet.redis.url);
    await emptying.flushall();
    await emptying.quit();
    await publish(14_000, 18_000);
    await everybodyHas(18_000, "after Redis was emptied", 90_000);

    const leftMs = 60_000 - (performance.now() - killedAtMs);
    if (leftMs > 0)
      await waitFor(() => performance.now() - killedAtMs >= 60_000, {
        what: "60 s after the kill",
        deadlineMs: leftMs + 1000,
        intervalMs: 50,
      });
    expect(await entriesOf("gw-2", [...gone, ...Array.from({ length: users }, (_, n) => `usr_${n}`)])).toBe(0);

    // The router dies, and with it the memory store; every device has synced.
    await fleet.router.process.kill();
    const late = publish(18_000, notifications);
    await fleet.startRouter();
    await late;
    await everybodyHas(notifications, "after the router was killed", 60_000);
    for (const device of devices) {
      const ids = device.inCursorOrder;
      expect(new Set(ids).size, `${device.user} ${device.device} got something twice`).toBe(ids.length);
      expect([...ids].sort(), `${device.user} ${device.device}`).toEqual([...expectedOf(device.user, notifications)].sort());
    }
  }, 300_000);

  /** Devices on one gateway that vanish with it. */
  async function connectBystanders(gateway: GatewayProcess, count: number): Promise<readonly string[]> {
    const names = Array.from({ length: count }, (_, n) => `bystander_${n}`);
    for (const name of names) {
      const socket = new WebSocket(`ws://127.0.0.1:${gateway.clientPort}/connect?token=${await signToken(name, secret)}&device=d`);
      socket.on("error", () => {}); // it is to be cut
      await new Promise((resolve) => socket.once("message", resolve));
    }
    return names;
  }

  async function entriesOf(gateway: string, names: readonly string[]): Promise<number> {
    const found = await registry.lookUp(names.flatMap((name) => parseUserId(name) ?? []));
    let count = 0;
    for (const one of found) {
      if (one.kind !== "located") throw one.cause;
      count += one.devices.filter((device) => device.lease.gateway === gateway).length;
    }
    return count;
  }
});

function expectedOf(user: string, published: number): readonly string[] {
  const ids: string[] = [];
  for (let n = Number(user.slice(4)); n < published; n += users) ids.push(`n${n}`);
  return ids;
}

function haproxyConfig(port: number, gateways: readonly GatewayProcess[]): string {
  const servers = gateways.map(
    (gateway) => `  server ${gateway.id} 127.0.0.1:${gateway.clientPort} check port ${gateway.adminPort} inter 200ms fall 1 rise 1`,
  );
  return `global
  maxconn 8000
defaults
  mode tcp
  timeout connect 2s
  timeout client 1h
  timeout server 1h
  option redispatch
  retries 3
listen clients
  bind 127.0.0.1:${port}
  balance leastconn
  option httpchk GET /readyz
${servers.join("\n")}
`;
}
