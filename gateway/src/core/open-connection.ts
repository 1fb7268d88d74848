import {
  assertNever,
  authExpiringFrame,
  type Cursor,
  type DeviceId,
  errorFrame,
  formatCursor,
  limits,
  type ParsedClientFrame,
  parseClientFrame,
  pongFrame,
  type UserId,
} from "@pushfleet/protocol";
import {
  closeUnaccepted,
  closeWith,
  type DecodeText,
  type Effects,
  noEffects,
  type RegistrationOutcome,
  refuseUnparsed,
  type SyncOutcome,
} from "./connection.js";
import { rateLimit, takeOne, waitMs } from "./rate-limit.js";
import type { Accepted, Verdict } from "./token.js";

/** A sync under way. One page at most is asked for at a time. */
interface Syncing {
  lastSeen: Cursor | "";
  page: string;
  asked: boolean;
  /** A sync that the client asked for meanwhile: it begins when the answer is there, and that answer is dropped. */
  replacement: Cursor | "" | undefined;
}

export interface Opened {
  readonly token: Accepted;
  readonly device: DeviceId;
  readonly registered: boolean;
  readonly decode: DecodeText;
  readonly nowMs: number;
  readonly wallMs: number;
}

const messageLimit = rateLimit(limits.clientMessagesPerSecond, limits.clientMessageBurst);
const eventLimit = rateLimit(limits.clientEventsPerSecond, limits.clientEventBurst);
const pong: Effects = [{ kind: "send", frame: pongFrame }];
const registerAgain = { kind: "register" } as const;

/** A connection from its hello on. One object of a few words for each of very many connections. All `nowMs` are monotonic.
 *
 *  A `sync` while one runs replaces it: a client that was sent `gap`, or that starts over, wants its latest `last_seen`, and the pages of
 *  the former would tell it that the latter is done. */
export class OpenConnection {
  readonly user: UserId;
  readonly device: DeviceId;
  readonly #decode: DecodeText;
  #tokenId: string | undefined;
  #tokenIssuedAtMs: number | undefined;
  /** Monotonic. */
  #expiresAtMs = 0;
  #messagesDueMs = 0;
  #eventsDueMs = 0;
  /** Where `gap` starts once the registry has the connection; undefined when it has. */
  #unregisteredSince: Cursor | undefined;
  #syncing: Syncing | undefined;
  #closed = false;

  constructor(opened: Opened) {
    this.user = opened.token.user;
    this.device = opened.device;
    this.#decode = opened.decode;
    this.#unregisteredSince = opened.registered ? undefined : formatCursor(Math.floor(opened.wallMs), 0);
    this.#takeToken(opened.token, opened.nowMs, opened.wallMs);
  }

  /** Of the latest token: for registrations, which check revocations. */
  get tokenId(): string | undefined {
    return this.#tokenId;
  }

  get tokenIssuedAtMs(): number | undefined {
    return this.#tokenIssuedAtMs;
  }

  /** False while the registry has not confirmed it: deliveries go astray, a `gap` follows. */
  get registered(): boolean {
    return this.#unregisteredSince === undefined;
  }

