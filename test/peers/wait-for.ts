import { setTimeout as delay } from "node:timers/promises";

/** Long enough for a loaded machine with two cores; a test that passes never waits that long. */
const DEADLINE_DEFAULT_MS = 10_000;
const INTERVAL_DEFAULT_MS = 10;
const LAST_VALUE_CHARACTERS_MAX = 500;

export interface WaitOptions {
  /** What is awaited, for the error: "the gateway's lease to expire". */
  readonly what: string;
  readonly deadlineMs?: number;
  /** Pause between two looks. */
  readonly intervalMs?: number;
}

/** What counts as "not yet". */
type NotYet = false | undefined | null | 0 | "";

/**
 * Asks `condition` again and again until it gives a truthy value, and returns that. A condition that throws is not met yet.
 * Throws at the deadline (10 s by default), also when one look hangs, with what was awaited and what the last look gave.
 */
export async function waitFor<T>(condition: () => T | Promise<T>, options: WaitOptions): Promise<Exclude<T, NotYet>> {
  const { what, deadlineMs = DEADLINE_DEFAULT_MS, intervalMs = INTERVAL_DEFAULT_MS } = options;
  const endsAtMs = performance.now() + deadlineMs;
  let last: Look<T> = { kind: "hung" };
  while (performance.now() < endsAtMs) {
    last = await look(condition, endsAtMs - performance.now());
    if (last.kind === "value" && isMet(last.value)) return last.value;
    await delay(intervalMs);
  }
  throw new Error(`waited ${deadlineMs} ms for ${what}; ${describeLook(last)}`, last.kind === "error" ? { cause: last.error } : {});
}

type Look<T> =
  | { readonly kind: "value"; readonly value: T }
  | { readonly kind: "error"; readonly error: unknown }
  | { readonly kind: "hung" };

function isMet<T>(value: T): value is Exclude<T, NotYet> {
  return Boolean(value);
}

async function look<T>(condition: () => T | Promise<T>, leftMs: number): Promise<Look<T>> {
  const abort = new AbortController();
  const hung = delay(leftMs, undefined, { signal: abort.signal }).then(
    (): Look<T> => ({ kind: "hung" }),
    (): Look<T> => ({ kind: "hung" }), // aborted: the look has won the race
  );
  try {
    return await Promise.race([hung, Promise.resolve(condition()).then((value): Look<T> => ({ kind: "value", value }))]);
  } catch (error) {
    return { kind: "error", error };
  } finally {
    abort.abort();
  }
}

function describeLook(last: Look<unknown>): string {
  switch (last.kind) {
    case "value":
      return `last value: ${toText(last.value).slice(0, LAST_VALUE_CHARACTERS_MAX)}`;
    case "error":
      return `last error: ${String(last.error).slice(0, LAST_VALUE_CHARACTERS_MAX)}`;
    case "hung":
      return "the last look did not return";
  }
}

/** JSON where it says something; `undefined`, functions and cycles as JavaScript prints them. */
function toText(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}
