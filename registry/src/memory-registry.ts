import { assertNever, type Cursor, type DeviceId, type Incarnation, limits, type UserId } from "@pushfleet/protocol";
import type { Cancel, Clock } from "@pushfleet/service";
import { isSameConnection } from "./entry.js";
import { MemoryRevocations } from "./memory-revocations.js";
import { ruleRegistration } from "./registration-rule.js";
import type {
  Entry,
  Lease,
  Located,
  LookedUp,
  Refreshed,
  Registered,
  Registration,
  Registry,
  Revocation,
  Unregistration,
} from "./registry.js";

/** The registry of one process: local mode and tests. It has the semantics of the Redis one, is never `unavailable` and never reconnects.
 *  Leases expire by the monotonic clock, fences and revocations follow the wall clock. */
export function createMemoryRegistry(options: { readonly clock: Clock }): Registry {
  return new MemoryRegistry(options.clock);
}

interface HeldLease {
  readonly lease: Lease;
  expiresAtMs: number;
  resyncAfter: Cursor | undefined;
}

interface DeviceEntry {
  readonly device: DeviceId;
  entry: Entry;
}

/** An array, for nearly every user has one device: a `Map` in each would be most of the memory. */
interface UserEntries {
  expiresAtMs: number;
  readonly devices: DeviceEntry[];
}

