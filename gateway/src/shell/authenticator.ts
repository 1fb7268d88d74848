import type { Clock } from "@pushfleet/service";
import type { ResumeKeys } from "../core/resume.js";
import type { TokenVia, Verdict } from "../core/token.js";

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
  /** The same on all gateways; default: derived from the HS256 secret. */
  readonly resumeSecret?: string | undefined;
}

export interface Authenticator {
  /** Synchronous for HMAC algorithms, a promise (that never rejects) for the keys of a key set. */
  authenticate(token: string, via: TokenVia): Verdict | Promise<Verdict>;
  readonly resumeKeys: ResumeKeys;
  /** Ends the refreshing of key sets. */
  stop(): void;
}

/** Throws, with what would be right, when a file cannot be read. */
export declare function createAuthenticator(config: AuthConfig, dependencies: { readonly clock: Clock }): Authenticator;
