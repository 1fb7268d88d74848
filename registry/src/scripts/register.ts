import { limits } from "@pushfleet/protocol";
import { parseEntry } from "../entry.js";
import { type RedisCommand, type Script, textElements } from "../redis-command.js";
import type { RedisKeys } from "../redis-keys.js";
import type { Entry, Registration } from "../registry.js";
import { deviceField, tokenField, userField } from "../revocation-fields.js";

/** Checks revocations, then puts a device's entry by the rule of `registration-rule.ts`.
 *
 *  KEYS  conn:{user}, rev:{user}
 *  ARGV  1 device · 2 incarnation · 3 connection · 4 presented fence or "" · 5 age in µs when it was sent · 6 Redis's time in µs when it was
 *        sent, as far as the sender knows, or "" · 7 incarnation known to be dead, or "" · 8 field of the token's revocation or "" ·
 *        9 when the token was issued, ms, or ""
 *  Gives {"revoked", now} · {"full", now}: `devicesPerUserMax` entries and none is this device's · {"conflict", now, stored entry}: not
 *        written unless its incarnation is dead; call again naming it in 7 · {"registered", now, fence, entry written over or "", 0 or 1 for
 *        restored}. now: Redis's time in µs.
 *
 *  A command can be held up on its way, in a Redis that hangs for instance, and done after one of a newer connection that was sent later.
 *  So Redis's own clock says how long it took (ARGV 6), and that counts as age: only what arrives under a second old is fresh.
 *
 *  Numbers: a fence (1.8e15) is exact in a Lua number, but only "%.0f" prints it as an integer. */
export const registerScript: Script = {
  numberOfKeys: 2,
  lua: `
local device, incarnation, connection, presented, ageUs, sentAtUs, dead, tokenField, issuedAtMs = unpack(ARGV)
local time = redis.call('TIME')
local nowUs = time[1] * 1000000 + time[2]
local nowMs = nowUs / 1000
local now = string.format('%.0f', nowUs)

local revoked = redis.call('HMGET', KEYS[2], '${userField}', '${deviceField("")}' .. device, tokenField)
for i = 1, 2 do
  local notBeforeMs, expiresAtMs = string.match(revoked[i] or '', '^(%d+)|(%d+)$')
  if notBeforeMs and tonumber(expiresAtMs) > nowMs and (tonumber(issuedAtMs) or 0) < tonumber(notBeforeMs) then
    return {'revoked', now}
  end
end
if revoked[3] and tonumber(revoked[3]) > nowMs then return {'revoked', now} end

local stored = redis.call('HGET', KEYS[1], device) or ''
local storedIncarnation, storedConnection, storedFence = string.match(stored, '^(%w+)|(%w+)|(%d+)$')
storedFence = tonumber(storedFence)
local fence, replaced, restored = nil, '', 0
if storedIncarnation == incarnation and storedConnection == connection then
  fence = math.max(storedFence, tonumber(presented) or 0)
else
  local trueAgeUs = tonumber(ageUs) + math.max(0, nowUs - (tonumber(sentAtUs) or nowUs))
  if presented == '' and trueAgeUs < ${limits.freshConnectionMs * 1000} then
    fence = math.max((storedFence or 0) + 1, nowUs)
  else
    fence = tonumber(presented) or math.floor(nowUs - trueAgeUs)
    if storedFence and storedIncarnation ~= dead and storedFence >= fence then return {'conflict', now, stored} end
    restored = presented == '' and 0 or 1
  end
  if stored == '' and redis.call('HLEN', KEYS[1]) >= ${limits.devicesPerUserMax} then return {'full', now} end
  replaced = storedFence and stored or ''
end
fence = string.format('%.0f', fence)
redis.call('HSET', KEYS[1], device, incarnation .. '|' .. connection .. '|' .. fence)
redis.call('EXPIRE', KEYS[1], ${limits.registryHashSeconds})
return {'registered', now, fence, replaced, restored}
`,
};

export interface RegisterCall {
  readonly registration: Registration;
  /** Of the connection, now. */
  readonly ageMs: number;
  /** Redis's time now, as far as it is known. */
  readonly redisUs: number | undefined;
  readonly dead: Entry["incarnation"] | undefined;
}

export function registerCommand(keys: RedisKeys, call: RegisterCall): RedisCommand {
  const { user, device, incarnation, connection, fence, tokenId, tokenIssuedAtMs } = call.registration;
  return [
    "register",
    keys.connections(user),
    keys.revocations(user),
    device,
    incarnation,
    connection,
    integerText(fence),
    integerText(Math.max(0, call.ageMs * 1000)),
    integerText(call.redisUs),
    call.dead ?? "",
    tokenId === undefined ? "" : tokenField(tokenId),
    integerText(tokenIssuedAtMs),
  ];
}

export type RegisterReply = { readonly redisUs: number } & (
  | { readonly kind: "registered"; readonly fence: number; readonly over: Entry | undefined; readonly restored: boolean }
  | { readonly kind: "conflict"; readonly stored: Entry }
  | { readonly kind: "revoked" }
  | { readonly kind: "full" }
);

/** Throws for what the script never gives. */
export function parseRegisterReply(value: unknown): RegisterReply {
  const [kind, now, third, over, restored] = textElements(value);
  const redisUs = Number(now);
  if (kind === "registered") return { kind, redisUs, fence: Number(third), over: parseEntry(over ?? ""), restored: restored === "1" };
  if (kind === "revoked" || kind === "full") return { kind, redisUs };
  const stored = parseEntry(third ?? "");
  if (kind === "conflict" && stored !== undefined) return { kind, redisUs, stored };
  throw new Error(`the register script gave ${JSON.stringify(value)}`);
}

function integerText(value: number | undefined): string {
  return value === undefined ? "" : String(Math.floor(value));
}
