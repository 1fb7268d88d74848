/** Base delays in ms: at once, then 1, 2, 5, 10, 30 s (cap). Source: docs/protocol.md, Reconnecting. */
export const reconnectDelaysMs: readonly number[] = [0, 1_000, 2_000, 5_000, 10_000, 30_000];

/** Delay before attempt number `attempt` (0 is the first), uniform in [d/2, d] so that clients that lost one server do not come back in
 *  step. `random` is in [0, 1). A server's hint wins over the schedule and is not shortened. */
export function reconnectDelayMs(attempt: number, random: number, hintMs?: number): number {
  if (hintMs !== undefined) return Math.max(0, hintMs);
  const base = reconnectDelaysMs[Math.min(attempt, reconnectDelaysMs.length - 1)] ?? 0;
  return base / 2 + (base / 2) * random;
}

export type AfterClose =
  | { readonly kind: "retry"; readonly hintMs: number | undefined }
  | { readonly kind: "fresh_token" }
  | { readonly kind: "never"; readonly why: string };

/** What to do when the server, or the network (1006), closed the connection. The whole table stands in docs/protocol.md. */
export function afterClose(code: number, reason: string): AfterClose {
  switch (code) {
    case 1013:
      return { kind: "retry", hintMs: retryHint(reason) };
    case 4401:
      return { kind: "fresh_token" };
    case 1003:
    case 1009:
    case 4400:
      return { kind: "never", why: `the server refused a frame of ours: ${code} ${reason}` };
    case 4403:
      return { kind: "never", why: "revoked" };
    case 4409:
      return { kind: "never", why: "replaced by a newer connection of this device" };
    default:
      return { kind: "retry", hintMs: undefined };
  }
}

function retryHint(reason: string): number | undefined {
  try {
    const parsed: unknown = JSON.parse(reason);
    const hint = (parsed as { retry_after_ms?: unknown } | null)?.retry_after_ms;
    return typeof hint === "number" && Number.isFinite(hint) && hint >= 0 ? hint : undefined;
  } catch {
    return undefined; // a 1013 without a hint: the schedule decides
  }
}
