import { limits } from "@pushfleet/protocol";
import type { Clock } from "@pushfleet/service";
import type { PushGatewaySpec } from "../../generated/push-gateway.js";
import { resources } from "../api/resources.js";
import type { KubernetesApi } from "../api/types.js";

/** Entries of the Secrets that are there and their sizes in bytes, by the Secret's name. */
export type KnownSecrets = ReadonlyMap<string, Readonly<Record<string, number>>>;

export type FoundSecrets =
  | { readonly kind: "known"; readonly secrets: KnownSecrets }
  /** The operator may not read them. */
  | { readonly kind: "forbidden"; readonly message: string };

/** The Secrets that a spec names. They are the users' own and not watched; they are asked for now and then, more often while one is missing. */
export class SecretLookup {
  readonly #parts: { readonly api: KubernetesApi; readonly clock: Clock };
  #names = "";
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #known: KnownSecrets | undefined;

  constructor(parts: { readonly api: KubernetesApi; readonly clock: Clock }) {
    this.#parts = parts;
  }

  /** What is there, as far as it is known; throws when the API server is away and nothing is. */
  async find(namespace: string, spec: PushGatewaySpec): Promise<FoundSecrets> {
    const names = secretNames(spec);
    const nowMs = this.#parts.clock.monotonicMs();
    const isComplete = this.#known !== undefined && names.every((name) => this.#known?.has(name));
    const age = nowMs - this.#askedAtMs;
    if (
      this.#names === names.join() &&
      this.#known !== undefined &&
      age < (isComplete ? limits.secretLookMs : limits.secretMissingLookMs)
    ) {
      return { kind: "known", secrets: this.#known };
    }
    const asked = await this.#ask(namespace, names);
    if (asked.kind === "forbidden") return asked;
    if (asked.kind === "away") {
      if (this.#names === names.join() && this.#known !== undefined) return { kind: "known", secrets: this.#known };
      throw new Error(asked.message);
    }
    this.#names = names.join();
    this.#askedAtMs = nowMs;
    this.#known = asked.secrets;
    return asked;
  }

  async #ask(namespace: string, names: readonly string[]): Promise<FoundSecrets | { readonly kind: "away"; readonly message: string }> {
    const secrets = new Map<string, Readonly<Record<string, number>>>();
    for (const name of names) {
      const result = await this.#parts.api.get(resources.secrets, { namespace, name });
      if (result.kind === "ok") secrets.set(name, sizes(result.object.data ?? {}));
      else if (result.kind === "refused") return { kind: "forbidden", message: result.message };
      else if (result.kind !== "notFound")
        return { kind: "away", message: `Secret ${namespace}/${name} could not be read: ${result.kind}` };
    }
    return { kind: "known", secrets };
  }
}

function secretNames({ gateway, router, certificateAuthority }: PushGatewaySpec): readonly string[] {
  const { auth, tls } = gateway;
  const names = [auth.hs256SecretRef?.name, tls?.secretName, router.http?.apiTokensSecretRef.name, certificateAuthority?.secretName];
  return [...new Set(names.flatMap((name) => name ?? []))];
}

function sizes(data: Readonly<Record<string, string>>): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.byteLength(value, "base64")]));
}
