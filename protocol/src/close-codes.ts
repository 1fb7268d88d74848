/** What a close says to the client about coming back: `retry` by the schedule, `retry_hint` after the reason's `retry_after_ms`,
 *  `fresh_token` once it has a new token, `never`. */
export type AfterClose = "retry" | "retry_hint" | "fresh_token" | "never";

export interface CloseCode {
  readonly code: number;
  readonly reason: string;
  readonly afterClose: AfterClose;
}

/** RFC 6455 §7.4.1 for 1xxx; 4400 to 4499 are pushfleet's. */
export const closeCodes = {
  goingAway: { code: 1001, reason: "going away", afterClose: "retry" },
  unsupportedData: { code: 1003, reason: "binary frames are not accepted", afterClose: "never" },
  messageTooBig: { code: 1009, reason: "frame larger than 65536 bytes", afterClose: "never" },
  serviceRestart: { code: 1012, reason: "restart", afterClose: "retry" },
  tryAgainLater: { code: 1013, reason: "try again later", afterClose: "retry_hint" },
  badFrame: { code: 4400, reason: "bad frame", afterClose: "never" },
  unauthenticated: { code: 4401, reason: "unauthenticated", afterClose: "fresh_token" },
  revoked: { code: 4403, reason: "revoked", afterClose: "never" },
  authTimeout: { code: 4408, reason: "no auth in time", afterClose: "retry" },
  replaced: { code: 4409, reason: "replaced by a newer connection of this device", afterClose: "never" },
  slowConsumer: { code: 4410, reason: "slow consumer", afterClose: "retry" },
  tooManyMessages: { code: 4429, reason: "too many messages", afterClose: "retry" },
} as const satisfies Record<string, CloseCode>;

export type CloseName = keyof typeof closeCodes;

/** Reason of a 1013 close: `{"retry_after_ms":n}`. */
export function tryAgainReason(retryAfterMs: number): string {
  return `{"retry_after_ms":${Math.max(0, Math.round(retryAfterMs))}}`;
}

/** RFC 6455 §5.5: a control frame carries at most 125 bytes, two of them the code. ASCII only. */
export function closeReason(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?").slice(0, 123);
}
