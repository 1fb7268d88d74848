import { limits, parseMapping, parseUserId, type UserId } from "@pushfleet/protocol";
import { decodeBase64Url } from "./base64url.js";
import { decodeUtf8 } from "./utf8-text.js";

/** Where a token came from: the query of the upgrade (may be logged on the way, so short-lived), the Authorization header, or an `auth` frame. */
export type TokenVia = "query" | "header" | "message";

export type JsonObject = Readonly<Record<string, unknown>>;

/** A compact JWS taken apart; nothing in it is proven yet. */
export interface DecodedToken {
  readonly kind: "token";
  /** `alg` of the header: compare with an allow-list before any key is chosen. */
  readonly algorithm: string;
  readonly keyId: string | undefined;
  readonly header: JsonObject;
  readonly claims: JsonObject;
  /** What was signed: header and payload as written, with the dot between them. ASCII. */
  readonly signingInput: string;
  readonly signature: Uint8Array;
}

/** `reason` holds nothing of the token: it may be logged and sent in a close frame. */
export interface Rejected {
  readonly kind: "rejected";
  readonly reason: string;
}

export interface Accepted {
  readonly kind: "accepted";
  readonly user: UserId;
  /** `jti`, for revocation. */
  readonly tokenId: string | undefined;
  readonly issuedAtMs: number | undefined;
  /** When the connection is closed unless the token was refreshed; ms since the epoch. */
  readonly expiresAtMs: number;
}

/** What is known of a token. `unavailable`: its issuer's keys could not be had; close with 1013, a fresh token would not help. */
export type Verdict = Accepted | Rejected | { readonly kind: "unavailable"; readonly retryAfterMs: number };

export interface ClaimRules {
  /** `iss` must be this. */
  readonly issuer: string | undefined;
  /** `aud`, a string or a list, must hold one of these. */
  readonly audiences: readonly string[] | undefined;
  /** A token in the query may live at most this long (`exp − iat`). */
  readonly maxLifetimeSeconds: number;
}

export const rejected = (reason: string): Rejected => ({ kind: "rejected", reason });

/** Takes `text` apart, at most `limits.tokenBytesMax` bytes of it. Accepts what jose accepts (RFC 7515, 7519, 7797). Never throws. */
export function decodeToken(text: string): DecodedToken | Rejected {
  if (text.length > limits.tokenBytesMax) return rejected("token too long");
  const headerEnd = text.indexOf(".");
  const payloadEnd = text.indexOf(".", headerEnd + 1);
  if (headerEnd < 0 || payloadEnd < 0 || text.indexOf(".", payloadEnd + 1) >= 0) return rejected("not a token");
  const header = parseObject(text.slice(0, headerEnd));
  if (header === undefined) return rejected("bad token header");
  const algorithm = header["alg"];
  if (typeof algorithm !== "string" || algorithm === "") return rejected("bad token header");
  if (!isCriticalUnderstood(header)) return rejected("token needs an extension that is not supported");
  const claims = parseObject(text.slice(headerEnd + 1, payloadEnd));
  if (claims === undefined) return rejected("bad token claims");
  const signature = decodeBase64Url(text.slice(payloadEnd + 1));
  if (signature === undefined) return rejected("bad token signature");
  const keyId = typeof header["kid"] === "string" ? header["kid"] : undefined;
  return { kind: "token", algorithm, keyId, header, claims, signingInput: text.slice(0, payloadEnd), signature };
}

/** A member given twice counts as written last, for the issuer signed both. */
function parseObject(encoded: string): JsonObject | undefined {
  const bytes = decodeBase64Url(encoded);
  const text = bytes === undefined ? undefined : decodeUtf8(bytes);
  return text === undefined ? undefined : parseMapping(text);
}

/** RFC 7515 §4.1.11: whatever `crit` names must be understood. We know `b64` (RFC 7797), and in a JWT it may only be true. */
function isCriticalUnderstood(header: JsonObject): boolean {
  const critical = header["crit"];
  if (critical === undefined) return true;
  return Array.isArray(critical) && critical.length > 0 && critical.every((name) => name === "b64") && header["b64"] === true;
}

/** Judges the claims of a token whose signature was verified. `exp` is required and must be finite, `nbf` is honoured, `sub` must be an id;
 *  in the query `iat` is required, not in the future, and `exp − iat` bounded. Times are seconds since the epoch, fractions allowed. */
export function checkClaims(claims: JsonObject, rules: ClaimRules, nowMs: number, via: TokenVia): Accepted | Rejected {
  const user = parseUserId(claims["sub"]);
  if (user === undefined) return rejected("bad token: sub");
  if (rules.issuer !== undefined && claims["iss"] !== rules.issuer) return rejected("bad token: iss");
  if (rules.audiences !== undefined && !isAudience(claims["aud"], rules.audiences)) return rejected("bad token: aud");
  const nowSeconds = Math.floor(nowMs / 1000);
  const { exp, nbf, iat } = claims;
  if (typeof exp !== "number" || !Number.isFinite(exp)) return rejected("bad token: exp");
  if (exp <= nowSeconds) return rejected("token expired");
  if (nbf !== undefined && typeof nbf !== "number") return rejected("bad token: nbf");
  if (nbf !== undefined && nbf > nowSeconds + limits.tokenLeewaySeconds) return rejected("token not valid yet");
  if (iat !== undefined && typeof iat !== "number") return rejected("bad token: iat");
  if (via === "query" && !isShortLived(exp, iat, nowSeconds, rules.maxLifetimeSeconds)) {
    return rejected(`a token in the query needs iat and may live at most ${rules.maxLifetimeSeconds} s`);
  }
  const tokenId = typeof claims["jti"] === "string" ? claims["jti"] : undefined;
  const issuedAtMs = iat !== undefined && Number.isFinite(iat) ? iat * 1000 : undefined;
  return { kind: "accepted", user, tokenId, issuedAtMs, expiresAtMs: exp * 1000 };
}

function isAudience(claim: unknown, audiences: readonly string[]): boolean {
  if (typeof claim === "string") return audiences.includes(claim);
  return Array.isArray(claim) && audiences.some((audience) => claim.includes(audience));
}

/** An `iat` in the future would make a long life look short. */
function isShortLived(exp: number, iat: number | undefined, nowSeconds: number, maxLifetimeSeconds: number): boolean {
  if (iat === undefined || !Number.isFinite(iat) || iat > nowSeconds + limits.tokenLeewaySeconds) return false;
  return exp - iat <= maxLifetimeSeconds;
}
