import { type Clock, systemClock } from "@pushfleet/service";
import { Redis } from "ioredis";
import { waitFor } from "../../test/peers/wait-for.js";
import type { RegistryUnderTest } from "./contract.test-suite.js";
import { redisKeys } from "./redis-keys.js";
import { createRedisRegistry } from "./redis-registry.js";
import type { Lease } from "./registry.js";

/** The machine's clock, whose monotonic time a test can move on: what was remembered for a while is then forgotten. */
class HastyClock implements Clock {
  #aheadMs = 0;
  nowMs = systemClock.nowMs;
  after = systemClock.after;
  every = systemClock.every;

  monotonicMs(): number {
    return systemClock.monotonicMs() + this.#aheadMs;
  }
  skip(ms: number): void {
    this.#aheadMs += ms;
  }
}

/** A registry on a real Redis, and a connection beside it that looks at what is stored. */
export class RedisUnderTest implements RegistryUnderTest {
  readonly registry;
  readonly admin: Redis;
  readonly keys;
  readonly #clock = new HastyClock();

  /** `adminUrl`: where Redis itself is, when `url` leads through a proxy. */
  constructor(url: string, keyPrefix: string, adminUrl = url) {
    this.registry = createRedisRegistry({ url, keyPrefix, clock: this.#clock });
    this.admin = new Redis(adminUrl, { retryStrategy: () => 50 });
    this.admin.on("error", () => {}); // outages are what some tests are about
    this.keys = redisKeys(keyPrefix);
  }

  async start(): Promise<this> {
    await this.registry.start();
    return this;
  }

  nowMs(): number {
    return systemClock.nowMs();
  }

  async lapse(lease: Lease): Promise<void> {
    const key = this.keys.lease(lease.incarnation);
    await this.admin.pexpire(key, 1);
    await waitFor(async () => (await this.admin.exists(key)) === 0, { what: "the lease to expire", intervalMs: 1 });
    this.#clock.skip(1001);
  }

  async stop(): Promise<void> {
    await this.registry.stop();
    this.admin.disconnect();
  }
}
