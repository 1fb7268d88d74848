import { assertNever, limits } from "@pushfleet/protocol";
import type { RedisCommand, Script } from "../redis-command.js";
import type { RedisKeys } from "../redis-keys.js";
import type { Revocation } from "../registry.js";
import { deviceField, tokenField, userField } from "../revocation-fields.js";

/** Adds a revocation; the later not-before and the later expiry of two hold. Drops what expired, and beyond `revocationsPerUserMax` turns
 *  all into one: everything issued to the user until now. The key expires with its last revocation.
 *
 *  KEYS  rev:{user}
 *  ARGV  1 field · 2 not before, ms, or "" for a token · 3 expires, ms
 *  Gives 1. */
export const revokeScript: Script = {
  numberOfKeys: 1,
  lua: `
local field, notBeforeMs, expiresAtMs = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local nowMs = math.floor(time[1] * 1000 + time[2] / 1000)
if expiresAtMs <= nowMs then return 1 end

local function read(value)
  local before, expires = string.match(value, '^(%d+)|(%d+)$')
  return tonumber(before), tonumber(expires or value)
end
local function write(name, before, expires)
  local text = string.format('%.0f', expires)
  if before then text = string.format('%.0f', before) .. '|' .. text end
  redis.call('HSET', KEYS[1], name, text)
end

local all, count = {}, 0
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  local before, expires = read(flat[i + 1])
  if expires <= nowMs then redis.call('HDEL', KEYS[1], flat[i]) else all[flat[i]] = {before, expires} end
end
local old = all[field]
if old then
  expiresAtMs = math.max(expiresAtMs, old[2])
  if notBeforeMs then notBeforeMs = math.max(notBeforeMs, old[1]) end
end
all[field] = {notBeforeMs, expiresAtMs}
write(field, notBeforeMs, expiresAtMs)

local lastMs, beforeMs = 0, nowMs
for name, one in pairs(all) do
  if name ~= '${userField}' then count = count + 1 end
  lastMs = math.max(lastMs, one[2])
  beforeMs = math.max(beforeMs, one[1] or 0)
end
if count > ${limits.revocationsPerUserMax} then
  redis.call('DEL', KEYS[1])
  write('${userField}', beforeMs, lastMs)
end
redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', lastMs))
return 1
`,
};

export function revokeCommand(keys: RedisKeys, { user, what, expiresAtMs }: Revocation): RedisCommand {
  const command = (field: string, notBeforeMs: number | undefined): RedisCommand => [
    "revoke",
    keys.revocations(user),
    field,
    notBeforeMs === undefined ? "" : String(Math.floor(notBeforeMs)),
    String(Math.floor(Math.min(expiresAtMs, expiresAtMsMax))),
  ];
  switch (what.kind) {
    case "token":
      return command(tokenField(what.tokenId), undefined);
    case "device":
      return command(deviceField(what.device), what.notBeforeMs);
    case "user":
      return command(userField, what.notBeforeMs);
    default:
      return assertNever(what);
  }
}

/** The year 2286, where milliseconds get a 14th digit. */
const expiresAtMsMax = 9_999_999_999_999;
