import { createHash } from "node:crypto";
import type { DeviceId } from "@pushfleet/protocol";

/** Longer ones are kept as their hash, so that `rev:{user}` stays a listpack. */
const tokenIdBytesMax = 56;

/** Fields of `rev:{user}`. None can be another's: the prefixes differ, and ids have no "#". */
export const userField = "user";
export const deviceField = (device: DeviceId | ""): string => `device:${device}`;
/** `tokenId` may be any text that fits into a token. */
export function tokenField(tokenId: string): string {
  if (Buffer.byteLength(tokenId) <= tokenIdBytesMax) return `token:${tokenId}`;
  return `token#${createHash("sha256").update(tokenId).digest("base64url")}`;
}