class MemoryRegistry implements Registry {
  readonly #clock: Clock;
  readonly #leases = new Map<Incarnation, HeldLease>();
  readonly #users = new Map<UserId, UserEntries>();
  readonly #revocations = new MemoryRevocations();
  #stopSweeping: Cancel | undefined;
  #lastUs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async start(): Promise<void> {
    this.#stopSweeping ??= this.#clock.every(limits.registrySweepMs, () => this.#sweep());
  }

  async stop(): Promise<void> {
    this.#stopSweeping?.();
    this.#stopSweeping = undefined;
  }

  async acquireLease(lease: Lease): Promise<Refreshed> {
    const held = this.#heldLease(lease.incarnation);
    if (held !== undefined && !isSameLease(held.lease, lease)) {
      return { kind: "unavailable", cause: new Error(`incarnation ${lease.incarnation} is taken by ${held.lease.gateway}`) };
    }
    this.#leases.set(lease.incarnation, { lease, expiresAtMs: this.#leaseEndMs(), resyncAfter: held?.resyncAfter });
    return { kind: "refreshed", resyncAfter: undefined };
  }

  async refreshLease(incarnation: Incarnation): Promise<Refreshed> {
    const held = this.#heldLease(incarnation);
    if (held === undefined) return { kind: "lapsed" };
    const { resyncAfter } = held;
    held.expiresAtMs = this.#leaseEndMs();
    held.resyncAfter = undefined;
    return { kind: "refreshed", resyncAfter };
  }

  async releaseLease(incarnation: Incarnation): Promise<void> {
    this.#leases.delete(incarnation);
  }

  async register(registration: Registration): Promise<Registered> {
    if (this.#revocations.isRevoked(registration, this.#clock.nowMs())) return { kind: "revoked" };
    const of = this.#entriesOf(registration.user) ?? { expiresAtMs: 0, devices: [] };
    const at = of.devices.find((each) => each.device === registration.device);
    const stored = at === undefined ? undefined : { entry: at.entry, lives: this.#heldLease(at.entry.incarnation) !== undefined };
    const ruling = ruleRegistration(stored, registration, this.#nextUs());
    if (ruling.kind === "superseded") return { kind: "superseded" };
    if (at === undefined && !this.#makeRoom(of)) return { kind: "superseded" };

    const { incarnation, connection } = registration;
    const entry: Entry = { incarnation, connection, fence: ruling.fence };
    if (at === undefined) of.devices.push({ device: registration.device, entry });
    else at.entry = entry;
    of.expiresAtMs = this.#clock.monotonicMs() + limits.registryHashSeconds * 1000;
    this.#users.set(registration.user, of);

    switch (ruling.kind) {
      case "own":
        return { kind: "registered", fence: ruling.fence, replaced: undefined, restored: false };
      case "write":
        return { kind: "registered", fence: ruling.fence, replaced: this.#located(stored?.entry), restored: ruling.restored };
      default:
        return assertNever(ruling);
    }
  }

  async unregister(unregistration: Unregistration): Promise<void> {
    const of = this.#users.get(unregistration.user);
    const index = of?.devices.findIndex((each) => each.device === unregistration.device) ?? -1;
    const at = of?.devices[index];
    if (of === undefined || at === undefined || !isSameConnection(at.entry, unregistration)) return;
    of.devices.splice(index, 1);
    if (of.devices.length === 0) this.#users.delete(unregistration.user);
  }

  async lookUp(users: readonly UserId[]): Promise<readonly LookedUp[]> {
    return users.map((user) => ({ kind: "located", devices: this.#locate(user) }));
  }

  async requestResync(incarnation: Incarnation, after: Cursor): Promise<"requested" | "no_lease" | "unavailable"> {
    const held = this.#heldLease(incarnation);
    if (held === undefined) return "no_lease";
    if (held.resyncAfter === undefined || after < held.resyncAfter) held.resyncAfter = after;
    return "requested";
  }

  async readLease(incarnation: Incarnation): Promise<{ readonly kind: "lease"; readonly lease: Lease | undefined }> {
    return { kind: "lease", lease: this.#heldLease(incarnation)?.lease };
  }

  async revoke(revocation: Revocation): Promise<"revoked"> {
    this.#revocations.add(revocation, this.#clock.nowMs());
    return "revoked";
  }

  onReconnected(): () => void {
    return () => {};
  }

  /** The wall clock in µs. The clock counts in milliseconds, and no two registrations may have the same time: an unregistration between them
   *  takes the stored fence away, and a third connection could then pass for the newer one. */
  #nextUs(): number {
    this.#lastUs = Math.max(this.#clock.nowMs() * 1000, this.#lastUs + 1);
    return this.#lastUs;
  }

  #leaseEndMs(): number {
    return this.#clock.monotonicMs() + limits.leaseSeconds * 1000;
  }

  /** The lease, if it lives. */
  #heldLease(incarnation: Incarnation): HeldLease | undefined {
    const held = this.#leases.get(incarnation);
    return held !== undefined && held.expiresAtMs > this.#clock.monotonicMs() ? held : undefined;
  }

  #entriesOf(user: UserId): UserEntries | undefined {
    const of = this.#users.get(user);
    return of !== undefined && of.expiresAtMs > this.#clock.monotonicMs() ? of : undefined;
  }

  #located(entry: Entry | undefined): (Entry & { readonly lease: Lease }) | undefined {
    const lease = entry === undefined ? undefined : this.#heldLease(entry.incarnation)?.lease;
    return entry === undefined || lease === undefined ? undefined : { ...entry, lease };
  }

  #locate(user: UserId): readonly Located[] {
    const located: Located[] = [];
    for (const { device, entry } of this.#entriesOf(user)?.devices ?? []) {
      const held = this.#heldLease(entry.incarnation);
      if (held !== undefined) located.push({ device, entry, lease: held.lease });
    }
    return located;
  }

  /** Whether one more device fits, once the dead ones are gone (`limits.devicesPerUserMax`). */
  #makeRoom(of: UserEntries): boolean {
    if (of.devices.length >= limits.devicesPerUserMax) this.#dropDead(of);
    return of.devices.length < limits.devicesPerUserMax;
  }

  #dropDead(of: UserEntries): void {
    const live = of.devices.filter((each) => this.#heldLease(each.entry.incarnation) !== undefined);
    if (live.length < of.devices.length) of.devices.splice(0, of.devices.length, ...live);
  }

  #sweep(): void {
    for (const incarnation of this.#leases.keys()) {
      if (this.#heldLease(incarnation) === undefined) this.#leases.delete(incarnation);
    }
    for (const user of this.#users.keys()) {
      const of = this.#entriesOf(user);
      if (of !== undefined) this.#dropDead(of);
      if (of === undefined || of.devices.length === 0) this.#users.delete(user);
    }
    this.#revocations.sweep(this.#clock.nowMs());
  }
}

function isSameLease(a: Lease, b: Lease): boolean {
  return a.gateway === b.gateway && a.address === b.address && a.zone === b.zone && a.startedAtMs === b.startedAtMs;
}
