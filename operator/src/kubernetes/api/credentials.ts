import { createHash } from "node:crypto";
import type { RequestOptions } from "node:https";
import type { KubeConfig } from "@kubernetes/client-node";
import { limits } from "@pushfleet/protocol";
import type { Cancel, Clock, Logger } from "@pushfleet/service";

/** What of a KubeConfig is used. */
export type KubeConfigSource = Pick<KubeConfig, "getCurrentCluster" | "applyToHTTPSOptions">;

/** What a connection needs to be let in; `fingerprint` changes when any of it does. */
export interface TlsMaterial {
  readonly options: Readonly<Pick<RequestOptions, "ca" | "cert" | "key" | "pfx" | "passphrase" | "servername" | "rejectUnauthorized">>;
  readonly fingerprint: string;
}

export interface Credentials {
  readonly tls: TlsMaterial;
  /** Authorization, Impersonate-User. */
  readonly headers: Readonly<Record<string, string>>;
}

interface Reading {
  readonly credentials: Promise<Credentials>;
  readonly startedAtMs: number;
}

interface CredentialSourceOptions {
  readonly kubeConfig: KubeConfigSource;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Certificates, keys and tokens as the KubeConfig gives them now: files and exec plugins are asked again every
 *  `limits.kubernetesCredentialsMs` (service account tokens rotate), once for all requests that wait. */
export class CredentialSource {
  readonly #options: CredentialSourceOptions;
  #last: { readonly credentials: Credentials; readonly freshUntilMs: number; readonly readAtMs: number } | undefined;
  #reading: Reading | undefined;
  #stale = false;

  constructor(options: CredentialSourceOptions) {
    this.#options = options;
  }

  /** Rejects when there are none: a file is missing, a plugin failed. Those of before serve on while they cannot be read again, and while that
   *  takes long: a plugin may hang. */
  async current(): Promise<Credentials> {
    const nowMs = this.#options.clock.monotonicMs();
    const last = this.#last;
    const mayRead = last === undefined || nowMs >= last.readAtMs + limits.kubernetesCredentialsMinMs;
    if (last !== undefined && !(mayRead && (this.#stale || nowMs >= last.freshUntilMs))) return last.credentials;
    this.#reading ??= {
      credentials: this.#read().finally(() => {
        this.#reading = undefined;
      }),
      startedAtMs: nowMs,
    };
    const { credentials, startedAtMs } = this.#reading;
    if (last === undefined) return await credentials;
    return await this.#within(startedAtMs + limits.kubernetesCredentialsMinMs - nowMs, credentials, last.credentials);
  }

  /** The server did not accept them. */
  invalidate(): void {
    this.#stale = true;
  }

  /** What is read, if that takes less than `ms`; otherwise what was before. */
  async #within(ms: number, read: Promise<Credentials>, before: Credentials): Promise<Credentials> {
    if (ms <= 0) return before;
    let cancel: Cancel = () => undefined;
    const late = new Promise<Credentials>((resolve) => {
      cancel = this.#options.clock.after(ms, () => resolve(before));
    });
    try {
      return await Promise.race([read, late]);
    } finally {
      cancel();
    }
  }

  async #read(): Promise<Credentials> {
    const { kubeConfig, clock, logger } = this.#options;
    const last = this.#last;
    let credentials: Credentials;
    try {
      credentials = await readCredentials(kubeConfig);
    } catch (cause) {
      if (last === undefined) throw cause;
      logger.warn({ err: cause }, "credentials of the API server cannot be read again; going on with those of before");
      credentials = last.credentials;
    }
    const readAtMs = clock.monotonicMs();
    this.#last = { credentials, readAtMs, freshUntilMs: readAtMs + limits.kubernetesCredentialsMs };
    this.#stale = false;
    return credentials;
  }
}

async function readCredentials(kubeConfig: KubeConfigSource): Promise<Credentials> {
  const applied: RequestOptions = { headers: {} };
  await kubeConfig.applyToHTTPSOptions(applied); // also makes an agent, which opens nothing and is dropped
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(applied.headers ?? {}))
    if (value !== undefined) headers[name.toLowerCase()] = String(value).trim();
  if (typeof applied.auth === "string") headers["authorization"] = `Basic ${Buffer.from(applied.auth).toString("base64")}`;
  return { tls: tlsMaterial(applied), headers };
}

function tlsMaterial(applied: RequestOptions): TlsMaterial {
  const { ca, cert, key, pfx, passphrase, servername, rejectUnauthorized } = applied;
  const given = Object.entries({ ca, cert, key, pfx, passphrase, servername, rejectUnauthorized }).filter(
    ([, value]) => value !== undefined,
  );
  const hash = createHash("sha256");
  for (const [name, value] of given) hash.update(`${name}\n`).update(Buffer.isBuffer(value) ? value : JSON.stringify(value));
  return { options: Object.fromEntries(given), fingerprint: hash.digest("hex") };
}
