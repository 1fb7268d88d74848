import type { DeviceId, UserId } from "@pushfleet/protocol";
import type { DecodeText, Effects, RegistrationOutcome } from "./connection.js";
import type { TokenVia, Verdict } from "./token.js";

/** A connection before its hello: without a token, being authenticated, or being registered. It holds what only that time needs, and
 *  goes with it; nothing it was sent reaches a router before `open`. All `nowMs` are monotonic. */
export declare class ArrivingConnection {
  /** `device` as named in the handshake; `auth.device` may name it later. `makeDevice` gives a random id when neither does. */
  constructor(options: { readonly device: DeviceId | undefined; readonly makeDevice: () => DeviceId; readonly decode: DecodeText });
  /** Known once the token was accepted. */
  get user(): UserId | undefined;
  get device(): DeviceId | undefined;
  /** For the registration. */
  get tokenId(): string | undefined;
  get tokenIssuedAtMs(): number | undefined;
  /** The socket is open. */
  start(nowMs: number, token: { readonly text: string; readonly via: TokenVia } | undefined): Effects;
  onMessage(message: ArrayBuffer, isBinary: boolean, nowMs: number): Effects;
  /** `wallMs` is the clock that `exp` is on. */
  onVerdict(verdict: Verdict, nowMs: number, wallMs: number): Effects;
  /** The first answer opens the connection, `unavailable` too (`registered: false`; the shell goes on trying). */
  onRegistered(outcome: RegistrationOutcome, nowMs: number, wallMs: number): Effects;
  onDeadline(nowMs: number, wallMs: number): Effects;
}
