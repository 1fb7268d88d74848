import { idExpected, parseDeviceId, parseUserId } from "@pushfleet/protocol";
import { SignJWT } from "jose";
import type { ExitCode, Io, OutputFormat } from "../io.js";
import { readSecret, type SecretOptions } from "./secret.js";

export interface TokenOptions extends SecretOptions {
  readonly device?: string | undefined;
  readonly ttl: string;
  readonly output: OutputFormat;
}

/** Prints an HS256 token: `sub` the user, `iat` now, `exp` after `--ttl` seconds. */
export async function token(user: string, options: TokenOptions, io: Io): Promise<ExitCode> {
  const ttlSeconds = Number(options.ttl);
  const read = readSecret(options);
  const faults = [
    ...(parseUserId(user) === undefined ? [`USER: ${JSON.stringify(user)} is not right, expected ${idExpected}`] : []),
    ...(options.device !== undefined && parseDeviceId(options.device) === undefined ? [`--device: expected ${idExpected}`] : []),
    ...(Number.isInteger(ttlSeconds) && ttlSeconds > 0 ? [] : ["--ttl: expected a whole number of seconds above 0"]),
    ...(read.kind === "fault" ? [read.fault] : []),
  ];
  if (faults.length > 0 || read.kind === "fault") {
    for (const fault of faults) io.error(`pushfleet token: ${fault}\n`);
    return 2;
  }
  const signed = await signToken({ user, device: options.device, ttlSeconds, secret: read.secret });
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
