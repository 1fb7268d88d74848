import { assertNever, type Fault } from "@pushfleet/protocol";
import { type Clock, keyPrefixPattern, type Logger, redisAddressExpected, redisAddressPattern, Strict } from "@pushfleet/service";
import { type Static, Type } from "@sinclair/typebox";
import { createMemoryRegistry } from "./memory-registry.js";
import { createRedisRegistry } from "./redis-registry.js";
import type { Registry } from "./registry.js";

/** `registry` in the configuration of a gateway and a router: both must name the same. `memory` is for parts that share a process. */
export const registrySchema = Type.Union([
  Strict({
    kind: Type.Literal("redis"),
    url: Type.String({ pattern: redisAddressPattern, expected: redisAddressExpected }),
    keyPrefix: Type.String({
      default: "",
      maxLength: 128,
      pattern: keyPrefixPattern,
      expected: "up to 128 characters without braces or spaces",
    }),
  }),
  Strict({ kind: Type.Literal("memory") }),
]);
export type RegistryConfig = Static<typeof registrySchema>;

/** A part that is a process of its own cannot share this process's memory with the `others` it needs. */
export function ownProcessFaults({ registry }: { readonly registry: RegistryConfig }, others: "gateways" | "routers"): readonly Fault[] {
  if (registry.kind !== "memory") return [];
  const expected = `"redis": a registry in memory cannot be shared with ${others} (pushfleet local does)`;
  return [{ path: "registry.kind", value: "memory", expected }];
}

export function createRegistry(config: RegistryConfig, options: { readonly clock: Clock; readonly logger?: Logger | undefined }): Registry {
  switch (config.kind) {
    case "redis":
      return createRedisRegistry({ url: config.url, keyPrefix: config.keyPrefix, ...options });
    case "memory":
      return createMemoryRegistry(options);
    default:
      return assertNever(config);
  }
}
