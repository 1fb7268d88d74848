import type { UserId } from "@pushfleet/protocol";
import { createRedisRegistry } from "@pushfleet/registry";
import { ManualClock, systemClock } from "@pushfleet/service";
import { Redis } from "ioredis";
import { expect, test } from "vitest";
import { describeWithPeers } from "../../../test/peers/peer.js";
import { startRedis } from "../../../test/peers/redis.js";
import { waitFor } from "../../../test/peers/wait-for.js";
import { ExampleGateway } from "../example-gateway.test-suite.js";

describeWithPeers(["redis-server"], "the lease of a running gateway", () => {
  test("lives for 60 s in Redis from each refresh on, and is refreshed every 10 s of the gateway's time, neither earlier nor later", async () => {
    const redis = await startRedis();
    const admin = new Redis(redis.url);
    const registry = createRedisRegistry({ url: redis.url, keyPrefix: "", clock: systemClock });
    await registry.start();
    const clock = new ManualClock();
    const example = await ExampleGateway.start({ registry, clock });
    try {
      const findLease = async (): Promise<string> => (await admin.keys("gw:*"))[0] ?? "";
      await waitFor(async () => (await findLease()) !== "", { what: "the lease" });
      const lease = await findLease();
      const msLeft = async (): Promise<number> => await admin.pttl(lease);
      /** 60 s, less what has gone by since. */
      const isFresh = async (): Promise<boolean> => {
        const left = await msLeft();
        return left > 55_000 && left <= 60_000;
      };
      /** Whatever the gateway has asked of Redis by now: answers come in order. */
      const allAnswered = () => registry.lookUp(["usr_42" as UserId]);
      expect(await isFresh()).toBe(true);
      await allAnswered();
      for (let refresh = 1; refresh <= 3; refresh++) {
        await admin.pexpire(lease, 20_000);
        clock.advance(9_999);
        await allAnswered();
        expect(await msLeft()).toBeLessThanOrEqual(20_000);
        clock.advance(1);
        await waitFor(isFresh, { what: `refresh ${refresh}` });
        await allAnswered();
      }
      expect(await admin.keys("gw:*")).toEqual([lease]);
    } finally {
      await example.stop();
      await registry.stop();
      admin.disconnect();
      await redis.stop();
    }
  });
});
