import { type Cursor, type Incarnation, limits, parseCursor } from "@pushfleet/protocol";
import type { RedisCommand, Script } from "../redis-command.js";
import type { RedisKeys } from "../redis-keys.js";

/** Asks a worker to send `gap` from a cursor on; the earlier of two holds. The time beside it makes each request's value unlike any other.
 *  Outlives the lease, so that no worker that lives misses it.
 *
 *  KEYS  resync:<incarnation>
 *  ARGV  1 cursor
 *  Gives 1. */
export const requestResyncScript: Script = {
  numberOfKeys: 1,
  lua: `
local stored = string.match(redis.call('GET', KEYS[1]) or '', '^[^|]+')
local after = (stored and stored < ARGV[1]) and stored or ARGV[1]
local time = redis.call('TIME')
redis.call('SET', KEYS[1], after .. '|' .. string.format('%.0f', time[1] * 1000000 + time[2]), 'EX', ${limits.leaseSeconds * 2})
return 1
`,
};

/** Reads what was requested, and deletes what the worker says it has read. In two steps, for with one (GETDEL) a request would be lost
 *  whenever Redis's answer is. A request made in between has another value: it stays, and is read next.
 *
 *  KEYS  resync:<incarnation>
 *  ARGV  1 the value that was read before, or ""
 *  Gives the value, or nil. */
export const takeResyncScript: Script = {
  numberOfKeys: 1,
  lua: `
local stored = redis.call('GET', KEYS[1])
if stored ~= ARGV[1] then return stored end
redis.call('DEL', KEYS[1])
return false
`,
};

export function requestResyncCommand(keys: RedisKeys, incarnation: Incarnation, after: Cursor): RedisCommand {
  return ["requestResync", keys.resync(incarnation), after];
}

export function takeResyncCommand(keys: RedisKeys, incarnation: Incarnation, readBefore: string | undefined): RedisCommand {
  return ["takeResync", keys.resync(incarnation), readBefore ?? ""];
}

export function resyncCursor(value: string): Cursor | undefined {
  return parseCursor(value.split("|")[0]);
}
