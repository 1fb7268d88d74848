import {
  closeCodes,
  closeReason,
  type DeviceId,
  errorBody,
  idExpected,
  limits,
  parseDeviceId,
  tryAgainReason,
  type UserId,
} from "@pushfleet/protocol";
import { parseResume, type Resume, type ResumeKeys } from "../core/resume.js";
import type { TokenVia } from "../core/token.js";
import type { HandshakeBucket } from "../core/token-bucket.js";
import type { Arrived } from "./connection.js";
import type { HandshakeResult } from "./metrics.js";

/** What an upgrade request says, as texts. `undefined`: absent. */
export interface Handshake {
  readonly token: string | undefined;
  readonly authorization: string;
  readonly device: string | undefined;
  readonly resume: string | undefined;
  readonly downMs: string | undefined;
  /** "" from anything but a browser. */
  readonly origin: string;
}

/** `arrive`: upgrade it. `close`: upgrade it and close at once, for browsers cannot read a failed upgrade. `http`: do not upgrade.
 *  `failsResumeOf`: whose valid resume was presented, so that this is a reconnect that failed. */
export type Admitted =
  | {
      readonly kind: "arrive";
      readonly device: DeviceId | undefined;
      readonly token: { readonly text: string; readonly via: TokenVia } | undefined;
      readonly arrived: Arrived | undefined;
    }
  | {
      readonly kind: "close";
      readonly result: HandshakeResult;
      readonly failsResumeOf: UserId | undefined;
      readonly code: number;
      readonly reason: string;
    }
  | {
      readonly kind: "http";
      readonly result: HandshakeResult;
      readonly failsResumeOf: UserId | undefined;
      readonly status: string;
      readonly body: string;
      readonly retryAfterSeconds: number | undefined;
    };

/** The gate's view of its gateway. */
export interface GateState {
  readonly bucket: HandshakeBucket;
  readonly resumeKeys: ResumeKeys;
  /** `undefined`: all. */
  readonly allowedOrigins: ReadonlySet<string> | undefined;
  readonly isCordoned: boolean;
  readonly isFleetDeleted: boolean;
  readonly isFull: boolean;
}

export interface Moment {
  readonly monotonicMs: number;
  readonly wallMs: number;
  /** Uniform in [0, 1). */
  readonly random: number;
}

/** Decides on an upgrade before any other cryptography than the resume's. */
export function admit(handshake: Handshake, gate: GateState, moment: Moment): Admitted {
  if (handshake.origin !== "" && gate.allowedOrigins?.has(handshake.origin) === false) return forbiddenOrigin;
  const resume = handshake.resume === undefined ? noResume : parseResume(handshake.resume, moment.wallMs, gate.resumeKeys);
  const resumes = resume.kind === "valid" ? resume.user : undefined;
  const admission = gate.bucket.admit(resumes !== undefined, moment.monotonicMs, moment.random);
  if (admission.kind === "refused") return busy(admission.retryAfterMs, resumes);
  // No failed reconnect: the balancer has not noticed the cordon yet. A rollout that counted these would pause itself.
  const cordonedMs = gate.isFleetDeleted ? limits.fleetDeletedRetryMs : limits.cordonedRetryMs;
  if (gate.isCordoned) return tryAgain(jittered(cordonedMs, moment.random), undefined);
  if (gate.isFull) return tryAgain(jittered(limits.fullRetryMs, moment.random), resumes);
  const device = handshake.device === undefined ? undefined : parseDeviceId(handshake.device);
  if (handshake.device !== undefined && device === undefined) return { ...badDevice, failsResumeOf: resumes };
  return { kind: "arrive", device, token: readToken(handshake), arrived: readArrived(resume, handshake.downMs) };
}

const noResume: Resume = { kind: "invalid" };

const forbiddenOrigin: Admitted = {
  kind: "http",
  result: "forbidden_origin",
  failsResumeOf: undefined,
  status: "403 Forbidden",
  body: errorBody({ code: "forbidden", message: "this origin is not among listen.allowedOrigins" }),
  retryAfterSeconds: undefined,
};

const badDevice = {
  kind: "close",
  result: "bad_frame",
  code: closeCodes.badFrame.code,
  reason: closeReason(`device: expected ${idExpected}`),
} as const;

function busy(retryAfterMs: number, failsResumeOf: UserId | undefined): Admitted {
  return {
    kind: "http",
    result: "busy",
    failsResumeOf,
    status: "503 Service Unavailable",
    body: errorBody({ code: "busy", message: "too many handshakes at the moment", retryAfterMs }),
    retryAfterSeconds: Math.max(1, Math.ceil(retryAfterMs / 1000)),
  };
}

function tryAgain(retryAfterMs: number, failsResumeOf: UserId | undefined): Admitted {
  return { kind: "close", result: "refused", failsResumeOf, code: closeCodes.tryAgainLater.code, reason: tryAgainReason(retryAfterMs) };
}

/** From half of `ms` to one and a half times it. */
export function jittered(ms: number, random: number): number {
  return Math.round(ms * (0.5 + random));
}

/** The header wins: it is not logged on the way. */
function readToken({ authorization, token }: Handshake): { readonly text: string; readonly via: TokenVia } | undefined {
  const bearer = /^bearer +(\S+) *$/i.exec(authorization)?.[1];
  if (bearer !== undefined) return { text: bearer, via: "header" };
  return token === undefined ? undefined : { text: token, via: "query" };
}

function readArrived(resume: Resume, downMsText: string | undefined): Arrived | undefined {
  const downMs = downMsText !== undefined && /^\d{1,9}$/.test(downMsText) ? Number(downMsText) : undefined;
  const resumed = resume.kind === "valid" ? resume : undefined;
  return resumed === undefined && downMs === undefined ? undefined : { resumed, downMs };
}
