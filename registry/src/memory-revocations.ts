import { assertNever, type DeviceId, limits, type UserId } from "@pushfleet/protocol";
import type { Registration, Revocation } from "./registry.js";

interface NotBefore {
  readonly notBeforeMs: number;
  readonly expiresAtMs: number;
}

interface UserRevocations {
  /** When each expires, by `jti`. */
  readonly tokens: Map<string, number>;
  readonly devices: Map<DeviceId, NotBefore>;
  user: NotBefore | undefined;
}

/** What `rev:{user}` is in Redis. Holds at most `limits.revocationsPerUserMax` single ones a user; one more, and everything issued to the
 *  user until then is revoked instead: that forgets nothing that was revoked. */
export class MemoryRevocations {
  readonly #byUser = new Map<UserId, UserRevocations>();

  add(revocation: Revocation, nowMs: number): void {
    const { user, what, expiresAtMs } = revocation;
    if (expiresAtMs <= nowMs) return;
    const of: UserRevocations = this.#byUser.get(user) ?? { tokens: new Map(), devices: new Map(), user: undefined };
    this.#byUser.set(user, of);
    dropExpired(of, nowMs);
    switch (what.kind) {
      case "token":
        of.tokens.set(what.tokenId, Math.max(expiresAtMs, of.tokens.get(what.tokenId) ?? 0));
        break;
      case "device":
        of.devices.set(what.device, later(of.devices.get(what.device), { notBeforeMs: what.notBeforeMs, expiresAtMs }));
        break;
      case "user":
        of.user = later(of.user, { notBeforeMs: what.notBeforeMs, expiresAtMs });
        break;
      default:
        assertNever(what);
    }
    if (of.tokens.size + of.devices.size > limits.revocationsPerUserMax) mergeAll(of, nowMs);
  }

  isRevoked(registration: Pick<Registration, "user" | "device" | "tokenId" | "tokenIssuedAtMs">, nowMs: number): boolean {
    const of = this.#byUser.get(registration.user);
    if (of === undefined) return false;
    const { tokenId, tokenIssuedAtMs } = registration;
    if (tokenId !== undefined && (of.tokens.get(tokenId) ?? 0) > nowMs) return true;
    // A token that does not say when it was issued may be as old as any.
    const issuedAtMs = tokenIssuedAtMs ?? 0;
    return [of.user, of.devices.get(registration.device)].some(
      (notBefore) => notBefore !== undefined && notBefore.expiresAtMs > nowMs && issuedAtMs < notBefore.notBeforeMs,
    );
  }

  sweep(nowMs: number): void {
    for (const [user, of] of this.#byUser) {
      dropExpired(of, nowMs);
      if (of.tokens.size === 0 && of.devices.size === 0 && of.user === undefined) this.#byUser.delete(user);
    }
  }
}

function dropExpired(of: UserRevocations, nowMs: number): void {
  for (const [tokenId, expiresAtMs] of of.tokens) if (expiresAtMs <= nowMs) of.tokens.delete(tokenId);
  for (const [device, notBefore] of of.devices) if (notBefore.expiresAtMs <= nowMs) of.devices.delete(device);
  if (of.user !== undefined && of.user.expiresAtMs <= nowMs) of.user = undefined;
}

function mergeAll(of: UserRevocations, nowMs: number): void {
  const notBefores = [...of.devices.values()];
  of.user = later(of.user, {
    notBeforeMs: Math.max(nowMs, ...notBefores.map((notBefore) => notBefore.notBeforeMs)),
    expiresAtMs: Math.max(...of.tokens.values(), ...notBefores.map((notBefore) => notBefore.expiresAtMs)),
  });
  of.tokens.clear();
  of.devices.clear();
}

function later(a: NotBefore | undefined, b: NotBefore): NotBefore {
  if (a === undefined) return b;
  return { notBeforeMs: Math.max(a.notBeforeMs, b.notBeforeMs), expiresAtMs: Math.max(a.expiresAtMs, b.expiresAtMs) };
}
