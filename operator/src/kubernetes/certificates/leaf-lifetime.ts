import { limits } from "@pushfleet/protocol";

/** When a certificate that is issued at `nowMs` ends: never after its authority. */
export function leafNotAfterMs(authority: { readonly notAfterMs: number }, nowMs: number): number {
  return Math.min(nowMs + limits.leafLifetimeMs, authority.notAfterMs);
}
