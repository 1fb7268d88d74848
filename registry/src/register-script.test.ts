import { connectionIdFromNumber, type Incarnation, parseIncarnation } from "@pushfleet/protocol";
import fc from "fast-check";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeWithPeers } from "../../test/peers/peer.js";
import { type RedisPeer, useRedis } from "../../test/peers/redis.js";
import { formatEntry } from "./entry.js";
import { newLease, newRegistration, newUser } from "./example-registrations.test-suite.js";
import { redisKeys } from "./redis-keys.js";
import { ruleRegistration } from "./registration-rule.js";
import type { Entry, Registration } from "./registry.js";
import { parseRegisterReply, type RegisterCall, registerCommand, registerScript } from "./scripts/register.js";

const incarnation = fc.constantFrom("aaaaaaaaaa", "bbbbbbbbbb").map((text) => parseIncarnation(text) as Incarnation);
const connection = fc.nat(1).map(connectionIdFromNumber);
/** µs before now (behind it when negative): around the second that makes a connection fresh, and around equal fences. */
const agoUs = fc.oneof(
  fc.integer({ min: -3_000_000, max: 3_000_000 }),
  fc.constantFrom(0, 1, 999_999, 1_000_000, 1_000_001, 1_700_000_000_000_000),
);
const ageMs = fc.oneof(fc.constantFrom(0, 0.001, 999, 1000, 1001), fc.integer({ min: 0, max: 5000 }));

describeWithPeers(["redis"], "the register script", () => {
  let redis: RedisPeer;
  let client: Redis;
  beforeAll(async () => {
    redis = await useRedis();
    client = new Redis(redis.url);
  });
  afterAll(async () => {
    client?.disconnect();
    await redis?.stop();
  });

  const call = async (registerCall: RegisterCall) => {
    const [, ...args] = registerCommand(redisKeys(redis.keyPrefix), registerCall);
    return parseRegisterReply(await client.eval(registerScript.lua, registerScript.numberOfKeys, ...args));
  };

  test("rules as the rule in TypeScript does, for any stored entry, age, fence and dead worker (I2)", async () => {
    const changes = fc.record({ incarnation, connection, ageMs });
    const stored = fc.option(fc.record({ incarnation, connection, agoUs }), { nil: undefined });
    const property = fc.asyncProperty(
      stored,
      changes,
      fc.option(agoUs),
      fc.option(incarnation, { nil: undefined }),
      async (before, own, fenceAgoUs, dead) => {
        const nowUs = Date.now() * 1000;
        const entry: Entry | undefined = before && {
          incarnation: before.incarnation,
          connection: before.connection,
          fence: nowUs - before.agoUs,
        };
        const registration: Registration = newRegistration(newUser(), newLease(), {
          ...own,
          fence: fenceAgoUs === null ? undefined : nowUs - fenceAgoUs,
        });
        const key = redisKeys(redis.keyPrefix).connections(registration.user);
        if (entry !== undefined) await client.hset(key, registration.device, formatEntry(entry));

        const reply = await call({ registration, ageMs: registration.ageMs, redisUs: undefined, dead });
        const ruling = ruleRegistration(entry && { entry, lives: entry.incarnation !== dead }, registration, reply.redisUs);
        const storedNow = await client.hget(key, registration.device);
        if (ruling.kind === "superseded") {
          expect(reply).toEqual({ kind: "conflict", redisUs: reply.redisUs, stored: entry });
          expect(storedNow).toBe(entry && formatEntry(entry));
          return;
        }
        const over = ruling.kind === "write" ? entry : undefined;
        const restored = ruling.kind === "write" && ruling.restored;
        expect(reply).toEqual({ kind: "registered", redisUs: reply.redisUs, fence: ruling.fence, over, restored });
        expect(storedNow).toBe(formatEntry({ ...own, fence: ruling.fence }));
      },
    );
    await fc.assert(property, { numRuns: 500 });
  });

  test("names a dead worker in vain when another has taken the entry meanwhile", async () => {
    const registration = newRegistration(newUser(), newLease(), { ageMs: 5000, fence: 1 });
    const taker = newRegistration(registration.user, newLease());
    await call({ registration: taker, ageMs: 0, redisUs: undefined, dead: undefined });
    const reply = await call({ registration, ageMs: 5000, redisUs: undefined, dead: newLease().incarnation });
    expect(reply.kind === "conflict" && reply.stored.connection).toBe(taker.connection);
  });
});
