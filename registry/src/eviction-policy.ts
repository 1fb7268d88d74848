import { type RedisCommand, type Reply, textElements } from "./redis-command.js";

/** Rejects unless Redis refuses writes when its memory is full (`noeviction`): any other policy would drop entries or leases, and users
 *  would pass for offline. A Redis whose CONFIG is forbidden tells the same by INFO. */
export async function checkEvictionPolicy(send: (command: RedisCommand) => Promise<Reply>): Promise<void> {
  const policy = policyFromConfig(await send(["config", "GET", "maxmemory-policy"])) ?? policyFromInfo(await send(["info", "memory"]));
  if (policy === "noeviction") return;
  throw new Error(
    `maxmemory-policy of the registry's Redis is ${policy ?? "not told (neither CONFIG GET nor INFO memory is permitted)"}; ` +
      'expected noeviction: set "maxmemory-policy noeviction" in redis.conf, or in the parameters of a managed Redis',
  );
}

function policyFromConfig(reply: Reply): string | undefined {
  return reply.kind === "reply" ? textElements(reply.value)[1] : undefined;
}

function policyFromInfo(reply: Reply): string | undefined {
  return reply.kind === "reply" && typeof reply.value === "string" ? /^maxmemory_policy:(\S+)/m.exec(reply.value)?.[1] : undefined;
}
