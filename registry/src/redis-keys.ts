import type { Incarnation, UserId } from "@pushfleet/protocol";

export interface RedisKeys {
  /** JSON of a `Lease`; expires. */
  lease(incarnation: Incarnation): string;
  /** `cursor|µs of the request`. */
  resync(incarnation: Incarnation): string;
  /** HASH device → `incarnation|connection|fence`. */
  connections(user: UserId): string;
  /** HASH `user` or `device:<id>` → `not before ms|expires ms`, `token:<jti>` → expires ms. */
  revocations(user: UserId): string;
}

/** The keys of one fleet. Both keys of a user have the hash tag `{user}`, so that a script may touch them together in a Cluster; ids have
 *  no braces (protocol/ids), and `prefix` must have none either. Throws when it does: the configuration's schema has refused it before. */
export function redisKeys(prefix: string): RedisKeys {
  if (/[{}]/.test(prefix)) throw new Error(`keyPrefix ${prefix}: braces are for hash tags`);
  return {
    lease: (incarnation) => `${prefix}gw:${incarnation}`,
    resync: (incarnation) => `${prefix}resync:${incarnation}`,
    connections: (user) => `${prefix}conn:{${user}}`,
    revocations: (user) => `${prefix}rev:{${user}}`,
  };
}
