/** One command of a pipeline: its name as ioredis knows it (ours are defined by `scripts/`), then its arguments. */
export type RedisCommand = readonly [name: string, ...args: string[]];

/** A Lua script: touches only `keys` first arguments, all in one Cluster slot. */
export interface Script {
  readonly lua: string;
  readonly numberOfKeys: number;
}

/** `value` is an `Error` where Redis answered with one. `unavailable`: no answer; a write may have been done all the same. */
export type Reply = { readonly kind: "reply"; readonly value: unknown } | { readonly kind: "unavailable"; readonly cause: Error };

/** An error of Redis (out of memory, loading, read-only …) is no answer to the question either. */
export function refuseErrors(reply: Reply): Reply {
  return reply.kind === "reply" && reply.value instanceof Error ? { kind: "unavailable", cause: reply.value } : reply;
}

/** The elements of an array reply as text; nil is "". */
export function textElements(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map((element: unknown) => (element === null ? "" : String(element))) : [];
}
