import type { Cursor, DeviceId, UserId } from "@pushfleet/protocol";
import type { Effects, RegistrationOutcome, SyncOutcome } from "./connection.js";
import type { Verdict } from "./token.js";

/** A connection from its hello on. One object of a few words for each of very many connections. All `nowMs` are monotonic. */
export declare class OpenConnection {
  private constructor();
  readonly user: UserId;
  readonly device: DeviceId;
  /** Of the latest token: for registrations, which check revocations. */
  get tokenId(): string | undefined;
  get tokenIssuedAtMs(): number | undefined;
  /** False while the registry has not confirmed it: deliveries go astray, a `gap` follows. */
  get registered(): boolean;
  onMessage(message: ArrayBuffer, isBinary: boolean, nowMs: number): Effects;
  /** The verdict on a refreshed token. */
  onVerdict(verdict: Verdict, nowMs: number, wallMs: number): Effects;
  /** Each registration after hello: late, repeated, restored. `lastRight` is where `gap` starts when the entry had to be restored. */
  onRegistered(outcome: RegistrationOutcome, lastRight: Cursor): Effects;
  /** `outboxEmpty`: the socket takes frames directly. */
  onSynced(outcome: SyncOutcome, outboxEmpty: boolean): Effects;
  /** The outbox has become empty: the next page, if there is one. */
  onOutboxEmpty(): Effects;
  onDeadline(nowMs: number): Effects;
}
