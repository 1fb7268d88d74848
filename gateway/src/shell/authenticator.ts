import { createHmac, createSecretKey, type KeyObject, randomBytes, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Fault } from "@pushfleet/protocol";
import type { Clock } from "@pushfleet/service";
import type { ResumeKeys } from "../core/resume.js";
import { type ClaimRules, checkClaims, type DecodedToken, decodeToken, rejected, type TokenVia, type Verdict } from "../core/token.js";
import { createKeySet, type KeySet, readFromFile, readFromUrl } from "./jwks.js";
import { algorithmNames, isHmac, isSignature, signatureAlgorithm } from "./signatures.js";

/** `auth` of gateway.yaml. At least one of the four sources of keys must be there: `authFaults` says so. */
export interface AuthConfig {
  readonly hs256Secret?: string | undefined;
  /** Read once at start; a newline at its end is not part of the secret. */
  readonly hs256SecretFile?: string | undefined;
  readonly jwksUrl?: string | undefined;
  readonly jwksFile?: string | undefined;
  readonly issuer?: string | undefined;
  readonly audience?: string | readonly string[] | undefined;
  /** Allow-list of `alg`; default: HS256 with a secret, RS256, PS256, ES256 and EdDSA with a key set. */
  readonly algorithms?: readonly string[] | undefined;
  readonly maxLifetimeSeconds: number;
  /** The same on all gateways. Default: derived from the HS256 secret; without one random, and a resume is then good at its own worker only. */
  readonly resumeSecret?: string | undefined;
}

export interface Authenticator {
  /** Synchronous for HMAC algorithms, a promise (that never rejects) for the keys of a key set. */
  authenticate(token: string, via: TokenVia): Verdict | Promise<Verdict>;
  readonly resumeKeys: ResumeKeys;
  /** Ends the refreshing of key sets. */
  stop(): void;
}

const secretAlgorithms = ["HS256"];
const keySetAlgorithms = ["RS256", "PS256", "ES256", "EdDSA"];

/** What a schema cannot say of `auth`; paths start with `auth`. */
export function authFaults(config: AuthConfig): readonly Fault[] {
  const faults: Fault[] = [];
  const hasSecret = config.hs256Secret !== undefined || config.hs256SecretFile !== undefined;
  const hasKeySet = config.jwksUrl !== undefined || config.jwksFile !== undefined;
  if (!hasSecret && !hasKeySet) {
    faults.push({ path: "auth", value: undefined, expected: "one of hs256Secret, hs256SecretFile, jwksUrl, jwksFile" });
  }
  if (config.hs256Secret !== undefined && config.hs256SecretFile !== undefined) {
    faults.push({ path: "auth.hs256SecretFile", value: config.hs256SecretFile, expected: "nothing beside hs256Secret" });
  }
  if (config.jwksUrl !== undefined && config.jwksFile !== undefined) {
    faults.push({ path: "auth.jwksFile", value: config.jwksFile, expected: "nothing beside jwksUrl" });
  }
  if (config.jwksUrl !== undefined && !(/^https?:/i.test(config.jwksUrl) && URL.canParse(config.jwksUrl))) {
    faults.push({ path: "auth.jwksUrl", value: config.jwksUrl, expected: "an http or https URL" });
  }
  for (const [index, name] of (config.algorithms ?? []).entries()) {
    const kind = signatureAlgorithm(name)?.kind;
    const usable = kind === "hmac" ? hasSecret : kind === "public_key" && hasKeySet;
    if (!usable) faults.push({ path: `auth.algorithms[${index}]`, value: name, expected: usableAlgorithms(hasSecret, hasKeySet) });
  }
  return faults;
}

function usableAlgorithms(hasSecret: boolean, hasKeySet: boolean): string {
  const usable = algorithmNames.filter((name) => (signatureAlgorithm(name)?.kind === "hmac" ? hasSecret : hasKeySet));
  return `one of ${usable.join(", ")} (HS algorithms need a secret, the others a key set)`;
}

