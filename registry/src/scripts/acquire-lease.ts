import { limits } from "@pushfleet/protocol";
import type { RedisCommand, Script } from "../redis-command.js";
import type { RedisKeys } from "../redis-keys.js";
import type { Lease } from "../registry.js";

/** Creates a lease. One that is there already with the same value is our own, of a call whose answer was lost.
 *
 *  KEYS  gw:<incarnation>
 *  ARGV  1 the lease as JSON
 *  Gives 1, or 0 when somebody else has the incarnation. */
export const acquireLeaseScript: Script = {
  numberOfKeys: 1,
  lua: `
if redis.call('SET', KEYS[1], ARGV[1], 'EX', ${limits.leaseSeconds}, 'NX') then return 1 end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('EXPIRE', KEYS[1], ${limits.leaseSeconds})
return 1
`,
};

export function acquireLeaseCommand(keys: RedisKeys, lease: Lease): RedisCommand {
  return ["acquireLease", keys.lease(lease.incarnation), formatLease(lease)];
}

/** `started_at` is ISO 8601, for whoever looks with redis-cli. */
function formatLease({ gateway, address, zone, startedAtMs }: Lease): string {
  return JSON.stringify({ gateway, address, zone, started_at: new Date(startedAtMs).toISOString() });
}

/** Throws for what no worker of ours wrote. */
export function parseLease(incarnation: Lease["incarnation"], text: string): Lease {
  const { gateway, address, zone, started_at } = JSON.parse(text) as Record<string, unknown>;
  const startedAtMs = Date.parse(String(started_at));
  if (typeof gateway !== "string" || typeof address !== "string" || typeof zone !== "string" || Number.isNaN(startedAtMs)) {
    throw new Error(`lease ${incarnation} holds ${text.slice(0, 200)}, expected gateway, address, zone, started_at`);
  }
  return { incarnation, gateway, address, zone, startedAtMs };
}
