import type { DeviceId, UserId } from "@pushfleet/protocol";
import type { RedisCommand, Script } from "../redis-command.js";
import type { RedisKeys } from "../redis-keys.js";
import type { Entry } from "../registry.js";

/** Deletes a device's entry if it still is this connection's (invariant I2). The fence is not compared: incarnation and connection are
 *  never used twice, and a connection that never learnt its fence must be able to clean up too.
 *
 *  KEYS  conn:{user}
 *  ARGV  1 device · 2 `incarnation|connection|`
 *  Gives 1 when it was deleted, else 0. */
export const deleteEntryScript: Script = {
  numberOfKeys: 1,
  lua: `
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if stored and string.sub(stored, 1, #ARGV[2]) == ARGV[2] then return redis.call('HDEL', KEYS[1], ARGV[1]) end
return 0
`,
};

export interface OwnEntry extends Pick<Entry, "incarnation" | "connection"> {
  readonly user: UserId;
  readonly device: DeviceId;
}

export function deleteEntryCommand(keys: RedisKeys, { user, device, incarnation, connection }: OwnEntry): RedisCommand {
  return ["deleteEntry", keys.connections(user), device, `${incarnation}|${connection}|`];
}
