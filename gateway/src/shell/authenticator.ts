import { createHmac, createSecretKey, type KeyObject, randomBytes, timingSafeEqual } from "node:crypto";
import type { Fault } from "@pushfleet/protocol";
import { type Clock, type FollowedFile, followFile, type Logger } from "@pushfleet/service";
import type { ResumeKeys } from "../core/resume.js";
import { type ClaimRules, checkClaims, type DecodedToken, decodeToken, rejected, type TokenVia, type Verdict } from "../core/token.js";
import { createKeySet, type KeySet, parseKeySet, readFromFile, readFromUrl } from "./jwks.js";
import { algorithmNames, isHmac, isSignature, signatureAlgorithm } from "./signatures.js";

/** `auth` of gateway.yaml. At least one of the four sources of keys must be there: `authFaults` says so. */
export interface AuthConfig {
  readonly hs256Secret?: string | undefined;
  /** Followed: another secret takes the place of the old one at once, for tokens and (without `resumeSecret`) resumes. A newline at its end is not
   *  part of it. */
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

export interface AuthenticatorParts {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Throws, with what would be right, when a file cannot be read. `config` is without `authFaults`. */
export function createAuthenticator(config: AuthConfig, parts: AuthenticatorParts): Authenticator {
  const { clock } = parts;
  const secrets = openSecrets(config, parts);
  const keySet = openKeySet(config, parts);
  const rules = claimRules(config);
  const allowed = new Set(
    config.algorithms ?? [...(secrets === undefined ? [] : secretAlgorithms), ...(keySet === undefined ? [] : keySetAlgorithms)],
  );

  const authenticate = (text: string, via: TokenVia): Verdict | Promise<Verdict> => {
    const token = decodeToken(text);
    if (token.kind === "rejected") return token;
    const algorithm = signatureAlgorithm(token.algorithm);
    if (algorithm === undefined || !allowed.has(token.algorithm)) return rejected("token algorithm not allowed");
    if (algorithm.kind === "public_key") {
      return keySet === undefined ? rejected("token algorithm not allowed") : judgeByKeySet(keySet, token, via);
    }
    if (secrets === undefined) return rejected("token algorithm not allowed");
    if (!isHmac(algorithm, secrets.value, token.signingInput, token.signature)) return rejected("bad token signature");
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

  return {
    authenticate,
    resumeKeys: createResumeKeys(config, secrets),
    stop: () => {
      secrets?.stop();
      keySet?.stop();
    },
  };
}

function claimRules(config: AuthConfig): ClaimRules {
  const audiences = typeof config.audience === "string" ? [config.audience] : config.audience;
  return { issuer: config.issuer, audiences, maxLifetimeSeconds: config.maxLifetimeSeconds };
}

function openSecrets(config: AuthConfig, parts: AuthenticatorParts): FollowedFile<KeyObject> | undefined {
  const { hs256Secret, hs256SecretFile: file } = config;
  if (file === undefined) {
    return hs256Secret === undefined ? undefined : { value: createSecretKey(hs256Secret, "utf8"), stop: () => {} };
  }
  const parse = (bytes: Buffer): KeyObject => {
    const secret = bytes.subarray(0, bytes.length - trailingNewline(bytes));
    if (secret.length === 0) throw new Error(`auth.hs256SecretFile: ${file} is empty, expected the secret`);
    return createSecretKey(secret);
  };
  return openRequired("auth.hs256SecretFile", file, parse, parts);
}

/** A wrong path is told at start, not at the first token. */
function openRequired<Value>(name: string, file: string, parse: (bytes: Buffer) => Value, parts: AuthenticatorParts): FollowedFile<Value> {
  try {
    return followFile(file, { ...parts, name, parse });
  } catch (cause) {
    const { code } = cause as { readonly code?: unknown };
    throw typeof code === "string" ? new Error(`${name}: expected a readable file, got ${file}`, { cause }) : cause;
  }
}

function trailingNewline(bytes: Buffer): number {
  if (bytes.at(-1) !== 0x0a) return 0;
  return bytes.at(-2) === 0x0d ? 2 : 1;
}

function openKeySet(config: AuthConfig, parts: AuthenticatorParts): KeySet | undefined {
  const { clock } = parts;
  if (config.jwksUrl !== undefined) return createKeySet({ read: readFromUrl(config.jwksUrl), clock });
  if (config.jwksFile === undefined) return undefined;
  let keySet: KeySet | undefined;
  const onBytes = (bytes: Buffer): void => {
    if (keySet === undefined) return; // at the start the set reads by itself, and tokens are told to come back until it can be read
    parseKeySet(bytes.toString());
    keySet.readAgain();
  };
  const followed = openRequired("auth.jwksFile", config.jwksFile, onBytes, parts);
  const opened = createKeySet({ read: readFromFile(config.jwksFile), clock });
  keySet = opened;
  return {
    ...opened,
    stop: () => {
      followed.stop();
      opened.stop();
    },
  };
}

function createResumeKeys(config: AuthConfig, secrets: FollowedFile<KeyObject> | undefined): ResumeKeys {
  let of = secrets?.value;
  let key = createSecretKey(resumeSecret(config, of));
  const current = (): KeyObject => {
    if (secrets === undefined || secrets.value === of) return key;
    of = secrets.value;
    key = createSecretKey(resumeSecret(config, of));
    return key;
  };
  return {
    mac: (text) => createHmac("sha256", current()).update(text).digest("base64url"),
    sameText: (a, b) => isSameBytes(Buffer.from(a), Buffer.from(b)),
  };
}

const isSameBytes = (a: Buffer, b: Buffer): boolean => a.length === b.length && timingSafeEqual(a, b);

/** Derived with a label of its own, so that no resume is ever the signature of a token or the other way round. */
function resumeSecret(config: AuthConfig, secret: KeyObject | undefined): Buffer {
  if (config.resumeSecret !== undefined) return Buffer.from(config.resumeSecret);
  return secret === undefined ? randomBytes(32) : createHmac("sha256", secret).update("pushfleet resume r1").digest();
}
