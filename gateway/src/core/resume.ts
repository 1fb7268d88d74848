import { type DeviceId, limits, parseDeviceId, parseUserId, type UserId } from "@pushfleet/protocol";

/** The fleet's key in use: what a gateway can do with `auth.resumeSecret`, without seeing it. */
export interface ResumeKeys {
  /** HMAC-SHA-256 of `text`, base64url without padding (43 characters). */
  mac(text: string): string;
  /** Compares in constant time; false for texts of different length. */
  sameText(a: string, b: string): boolean;
}

/** `invalid`: never ours, altered, or expired. It is then an arrival like any other: a resume gives precedence, never access. */
export type Resume =
  | { readonly kind: "valid"; readonly user: UserId; readonly device: DeviceId; readonly expiresAtMs: number }
  | { readonly kind: "invalid" };

const invalid: Resume = { kind: "invalid" };
const version = "r1";
/** Not a character of ids, and safe in a query. */
const separator = "~";
const macLength = 43;
const expiryPattern = /^[0-9a-z]{1,9}$/;
/** Version, expiry, two ids, mac and the separators. */
const lengthMax = 2 + 9 + 2 * limits.idBytesMax + macLength + 4;

/** The text of `hello.resume`: `r1~<expiry in s, base 36>~<user>~<device>~<mac of what stands before>`, good for `limits.resumeLifetimeMs`. */
export function formatResume(user: UserId, device: DeviceId, nowMs: number, keys: Pick<ResumeKeys, "mac">): string {
  const expirySeconds = Math.floor((nowMs + limits.resumeLifetimeMs) / 1000);
  const signed = [version, expirySeconds.toString(36), user, device].join(separator);
  return signed + separator + keys.mac(signed);
}

/** Reads `resume` of a handshake: one HMAC, and none for a text that is not shaped like a resume. Who it names must still be compared with
 *  the token's user and the device. */
export function parseResume(text: string, nowMs: number, keys: ResumeKeys): Resume {
  if (text.length > lengthMax) return invalid;
  const [head, expiry = "", userText, deviceText, mac = "", ...rest] = text.split(separator);
  if (head !== version || !expiryPattern.test(expiry) || mac.length !== macLength || rest.length > 0) return invalid;
  const user = parseUserId(userText);
  const device = parseDeviceId(deviceText);
  const expiresAtMs = Number.parseInt(expiry, 36) * 1000;
  if (user === undefined || device === undefined || expiresAtMs <= nowMs) return invalid;
  const signed = text.slice(0, text.length - macLength - separator.length);
  return keys.sameText(keys.mac(signed), mac) ? { kind: "valid", user, device, expiresAtMs } : invalid;
}
