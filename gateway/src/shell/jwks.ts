import { KeyObject, type webcrypto } from "node:crypto";
import { readFile } from "node:fs/promises";
import { limits } from "@pushfleet/protocol";
import type { Clock } from "@pushfleet/service";
import { createLocalJWKSet, errors, type JSONWebKeySet } from "jose";
import type { JsonObject } from "../core/token.js";

/** `keys` is empty when the set has none for this header. `unavailable`: there is no set, its issuer has not answered yet. */
export type FoundKeys =
  | { readonly kind: "keys"; readonly keys: readonly KeyObject[] }
  | { readonly kind: "unavailable"; readonly retryAfterMs: number };

/** The public keys of a token issuer, from a URL or a file. */
export interface KeySet {
  /** Keys that `alg` and `kid` of a token's header allow; `jku`, `x5u`, `jwk` and the like in it are not looked at. Never rejects. */
  find(header: JsonObject): Promise<FoundKeys>;
  /** Its source is known to say something else now. */
  readAgain(): void;
  stop(): void;
}

type Select = ReturnType<typeof createLocalJWKSet>;

export interface KeySetOptions {
  /** Reads the set anew; rejects when it cannot. */
  readonly read: (signal: AbortSignal) => Promise<unknown>;
  readonly clock: Clock;
}

/** Serves the last good set while the issuer is away (up to `limits.jwksStaleMs`), fetches in the background once it is `jwksMaxAgeMs` old, and
 *  at once for a key id it does not know; never twice within `jwksCooldownMs` (`jwksRetryMs` after a failure), never two at a time. jose's own
 *  remote set fails every token once its cache is old and the issuer away, and fetches for each token while it is away. */
export function createKeySet(options: KeySetOptions): KeySet {
  const { clock } = options;
  const stopped = new AbortController();
  let current: { readonly select: Select; readonly readAtMs: number } | undefined;
  let pending: Promise<void> | undefined;
  let nextReadMs = 0;

  const readOnce = async (): Promise<void> => {
    nextReadMs = clock.monotonicMs() + limits.jwksRetryMs;
    try {
      const signal = AbortSignal.any([stopped.signal, AbortSignal.timeout(limits.jwksTimeoutMs)]);
      const select = selector(await options.read(signal));
      current = { select, readAtMs: clock.monotonicMs() };
      nextReadMs = current.readAtMs + limits.jwksCooldownMs;
    } catch {
      // Expected while the issuer is away: the last good set serves on, `find` says "unavailable" when there is none.
    }
  };

  /** Joins a read under way; undefined when it is too early for another. */
  const refresh = (): Promise<void> | undefined => {
    if (pending === undefined && clock.monotonicMs() >= nextReadMs && !stopped.signal.aborted) {
      pending = readOnce().finally(() => {
        pending = undefined;
      });
    }
    return pending;
  };

  const usable = (): Select | undefined =>
    current !== undefined && clock.monotonicMs() - current.readAtMs < limits.jwksStaleMs ? current.select : undefined;

  const find = async (header: JsonObject): Promise<FoundKeys> => {
    if (usable() === undefined) await refresh();
    const select = usable();
    if (select === undefined) return { kind: "unavailable", retryAfterMs: limits.jwksRetryMs };
    if (current !== undefined && clock.monotonicMs() - current.readAtMs >= limits.jwksMaxAgeMs) void refresh();
    const keys = await matchingKeys(select, header);
    if (keys.length > 0) return { kind: "keys", keys };
    await refresh();
    return { kind: "keys", keys: await matchingKeys(usable() ?? select, header) };
  };

  void refresh();
  const readAgain = (): void => {
    nextReadMs = 0;
    void refresh();
  };
  return { find, readAgain, stop: () => stopped.abort() };
}

/** Throws for what is no key set. */
export function parseKeySet(text: string): void {
  selector(JSON.parse(text));
}

function selector(set: unknown): Select {
  const select = createLocalJWKSet(set as JSONWebKeySet); // rejects what is not a key set
  if (select.jwks().keys.length > limits.jwksKeysMax) throw new Error(`a key set of more than ${limits.jwksKeysMax} keys`);
  return select;
}

async function matchingKeys(select: Select, header: JsonObject): Promise<readonly KeyObject[]> {
  try {
    return [asKeyObject(await select({ ...header, alg: String(header["alg"]) }))];
  } catch (cause) {
    if (!(cause instanceof errors.JWKSMultipleMatchingKeys)) return []; // no key for it, or one that cannot be read
    const keys: KeyObject[] = [];
    for await (const key of cause) {
      keys.push(asKeyObject(key));
      if (keys.length >= limits.jwksKeysTriedMax) break;
    }
    return keys;
  }
}

const keyObjects = new WeakMap<webcrypto.CryptoKey, KeyObject>();

function asKeyObject(key: webcrypto.CryptoKey): KeyObject {
  const known = keyObjects.get(key);
  if (known !== undefined) return known;
  const made = KeyObject.from(key);
  keyObjects.set(key, made);
  return made;
}

/** GET, 200, JSON, at most `limits.jwksBytesMax`; no redirects. */
export function readFromUrl(url: string): KeySetOptions["read"] {
  return async (signal) => {
    const response = await fetch(url, { signal, redirect: "error", headers: { accept: "application/json, application/jwk-set+json" } });
    if (response.status !== 200) throw new Error(`${url}: expected 200, got ${response.status}`);
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      if (text.length > limits.jwksBytesMax) throw new Error(`${url}: more than ${limits.jwksBytesMax} bytes`);
    }
    return JSON.parse(text);
  };
}

export function readFromFile(path: string): KeySetOptions["read"] {
  return async (signal) => JSON.parse(await readFile(path, { encoding: "utf8", signal }));
}
