import {
  connectionIdFromNumber,
  type DeviceId,
  type Incarnation,
  incarnationFromBytes,
  parseCursor,
  parseDeviceId,
  parseUserId,
  type UserId,
} from "@pushfleet/protocol";
import type { Lease, Registered, Registration } from "./registry.js";

let lastNumber = 0;
const nextNumber = (): number => ++lastNumber;

/** Ids that no other test has. */
export const newUser = (): UserId => required(parseUserId(`usr_${nextNumber()}`));
export const device = (name: string): DeviceId => required(parseDeviceId(name));
export const cursor = (text: string) => required(parseCursor(text));
export const newIncarnation = (): Incarnation => incarnationFromBytes(crypto.getRandomValues(new Uint8Array(10)));

export function newLease(changes: Partial<Lease> = {}): Lease {
  const number = nextNumber();
  return {
    incarnation: newIncarnation(),
    gateway: `gw-${number}`,
    address: `127.0.0.1:${10_000 + number}`,
    zone: "zone-a",
    startedAtMs: 1_700_000_000_000 + number,
    ...changes,
  };
}

/** A connection that was opened just now. */
export function newRegistration(user: UserId, lease: Lease, changes: Partial<Registration> = {}): Registration {
  return {
    user,
    device: device("phone"),
    incarnation: lease.incarnation,
    connection: connectionIdFromNumber(nextNumber()),
    ageMs: 0,
    fence: undefined,
    tokenId: undefined,
    tokenIssuedAtMs: undefined,
    ...changes,
  };
}

export type RegisteredFact = Extract<Registered, { readonly kind: "registered" }>;

/** The outcome as "registered", or a throw that shows what it was. */
export function assumeRegistered(outcome: Registered): RegisteredFact {
  if (outcome.kind === "registered") return outcome;
  throw new Error(`expected registered, was ${outcome.kind}`, { cause: outcome.kind === "unavailable" ? outcome.cause : undefined });
}

function required<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("a test's id is not right");
  return value;
}
