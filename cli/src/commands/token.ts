import { idExpected, parseDeviceId, parseUserId } from "@pushfleet/protocol";
import { SignJWT } from "jose";
import type { ExitCode, Io, OutputFormat } from "../io.js";

export interface TokenOptions {
  readonly device?: string | undefined;
  readonly ttl: string;
  readonly jwtSecret: string;
  readonly output: OutputFormat;
}

/** Prints an HS256 token: `sub` the user, `iat` now, `exp` after `--ttl` seconds. */
export async function token(user: string, options: TokenOptions, io: Io): Promise<ExitCode> {
  const ttlSeconds = Number(options.ttl);
  const faults = [
    ...(parseUserId(user) === undefined ? [`USER: ${JSON.stringify(user)} is not right, expected ${idExpected}`] : []),
    ...(options.device !== undefined && parseDeviceId(options.device) === undefined ? [`--device: expected ${idExpected}`] : []),
    ...(Number.isInteger(ttlSeconds) && ttlSeconds > 0 ? [] : ["--ttl: expected a whole number of seconds above 0"]),
  ];
  if (faults.length > 0) {
    for (const fault of faults) io.error(`pushfleet token: ${fault}\n`);
    return 2;
  }
  const signed = await signToken({ user, device: options.device, ttlSeconds, secret: options.jwtSecret });
  io.out(options.output === "json" ? `${JSON.stringify({ token: signed, user, device: options.device, ttlSeconds })}\n` : `${signed}\n`);
  return 0;
}

/** A token as `pushfleet token` prints it, valid from this second on. */
export function signToken(claims: {
  readonly user: string;
  readonly device?: string | undefined;
  readonly ttlSeconds: number;
  readonly secret: string;
}): Promise<string> {
  const nowSeconds = Math.floor(Date.now() / 1000);
  return new SignJWT(claims.device === undefined ? {} : { device: claims.device })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setSubject(claims.user)
    .setIssuedAt(nowSeconds)
    .setExpirationTime(nowSeconds + claims.ttlSeconds)
    .sign(new TextEncoder().encode(claims.secret));
}
