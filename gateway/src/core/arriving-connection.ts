import { assertNever, type DeviceId, limits, type ParsedClientFrame, parseClientFrame, type UserId } from "@pushfleet/protocol";
import {
  closeUnaccepted,
  closeWith,
  type DecodeText,
  type Effect,
  type Effects,
  noEffects,
  type RegistrationOutcome,
  refuseUnparsed,
} from "./connection.js";
import { OpenConnection } from "./open-connection.js";
import type { Accepted, TokenVia, Verdict } from "./token.js";

export interface Arrival {
  /** As named in the handshake; `auth.device` may name another. */
  readonly device: DeviceId | undefined;
  /** A random id, when neither names one. */
  readonly makeDevice: () => DeviceId;
  readonly decode: DecodeText;
}

type Stage =
  /** No token yet: the first frame must be `auth`. */
  | { readonly kind: "unauthenticated" }
  | { readonly kind: "authenticating" }
  | { readonly kind: "registering"; readonly token: Accepted }
  /** Open or closed. */
  | { readonly kind: "gone" };

const gone: Stage = { kind: "gone" };
const refusedSinceOthers = closeWith("unauthenticated", "the first frame must be auth");

/** A connection before its hello. It holds what only that time needs and goes with it; nothing it was sent reaches a router before `open`.
 *  All `nowMs` are monotonic.
 *
 *  Without a token any first frame but `auth` closes with 4401, whatever it is: binary, too large, not JSON; only an `auth` with a bad
 *  `device` is told 4400. Frames sent between authentication and hello wait for it, a bounded number of them: a client may write
 *  `auth`, `sync` in one go. */
export class ArrivingConnection {
  readonly #arrival: Arrival;
  #stage: Stage = { kind: "unauthenticated" };
  #device: DeviceId | undefined;
  #waiting: ParsedClientFrame[] | undefined;
  #waitingBytes = 0;

  constructor(arrival: Arrival) {
    this.#arrival = arrival;
    this.#device = arrival.device;
  }

  /** Known once the token was accepted. */
  get user(): UserId | undefined {
    return this.#token?.user;
  }

  /** Known once the token was accepted, at the latest. */
  get device(): DeviceId | undefined {
    return this.#device;
  }

  /** For the registration. */
  get tokenId(): string | undefined {
    return this.#token?.tokenId;
  }

  get tokenIssuedAtMs(): number | undefined {
    return this.#token?.issuedAtMs;
  }

  get #token(): Accepted | undefined {
    return this.#stage.kind === "registering" ? this.#stage.token : undefined;
  }

  /** The socket is open. */
  start(nowMs: number, token: { readonly text: string; readonly via: TokenVia } | undefined): Effects {
    const deadline: Effect = { kind: "deadline", atMs: nowMs + limits.authFirstMessageMs };
    if (token === undefined) return [deadline];
    this.#stage = { kind: "authenticating" };
    return [deadline, { kind: "authenticate", token: token.text, via: token.via }];
  }

  onMessage(message: ArrayBuffer, isBinary: boolean, nowMs: number): Effects {
    switch (this.#stage.kind) {
      case "unauthenticated":
        return this.#authenticate(message, isBinary, nowMs);
      case "authenticating":
      case "registering":
        return this.#wait(message, isBinary);
      case "gone":
        return noEffects;
      default:
        return assertNever(this.#stage);
    }
  }

  /** `wallMs` is the clock that `exp` is on. */
  onVerdict(verdict: Verdict, nowMs: number, _wallMs: number): Effects {
    if (this.#stage.kind !== "authenticating") return noEffects;
    if (verdict.kind !== "accepted") return this.#close(closeUnaccepted(verdict));
    this.#stage = { kind: "registering", token: verdict };
    this.#device ??= this.#arrival.makeDevice();
    return [{ kind: "deadline", atMs: nowMs + limits.registrationTimeoutMs }, { kind: "register" }];
  }

  /** The first answer opens the connection, `unavailable` too (`registered: false`; the shell goes on trying). */
  onRegistered(outcome: RegistrationOutcome, nowMs: number, wallMs: number): Effects {
    if (this.#stage.kind !== "registering") return noEffects;
    switch (outcome.kind) {
      case "registered":
        return this.#open(this.#stage.token, true, nowMs, wallMs);
      case "unavailable":
        return this.#open(this.#stage.token, false, nowMs, wallMs);
      case "superseded":
        return this.#close(closeWith("replaced"));
      case "revoked":
        return this.#close(closeWith("revoked"));
      default:
        return assertNever(outcome);
    }
  }

  /** 4408 without a token; 1013 when nobody could say whether it is good; hello with `registered: false` when the registry does not answer. */
  onDeadline(nowMs: number, wallMs: number): Effects {
    switch (this.#stage.kind) {
      case "unauthenticated":
        return this.#close(closeWith("authTimeout"));
      case "authenticating":
        return this.#close(closeUnaccepted({ kind: "unavailable", retryAfterMs: limits.authFirstMessageMs }));
      case "registering":
        return this.#open(this.#stage.token, false, nowMs, wallMs);
      case "gone":
        return noEffects;
      default:
        return assertNever(this.#stage);
    }
  }

  #authenticate(message: ArrayBuffer, isBinary: boolean, nowMs: number): Effects {
    if (refuseUnparsed(message, isBinary) !== undefined) return this.#close(refusedSinceOthers);
    const frame = parseClientFrame(this.#arrival.decode(message));
    if (frame.kind === "bad" && frame.reason.startsWith("auth.device")) return this.#close(closeWith("badFrame", frame.reason));
    if (frame.kind !== "auth") return this.#close(refusedSinceOthers);
    this.#device = frame.device ?? this.#device;
    this.#stage = { kind: "authenticating" };
    return [
      { kind: "deadline", atMs: nowMs + limits.authFirstMessageMs },
      { kind: "authenticate", token: frame.token, via: "message" },
    ];
  }

  #wait(message: ArrayBuffer, isBinary: boolean): Effects {
    const refusal = refuseUnparsed(message, isBinary);
    if (refusal !== undefined) return this.#close(refusal);
    this.#waiting ??= [];
    this.#waitingBytes += message.byteLength;
    if (this.#waiting.length >= limits.framesBeforeHelloMax || this.#waitingBytes > limits.bytesBeforeHelloMax) {
      return this.#close(closeWith("tooManyMessages"));
    }
    const frame = parseClientFrame(this.#arrival.decode(message));
    if (frame.kind === "bad") return this.#close(closeWith("badFrame", frame.reason));
    this.#waiting.push(frame);
    return noEffects;
  }

  #open(token: Accepted, registered: boolean, nowMs: number, wallMs: number): Effects {
    const device = this.#device ?? this.#arrival.makeDevice();
    const connection = new OpenConnection({ token, device, registered, decode: this.#arrival.decode, nowMs, wallMs });
    const effects: Effect[] = [{ kind: "open", connection, registered }, ...connection.deadline];
    for (const frame of this.#waiting ?? []) effects.push(...connection.onFrame(frame, nowMs));
    this.#leave();
    return effects;
  }

  #close(effects: Effects): Effects {
    this.#leave();
    return effects;
  }

  #leave(): void {
    this.#stage = gone;
    this.#waiting = undefined;
  }
}