/** Throws, with what would be right, when a file cannot be read. `config` is without `authFaults`. */
export function createAuthenticator(config: AuthConfig, dependencies: { readonly clock: Clock }): Authenticator {
  const { clock } = dependencies;
  const secret = readSecret(config);
  const keySet = openKeySet(config, clock);
  const rules = claimRules(config);
  const allowed = new Set(
    config.algorithms ?? [...(secret === undefined ? [] : secretAlgorithms), ...(keySet === undefined ? [] : keySetAlgorithms)],
  );

  const authenticate = (text: string, via: TokenVia): Verdict | Promise<Verdict> => {
    const token = decodeToken(text);
    if (token.kind === "rejected") return token;
    const algorithm = signatureAlgorithm(token.algorithm);
    if (algorithm === undefined || !allowed.has(token.algorithm)) return rejected("token algorithm not allowed");
    if (algorithm.kind === "public_key") {
      return keySet === undefined ? rejected("token algorithm not allowed") : judgeByKeySet(keySet, token, via);
    }
    if (secret === undefined) return rejected("token algorithm not allowed");
    if (!isHmac(algorithm, secret, token.signingInput, token.signature)) return rejected("bad token signature");
    return checkClaims(token.claims, rules, clock.nowMs(), via);
  };

  const judgeByKeySet = async (keys: KeySet, token: DecodedToken, via: TokenVia): Promise<Verdict> => {
    const algorithm = signatureAlgorithm(token.algorithm);
    const found = await keys.find(token.header);
    if (found.kind === "unavailable") return found;
    if (found.keys.length === 0) return rejected("no key for this token");
    const isSigned = found.keys.some(
      (key) => algorithm?.kind === "public_key" && isSignature(algorithm, key, token.signingInput, token.signature),
    );
    return isSigned ? checkClaims(token.claims, rules, clock.nowMs(), via) : rejected("bad token signature");
  };

  return { authenticate, resumeKeys: createResumeKeys(config, secret), stop: () => keySet?.stop() };
}

function claimRules(config: AuthConfig): ClaimRules {
  const audiences = typeof config.audience === "string" ? [config.audience] : config.audience;
  return { issuer: config.issuer, audiences, maxLifetimeSeconds: config.maxLifetimeSeconds };
}

function readSecret(config: AuthConfig): KeyObject | undefined {
  if (config.hs256SecretFile === undefined) {
    return config.hs256Secret === undefined ? undefined : createSecretKey(config.hs256Secret, "utf8");
  }
  const bytes = readRequired(config.hs256SecretFile, "auth.hs256SecretFile");
  const secret = bytes.subarray(0, bytes.length - trailingNewline(bytes));
  if (secret.length === 0) throw new Error(`auth.hs256SecretFile: ${config.hs256SecretFile} is empty, expected the secret`);
  return createSecretKey(secret);
}

function trailingNewline(bytes: Buffer): number {
  if (bytes.at(-1) !== 0x0a) return 0;
  return bytes.at(-2) === 0x0d ? 2 : 1;
}

function readRequired(path: string, name: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new Error(`${name}: expected a readable file, got ${path}`, { cause });
  }
}

function openKeySet(config: AuthConfig, clock: Clock): KeySet | undefined {
  if (config.jwksUrl !== undefined) return createKeySet({ read: readFromUrl(config.jwksUrl), clock });
  if (config.jwksFile === undefined) return undefined;
  readRequired(config.jwksFile, "auth.jwksFile"); // a wrong path is told at start, not at the first token
  return createKeySet({ read: readFromFile(config.jwksFile), clock });
}

function createResumeKeys(config: AuthConfig, secret: KeyObject | undefined): ResumeKeys {
  const key = createSecretKey(resumeSecret(config, secret));
  return {
    mac: (text) => createHmac("sha256", key).update(text).digest("base64url"),
    sameText: (a, b) => isSameBytes(Buffer.from(a), Buffer.from(b)),
  };
}

const isSameBytes = (a: Buffer, b: Buffer): boolean => a.length === b.length && timingSafeEqual(a, b);

/** Derived with a label of its own, so that no resume is ever the signature of a token or the other way round. */
function resumeSecret(config: AuthConfig, secret: KeyObject | undefined): Buffer {
  if (config.resumeSecret !== undefined) return Buffer.from(config.resumeSecret);
  return secret === undefined ? randomBytes(32) : createHmac("sha256", secret).update("pushfleet resume r1").digest();
}
