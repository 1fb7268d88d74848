import { randomUUID } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { observePeer } from "./peer-state.mjs";
import { type RunningProcess, startProcess } from "./process.js";
import { type ServerPlace, ServerProcess, startServer } from "./server-process.js";

const READY_DEADLINE_MS = 15_000;

export interface RedisOptions {
  /** Lines of redis.conf, after ours, so they win: `["appendonly yes", "maxmemory-policy allkeys-lru"]`. */
  readonly config?: readonly string[];
  /** By default a free one. */
  readonly port?: number;
}

/** What a test needs of a Redis it shares. */
export interface RedisPeer {
  readonly url: string;
  /** No other test has it: a given Redis may hold others' keys. */
  readonly keyPrefix: string;
  stop(): Promise<void>;
}

export class RedisServer extends ServerProcess implements RedisPeer {
  readonly url = `redis://127.0.0.1:${this.port}`;
  readonly keyPrefix = uniqueKeyPrefix();
}

/** The Redis of `PUSHFLEET_TEST_REDIS_URL`, or one of our own. For suites that ask for the peer "redis". */
export async function useRedis(): Promise<RedisPeer> {
  const state = observePeer("redis");
  if (state.kind !== "given") return startRedis();
  return { url: state.value, keyPrefix: uniqueKeyPrefix(), stop: async () => {} };
}

/** Starts an empty Redis of our own, in about 10 ms: no persistence and `noeviction` unless `config` says otherwise. For "redis-server". */
export function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  return startServer("redis", options.port, async (place) => {
    const configFile = join(place.folder.path, "redis.conf");
    await writeFile(configFile, buildConfig(place, options.config ?? []));
    const launch = (): Promise<RunningProcess> =>
      startProcess({
        name: `redis-server on port ${place.port}`,
        command: "redis-server",
        args: [configFile],
        ready: (line) => line.includes("Ready to accept connections"),
        readyDeadlineMs: READY_DEADLINE_MS,
      });
    return new RedisServer(place, launch, await launch());
  });
}

function buildConfig(place: ServerPlace, extra: readonly string[]): string {
  const lines = [
    "bind 127.0.0.1",
    `port ${place.port}`,
    `dir ${place.folder.path}`,
    'save ""',
    "appendonly no",
    "maxmemory-policy noeviction",
    ...extra,
  ];
  return `${lines.join("\n")}\n`;
}

const uniqueKeyPrefix = (): string => `pushfleet-test/${randomUUID()}:`;
