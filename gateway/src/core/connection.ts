import {
  type AckState,
  type CloseName,
  type Cursor,
  closeCodes,
  closeReason,
  limits,
  type NotificationId,
  tryAgainReason,
} from "@pushfleet/protocol";
import type { OpenConnection } from "./open-connection.js";
import type { TokenVia, Verdict } from "./token.js";

/** What the shell is to do, in order. A connection's core decides, the shell does, and tells the outcome by the method named here, on
 *  whichever core the connection then has. An effect that may be answered at once stands behind those it must not undo. */
export type Effect =
  /** Give the socket this frame (text), through the outbox when the socket is slow. */
  | { readonly kind: "send"; readonly frame: string }
  /** The complete `sync_batch` frame as the router made it: bytes, not parsed. Never dropped. Call `onOutboxEmpty` right after it when the
   *  socket took it at once, otherwise when the outbox has emptied. */
  | { readonly kind: "send_sync"; readonly frame: Uint8Array }
  /** End the connection with `closeCodes[name]`; `reason` fits a close frame. Nothing follows. */
  | { readonly kind: "close"; readonly name: CloseName; readonly reason: string }
  /** → `onVerdict` */
  | { readonly kind: "authenticate"; readonly token: string; readonly via: TokenVia }
  /** Put (or put again, with its fence) the connection into the registry → `onRegistered`. */
  | { readonly kind: "register" }
  /** From now on this is the connection: send hello, count it as open, deliver to it. The effects behind it are its own. */
  | { readonly kind: "open"; readonly connection: OpenConnection; readonly registered: boolean }
  /** To a router, batched. */
  | { readonly kind: "acknowledge"; readonly notificationIds: readonly NotificationId[]; readonly state: AckState }
  /** Ask a router for one page; `lastSeen` "" is the newest unread, `page` "" the first → `onSynced`. One at a time a connection. */
  | { readonly kind: "sync"; readonly lastSeen: Cursor | ""; readonly page: string }
  /** To a router, batched; `data` is JSON text as the client wrote it. */
  | { readonly kind: "emit"; readonly name: string; readonly data: string }
  /** Give it to the gap pacer. */
  | { readonly kind: "gap"; readonly after: Cursor }
  /** Call `onDeadline` at `atMs` (monotonic), instead of any deadline set before. */
  | { readonly kind: "deadline"; readonly atMs: number };

export type Effects = readonly Effect[];

/** What became of a registration: a `Registered` of the registry fits. `restored`: the entry had been missing or wrong, or the worker's
 *  lease had lapsed: deliveries may have gone astray. */
export type RegistrationOutcome =
  | { readonly kind: "registered"; readonly restored: boolean }
  | { readonly kind: "superseded" }
  | { readonly kind: "revoked" }
  | { readonly kind: "unavailable" };

/** What became of one page of a sync. */
export type SyncOutcome =
  | { readonly kind: "page"; readonly frame: Uint8Array; readonly hasMore: boolean; readonly nextPage: string }
  | { readonly kind: "refused"; readonly code: "bad_cursor"; readonly message: string }
  | { readonly kind: "unavailable" };

/** Turns a text message into text. The socket has checked that it is UTF-8. */
export type DecodeText = (message: ArrayBuffer) => string;

export const noEffects: Effects = [];

/** One effect that is a close; `reason` as `closeCodes` has it unless another says more. */
export function closeWith(name: CloseName, reason: string = closeCodes[name].reason): Effects {
  return [{ kind: "close", name, reason: closeReason(reason) }];
}

/** Closes for what may not be parsed at all: binary, or larger than `limits.clientFrameBytesMax`. */
export function refuseUnparsed(message: ArrayBuffer, isBinary: boolean): Effects | undefined {
  if (isBinary) return closeWith("unsupportedData");
  return message.byteLength > limits.clientFrameBytesMax ? closeWith("messageTooBig") : undefined;
}

/** What follows a verdict that is not an acceptance. */
export function closeUnaccepted(verdict: Exclude<Verdict, { readonly kind: "accepted" }>): Effects {
  return verdict.kind === "rejected"
    ? closeWith("unauthenticated", verdict.reason)
    : closeWith("tryAgainLater", tryAgainReason(verdict.retryAfterMs));
}
