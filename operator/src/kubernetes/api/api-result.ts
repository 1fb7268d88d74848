import { isMapping, limits } from "@pushfleet/protocol";
import type { ApiResult } from "./types.js";

/** What an API server answered: its status line, what it said of waiting, and its body. */
export interface Answer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  /** Parsed JSON; `undefined` where the body is none. */
  readonly body: unknown;
}

/** The fields of a Status (meta/v1) that tell what is wrong. */
export interface StatusFields {
  readonly code: number | undefined;
  readonly reason: string;
  readonly message: string;
  readonly retryAfterSeconds: number | undefined;
}

export type Unwell = Exclude<ApiResult<never>, { readonly kind: "ok" }>;

/** Whether a create was asked: only then "exists" is an answer. */
export type Verb = "create" | "other";

/** Status codes that say "later" without being the server's fault. */
const laterStatuses: readonly number[] = [408, 425, 429];

/** `reason` of a refusal of our own: the answer was longer than what we read; of a list, ask for less. */
export const answerTooLong = "AnswerTooLong";

/** What an answer that is not 2xx means. `nowMs` (wall clock) is for a Retry-After that is a date. */
export function unwellResult({ status, retryAfter, body }: Answer, verb: Verb, nowMs: number): Unwell {
  const { reason, message, retryAfterSeconds } = statusFields(body);
  const text = message === "" ? `HTTP ${status}` : message;
  if (status === 404) return { kind: "notFound", message: text };
  if (status === 409) return verb === "create" && reason === "AlreadyExists" ? { kind: "exists" } : { kind: "conflict", message: text };
  // A patch that names the uid of an object that was made anew since: "metadata.uid: field is immutable".
  if (status === 422 && causeFields(body).includes("metadata.uid")) return { kind: "conflict", message: text };
  if (status === 410) return { kind: "expired", message: text };
  if (status >= 500 || laterStatuses.includes(status)) {
    const waitMs = retryAfterMs(retryAfter, nowMs) ?? (retryAfterSeconds === undefined ? undefined : retryAfterSeconds * 1000);
    const described = `HTTP ${status}: ${text}`.slice(0, limits.kubernetesMessageMax);
    return waitMs === undefined ? unavailable(described) : { ...unavailable(described), retryAfterMs: boundWait(waitMs) };
  }
  return { kind: "refused", status, reason: reason === "" ? `HTTP${status}` : reason, message: text };
}

/** The same of a Status that came as an event of a watch. */
export function unwellEvent(body: unknown, nowMs: number): Unwell {
  const { code, reason } = statusFields(body);
  const gone = reason === "Expired" || reason === "Gone";
  return unwellResult({ status: gone ? 410 : (code ?? 500), retryAfter: undefined, body }, "other", nowMs);
}

export function unavailable(message: string): Unwell & { readonly kind: "unavailable" } {
  return { kind: "unavailable", message };
}

export function malformed(message: string): Unwell & { readonly kind: "unavailable" } {
  return { kind: "unavailable", message, malformed: true };
}

export function statusFields(body: unknown): StatusFields {
  const fields = isMapping(body) ? body : {};
  const details = isMapping(fields["details"]) ? fields["details"] : {};
  const seconds = details["retryAfterSeconds"];
  const code = fields["code"];
  return {
    code: typeof code === "number" ? code : undefined,
    reason: typeof fields["reason"] === "string" ? fields["reason"] : "",
    message: typeof fields["message"] === "string" ? fields["message"].slice(0, limits.kubernetesMessageMax) : "",
    retryAfterSeconds: typeof seconds === "number" && seconds > 0 ? seconds : undefined,
  };
}

/** The fields that an invalid object is blamed for. */
function causeFields(body: unknown): readonly unknown[] {
  const details = isMapping(body) && isMapping(body["details"]) ? body["details"] : {};
  const causes: unknown = details["causes"];
  return Array.isArray(causes) ? causes.map((cause: unknown) => (isMapping(cause) ? cause["field"] : undefined)) : [];
}

/** Seconds or an HTTP date (RFC 9110 §10.2.3). */
function retryAfterMs(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text.trim())) return Number(text) * 1000;
  const atMs = /^[A-Za-z]{3,9}, /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs);
}

function boundWait(ms: number): number {
  return Math.min(ms, limits.kubernetesRetryAfterMaxMs);
}
