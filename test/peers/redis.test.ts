import { existsSync } from "node:fs";
import { Redis } from "ioredis";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { describeWithPeers } from "./peer.js";
import { isProcessAlive } from "./process-alive.js";
import { type RedisServer, startRedis, useRedis } from "./redis.js";
import { waitFor } from "./wait-for.js";

const clients: Redis[] = [];
afterEach(() => {
  vi.unstubAllEnvs();
  for (const client of clients.splice(0)) client.disconnect();
});

function connect(url: string, commandTimeout?: number): Redis {
  const client = new Redis(url, commandTimeout === undefined ? {} : { commandTimeout, maxRetriesPerRequest: 0 });
  client.on("error", () => {}); // a killed server is part of these tests; each call's own error is checked
  clients.push(client);
  return client;
}

describeWithPeers(["redis-server"], "a Redis of our own", () => {
  let redis: RedisServer;
  beforeEach(async () => {
    redis = await startRedis({ config: ["appendonly yes", "appendfsync always"] });
  });
  afterEach(() => redis.stop());

  test("answers, and has the configuration it was given", async () => {
    const client = connect(redis.url);
    await expect(client.ping()).resolves.toBe("PONG");
    await expect(client.config("GET", "appendonly")).resolves.toEqual(["appendonly", "yes"]);
    await expect(client.config("GET", "maxmemory-policy")).resolves.toEqual(["maxmemory-policy", "noeviction"]);
  });

  test("leaves no process and no folder when it is stopped", async () => {
    expect(existsSync(redis.folder)).toBe(true);
    await redis.stop();
    expect(isProcessAlive(redis.pid)).toBe(false);
    expect(existsSync(redis.folder)).toBe(false);
  });

  test("has its appended data and its port again after a crash and a restart", async () => {
    await connect(redis.url).set("kept", "yes");
    const { pid, url } = redis;
    await expect(redis.kill()).resolves.toEqual({ code: null, signal: "SIGKILL" });
    await redis.restart();
    expect(redis.pid).not.toBe(pid);
    await expect(connect(url).get("kept")).resolves.toBe("yes");
  });

  test("does not answer while it is paused, and answers again when it goes on", async () => {
    const client = connect(redis.url, 200);
    await client.ping();
    redis.pause();
    await expect(client.ping()).rejects.toThrow("Command timed out");
    redis.resume();
    await waitFor(() => client.ping().then((answer) => answer === "PONG"), { what: "an answer" });
  });

  test("a configuration that Redis refuses is an error with its words", async () => {
    await expect(startRedis({ config: ["colour blue"] })).rejects.toThrow(/ended \(exit code 1\).*colour blue/s);
  });
});

describeWithPeers(["redis-server"], "a Redis that may be shared", () => {
  test("answers, and gives each user a key prefix of its own", async () => {
    const [one, other] = await Promise.all([useRedis(), useRedis()]);
    await expect(connect(one.url).ping()).resolves.toBe("PONG");
    expect(one.keyPrefix).not.toBe(other.keyPrefix);
    await Promise.all([one.stop(), other.stop()]);
  });

  test("is the one that the environment names, which stays when a test is done with it", async () => {
    const shared = await startRedis();
    vi.stubEnv("PUSHFLEET_TEST_REDIS_URL", shared.url);
    const redis = await useRedis();
    expect(redis.url).toBe(shared.url);
    await redis.stop();
    await expect(connect(shared.url).ping()).resolves.toBe("PONG");
    await shared.stop();
  });
});