  /** When the shell calls `onDeadline` first. */
  get deadline(): Effects {
    return [{ kind: "deadline", atMs: this.#expiresAtMs - limits.authExpiringNoticeMs }];
  }

  onMessage(message: ArrayBuffer, isBinary: boolean, nowMs: number): Effects {
    if (this.#closed) return noEffects;
    const refusal = this.#countMessage(nowMs) ?? refuseUnparsed(message, isBinary);
    if (refusal !== undefined) return this.#close(refusal);
    return this.#decide(parseClientFrame(this.#decode(message)), nowMs);
  }

  /** A frame that was sent before hello. */
  onFrame(frame: ParsedClientFrame, nowMs: number): Effects {
    if (this.#closed) return noEffects;
    const refusal = this.#countMessage(nowMs);
    return refusal === undefined ? this.#decide(frame, nowMs) : this.#close(refusal);
  }

  /** The verdict on a refreshed token. It is registered again, so that its revocation would be seen. */
  onVerdict(verdict: Verdict, nowMs: number, wallMs: number): Effects {
    if (this.#closed) return noEffects;
    if (verdict.kind === "unavailable") {
      const error = { code: "busy", message: "the token cannot be checked now", retryAfterMs: verdict.retryAfterMs } as const;
      return [{ kind: "send", frame: errorFrame(error) }];
    }
    if (verdict.kind === "rejected") return this.#close(closeUnaccepted(verdict));
    if (verdict.user !== this.user) return this.#close(closeWith("unauthenticated", "the refreshed token is for another user"));
    this.#takeToken(verdict, nowMs, wallMs);
    return [...this.deadline, registerAgain];
  }

  /** Each registration after hello: late, repeated, restored. `lastRight` is where `gap` starts when the entry had to be restored. */
  onRegistered(outcome: RegistrationOutcome, lastRight: Cursor): Effects {
    if (this.#closed) return noEffects;
    switch (outcome.kind) {
      case "registered": {
        const after = this.#unregisteredSince ?? (outcome.restored ? lastRight : undefined);
        this.#unregisteredSince = undefined;
        return after === undefined ? noEffects : [{ kind: "gap", after }];
      }
      case "superseded":
        return this.#close(closeWith("replaced"));
      case "revoked":
        return this.#close(closeWith("revoked"));
      case "unavailable":
        return noEffects;
      default:
        return assertNever(outcome);
    }
  }

  onSynced(outcome: SyncOutcome): Effects {
    const syncing = this.#syncing;
    if (this.#closed || syncing === undefined) return noEffects;
    syncing.asked = false;
    if (syncing.replacement !== undefined) return this.#startSync(syncing.replacement);
    switch (outcome.kind) {
      case "page":
        syncing.page = outcome.nextPage;
        if (!outcome.hasMore) this.#syncing = undefined;
        return [{ kind: "send_sync", frame: outcome.frame }];
      case "refused":
        this.#syncing = undefined;
        return [{ kind: "send", frame: errorFrame({ code: outcome.code, message: outcome.message }) }];
      case "unavailable":
        this.#syncing = undefined;
        return [{ kind: "send", frame: storeUnavailable }];
      default:
        return assertNever(outcome);
    }
  }

  /** Nothing waits for the socket: time for the next page, if there is one. */
  onOutboxEmpty(): Effects {
    const syncing = this.#syncing;
    if (this.#closed || syncing === undefined || syncing.asked) return noEffects;
    syncing.asked = true;
    return [{ kind: "sync", lastSeen: syncing.lastSeen, page: syncing.page }];
  }

  onDeadline(nowMs: number): Effects {
    if (this.#closed) return noEffects;
    if (nowMs >= this.#expiresAtMs) return this.#close(closeWith("unauthenticated", "token expired"));
    if (nowMs < this.#expiresAtMs - limits.authExpiringNoticeMs) return this.deadline;
    return [
      { kind: "send", frame: authExpiringFrame(this.#expiresAtMs - nowMs) },
      { kind: "deadline", atMs: this.#expiresAtMs },
    ];
  }

  #decide(frame: ParsedClientFrame, nowMs: number): Effects {
    switch (frame.kind) {
      case "ack":
        return [{ kind: "acknowledge", notificationIds: frame.notificationIds, state: frame.state }];
      case "ping":
        return pong;
      case "event":
        return this.#emit(frame.name, frame.data, nowMs);
      case "sync":
        return this.#sync(frame.lastSeen);
      case "auth":
        if (frame.device !== undefined && frame.device !== this.device) {
          return this.#close(closeWith("badFrame", "auth.device: a connection keeps its device"));
        }
        return [{ kind: "authenticate", token: frame.token, via: "message" }];
      case "bad":
        return this.#close(closeWith("badFrame", frame.reason));
      default:
        return assertNever(frame);
    }
  }

  #countMessage(nowMs: number): Effects | undefined {
    if (waitMs(messageLimit, this.#messagesDueMs, nowMs) > 0) return closeWith("tooManyMessages");
    this.#messagesDueMs = takeOne(messageLimit, this.#messagesDueMs, nowMs);
    return undefined;
  }

  #emit(name: string, data: string, nowMs: number): Effects {
    const retryAfterMs = waitMs(eventLimit, this.#eventsDueMs, nowMs);
    if (retryAfterMs > 0) {
      const message = `at most ${limits.clientEventsPerSecond} events a second`;
      return [{ kind: "send", frame: errorFrame({ code: "rate_limited", message, retryAfterMs: Math.ceil(retryAfterMs) }) }];
    }
    this.#eventsDueMs = takeOne(eventLimit, this.#eventsDueMs, nowMs);
    return [{ kind: "emit", name, data }];
  }

  #sync(lastSeen: Cursor | "none" | "bad_cursor"): Effects {
    if (lastSeen === "bad_cursor") return [{ kind: "send", frame: badCursor }];
    const from = lastSeen === "none" ? "" : lastSeen;
    if (this.#syncing?.asked !== true) return this.#startSync(from);
    this.#syncing.replacement = from;
    return noEffects;
  }

  #startSync(lastSeen: Cursor | ""): Effects {
    this.#syncing = { lastSeen, page: "", asked: true, replacement: undefined };
    return [{ kind: "sync", lastSeen, page: "" }];
  }

  #takeToken(token: Accepted, nowMs: number, wallMs: number): void {
    this.#tokenId = token.tokenId;
    this.#tokenIssuedAtMs = token.issuedAtMs;
    this.#expiresAtMs = Math.floor(nowMs + token.expiresAtMs - wallMs);
  }

  #close(effects: Effects): Effects {
    this.#closed = true;
    this.#syncing = undefined;
    return effects;
  }
}

const badCursor = errorFrame({ code: "bad_cursor", message: "last_seen: expected a cursor, ISO 8601 or ms" });
const storeUnavailable = errorFrame({
  code: "store_unavailable",
  message: "notifications cannot be read now, send sync again",
  retryAfterMs: limits.syncRetryMs,
});
