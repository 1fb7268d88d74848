import { limits } from "@pushfleet/protocol";
import { leafNotAfterMs } from "./leaf-lifetime.js";

/** Pure: what is to be done with a fleet's certificates. An authority is named by its fingerprint. */

export interface AuthorityFacts {
  readonly fingerprint: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** made: by the operator. brought: `spec.certificateAuthority`. */
  readonly origin: "made" | "brought";
}

/** How a fleet trusts: everybody trusts `current`, `next` and `former`; `current` signs. A rotation goes
 *
 *      current A  →  A, next B  →  current B, former A  →  current B
 *
 *  and takes a step only when every process has what the step before has written: first all trust B, then B signs, and A goes when nobody
 *  shows a certificate of A any more. */
export interface AuthorityState {
  readonly current: AuthorityFacts;
  readonly next?: AuthorityFacts | undefined;
  readonly former?: AuthorityFacts | undefined;
  /** When everybody who reads the authority itself (operators) has what is written. */
  readonly settledAtMs: number;
}

export interface LeafFacts {
  readonly issuer: string;
  /** Authorities in its ca.crt, sorted. */
  readonly trusts: readonly string[];
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** When every process that reads it has what is written. */
  readonly settledAtMs: number;
  /** It is as it was written, and names who it should. */
  readonly isRight: boolean;
}

export type AuthorityStep =
  | { readonly kind: "keep" }
  /** There is none, or it is over: `subject` signs and is trusted at once. */
  | { readonly kind: "start"; readonly subject: "made" | "brought" | "next"; readonly why: string }
  /** Trust another one beside the current one. */
  | { readonly kind: "stage"; readonly subject: "made" | "brought"; readonly why: string }
  /** What was to be next is not wanted any more. */
  | { readonly kind: "unstage"; readonly why: string }
  /** Next becomes current, current becomes former. */
  | { readonly kind: "promote"; readonly why: string }
  | { readonly kind: "dropFormer"; readonly why: string };

export interface RotationFacts {
  readonly authority: AuthorityState | undefined;
  /** The spec's own authority, when it names one and that one is right. */
  readonly brought?: AuthorityFacts | undefined;
  /** The spec names an authority. Without `brought` nothing is begun: what there is goes on. */
  readonly isBrought: boolean;
  /** Of every process. missing: its Secret is gone, and the process may have read anything before. new: neither is there yet. */
  readonly leaves: readonly (LeafFacts | "missing" | "new")[];
  readonly nowMs: number;
}

/** One step at most: the next plan sees what came of it. */
export function planAuthority(facts: RotationFacts): AuthorityStep {
  const { authority, brought, isBrought, nowMs } = facts;
  const origin = isBrought ? "brought" : "made";
  if (authority === undefined) {
    if (isBrought && brought === undefined) return { kind: "keep" };
    return { kind: "start", subject: origin, why: "the fleet has no certificate authority" };
  }
  const { current, next, former } = authority;
  if (nowMs >= current.notAfterMs) return replaceOver(facts, authority);
  if (former !== undefined) {
    const isDone = isSettled(facts, authority, (leaf) => leaf.issuer === current.fingerprint);
    return isDone ? { kind: "dropFormer", why: "every process shows a certificate of the new authority" } : { kind: "keep" };
  }
  const wanted = wantedNext(facts, current, next);
  if (next !== undefined && wanted === "nothing")
    return { kind: "unstage", why: "the authority that was to be next is not wanted any more" };
  if (next !== undefined && wanted === "next") {
    const trusted = trustedBy(authority);
    const isDone = isSettled(facts, authority, (leaf) => isSameList(leaf.trusts, trusted));
    return isDone ? { kind: "promote", why: "every process trusts the next authority" } : { kind: "keep" };
  }
  if (wanted === "brought" && brought !== undefined)
    return { kind: "stage", subject: "brought", why: "the spec's authority is another one" };
  if (wanted === "made")
    return { kind: "stage", subject: "made", why: "two thirds of the authority's life are over, or the spec names none" };
  return { kind: "keep" };
}

/** Nobody trusts an authority that is over: there is nothing left to protect by waiting. */
function replaceOver({ brought, isBrought, nowMs }: RotationFacts, { next }: AuthorityState): AuthorityStep {
  const why = "the certificate authority is over";
  if (isBrought)
    return brought === undefined || nowMs >= brought.notAfterMs ? { kind: "keep" } : { kind: "start", subject: "brought", why };
  return { kind: "start", subject: next !== undefined && nowMs < next.notAfterMs ? "next" : "made", why };
}

/** What should follow on `current`: what is staged, another brought one, a new one of our own, or nothing. */
function wantedNext(
  { brought, isBrought, nowMs }: RotationFacts,
  current: AuthorityFacts,
  next: AuthorityFacts | undefined,
): "next" | "brought" | "made" | "nothing" {
  if (isBrought) {
    if (brought === undefined) return next === undefined ? "nothing" : "next"; // unreadable just now: go on with what was begun
    if (brought.fingerprint === current.fingerprint) return "nothing";
    return brought.fingerprint === next?.fingerprint ? "next" : "brought";
  }
  if (current.origin === "made" && nowMs < renewAtMs(current)) return "nothing";
  return next?.origin === "made" ? "next" : "made";
}

function isSettled({ leaves, nowMs }: RotationFacts, { settledAtMs }: AuthorityState, fits: (leaf: LeafFacts) => boolean): boolean {
  const isOne = (leaf: LeafFacts): boolean => leaf.isRight && fits(leaf) && nowMs >= leaf.settledAtMs;
  return nowMs >= settledAtMs && leaves.every((leaf) => leaf === "new" || (leaf !== "missing" && isOne(leaf)));
}

/** Fingerprints of all that a fleet trusts, sorted. */
export function trustedBy({ current, next, former }: AuthorityState): readonly string[] {
  return [current, next, former].flatMap((one) => one?.fingerprint ?? []).sort();
}

export type LeafStep =
  | { readonly kind: "keep" }
  | { readonly kind: "issue"; readonly why: string }
  /** The same certificate with other authorities beside it. */
  | { readonly kind: "retrust"; readonly why: string };

/** What is to be done with one certificate, under the authority as it is after this plan's step. */
export function planLeaf(leaf: LeafFacts | "missing" | "new", authority: AuthorityState, nowMs: number): LeafStep {
  if (leaf === "missing" || leaf === "new") return { kind: "issue", why: "it is not there" };
  if (!leaf.isRight) return { kind: "issue", why: "it is not as it was written, or names another process" };
  if (leaf.issuer !== authority.current.fingerprint) return { kind: "issue", why: "another authority signs now" };
  // A certificate that ends with its authority gains nothing from a new one.
  const gains = leafNotAfterMs(authority.current, nowMs) > leaf.notAfterMs;
  if (nowMs >= renewAtMs(leaf) && gains) return { kind: "issue", why: "two thirds of its life are over" };
  if (!isSameList(leaf.trusts, trustedBy(authority))) return { kind: "retrust", why: "the fleet trusts other authorities now" };
  return { kind: "keep" };
}

interface Life {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export function renewAtMs(life: Life): number {
  return atShareMs(life, limits.certificateRenewShare);
}

/** When somebody is told that a certificate which is his to renew has not been. */
export function warnAtMs(life: Life): number {
  return atShareMs(life, limits.certificateWarnShare);
}

function atShareMs({ notBeforeMs, notAfterMs }: Life, share: number): number {
  return notBeforeMs + Math.floor((notAfterMs - notBeforeMs) * share);
}

function isSameList(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((value, index) => value === other[index]);
}
