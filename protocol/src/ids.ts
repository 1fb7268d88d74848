import { limits } from "./limits.js";

declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

/** 1 to 128 bytes of `[A-Za-z0-9._:@-]`: the `sub` of a token. */
export type UserId = Branded<"UserId">;
/** 1 to 128 bytes of `[A-Za-z0-9._:@-]`: what the client calls itself; one per SDK instance. */
export type DeviceId = Branded<"DeviceId">;
/** 1 to 128 bytes of `[A-Za-z0-9._:@-]`, unique for a user: the key of deduplication. */
export type NotificationId = Branded<"NotificationId">;
/** 10 random characters `[a-z0-9]`: one life of a gateway worker in the registry. */
export type Incarnation = Branded<"Incarnation">;
/** A connection's number in its worker, base 36; unique as long as the worker's process lives. */
export type ConnectionId = Branded<"ConnectionId">;

const idPattern = /^[A-Za-z0-9._:@-]{1,128}$/;

export const idExpected = `1 to ${limits.idBytesMax} bytes of [A-Za-z0-9._:@-]`;

function isId(value: unknown): value is string {
  return typeof value === "string" && idPattern.test(value);
}

export function parseUserId(value: unknown): UserId | undefined {
  return isId(value) ? (value as UserId) : undefined;
}
export function parseDeviceId(value: unknown): DeviceId | undefined {
  return isId(value) ? (value as DeviceId) : undefined;
}
export function parseNotificationId(value: unknown): NotificationId | undefined {
  return isId(value) ? (value as NotificationId) : undefined;
}

/** Name of a client's event, such as `typing`: like an id. */
export function parseEventName(value: unknown): string | undefined {
  return isId(value) ? value : undefined;
}

const incarnationPattern = /^[a-z0-9]{10}$/;
export function parseIncarnation(value: unknown): Incarnation | undefined {
  return typeof value === "string" && incarnationPattern.test(value) ? (value as Incarnation) : undefined;
}

const connectionPattern = /^[a-z0-9]{1,11}$/;
export function parseConnectionId(value: unknown): ConnectionId | undefined {
  return typeof value === "string" && connectionPattern.test(value) ? (value as ConnectionId) : undefined;
}
/** `number` is a non-negative safe integer, the worker's counter. */
export function connectionIdFromNumber(number: number): ConnectionId {
  return number.toString(36) as ConnectionId;
}
/** `randomBytes` gives at least 10 random bytes; each becomes one character of `[a-z0-9]`. */
export function incarnationFromBytes(randomBytes: Uint8Array): Incarnation {
  let text = "";
  for (let i = 0; i < 10; i++) text += ((randomBytes[i] ?? 0) % 36).toString(36);
  return text as Incarnation;
}
