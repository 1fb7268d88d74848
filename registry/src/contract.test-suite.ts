import { type DeviceId, limits, type UserId } from "@pushfleet/protocol";
import { beforeEach, describe, expect, test } from "vitest";
import {
  assumeRegistered,
  cursor,
  device,
  newIncarnation,
  newLease,
  newRegistration,
  newUser,
} from "./example-registrations.test-suite.js";
import type { Lease, Located, Registration, Registry, Revocation, Unregistration } from "./registry.js";

/** A registry to hold against the contract. */
export interface RegistryUnderTest {
  readonly registry: Registry;
  /** Its wall clock. */
  nowMs(): number;
  /** Ends a lease as if nobody had refreshed it in time, for every reader. */
  lapse(lease: Lease): Promise<void>;
}

/** Which devices of `user` a router would deliver to. */
export async function locate(registry: Registry, user: UserId): Promise<readonly Located[]> {
  const [result] = await registry.lookUp([user]);
  if (result?.kind !== "located") throw new Error("expected located", { cause: result?.cause });
  return result.devices;
}

export async function acquire(registry: Registry, lease = newLease()): Promise<Lease> {
  expect(await registry.acquireLease(lease)).toEqual({ kind: "refreshed", resyncAfter: undefined });
  return lease;
}

export const ownOf = (registration: Registration, fence: number): Unregistration => ({ ...registration, fence });

/** What every registry promises (DESIGN §4, invariants I2 and I6). `open` gives the one of this run; users and incarnations are always new. */
export function describeContract(open: () => RegistryUnderTest): void {
  let registry: Registry;
  let user: UserId;
  let east: Lease;
  let west: Lease;
  beforeEach(async () => {
    registry = open().registry;
    user = newUser();
    east = await acquire(registry);
    west = await acquire(registry);
  });
  const register = async (registration: Registration) => assumeRegistered(await registry.register(registration));
  const holders = async () => (await locate(registry, user)).map(({ entry }) => entry.connection);

  describe("leases", () => {
    test("a lease is read as it was acquired", async () => {
      expect(await registry.readLease(east.incarnation)).toEqual({ kind: "lease", lease: east });
      expect(await registry.readLease(newIncarnation())).toEqual({ kind: "lease", lease: undefined });
    });

    test("acquiring again after a lost answer succeeds", async () => {
      await acquire(registry, east);
    });

    test("an incarnation that another worker has cannot be acquired", async () => {
      expect((await registry.acquireLease({ ...east, gateway: "other" })).kind).toBe("unavailable");
      expect(await registry.readLease(east.incarnation)).toEqual({ kind: "lease", lease: east });
    });

    test("a lapsed lease is never revived by a refresh", async () => {
      await open().lapse(east);
      expect(await registry.refreshLease(east.incarnation)).toEqual({ kind: "lapsed" });
      expect(await registry.refreshLease(east.incarnation)).toEqual({ kind: "lapsed" });
      expect(await registry.readLease(east.incarnation)).toEqual({ kind: "lease", lease: undefined });
    });

    test("releasing a lease ends all entries of its worker at once", async () => {
      await register(newRegistration(user, east));
      await register(newRegistration(user, west, { device: device("tablet") }));
      await registry.releaseLease(east.incarnation);
      expect((await locate(registry, user)).map((located) => located.device)).toEqual(["tablet"]);
      expect(await registry.refreshLease(east.incarnation)).toEqual({ kind: "lapsed" });
    });
  });

  describe("looking up", () => {
    test("a registered connection is located with its worker's lease", async () => {
      const registration = newRegistration(user, east);
      const { fence } = await register(registration);
      const { incarnation, connection } = registration;
      expect(await locate(registry, user)).toEqual([{ device: "phone", entry: { incarnation, connection, fence }, lease: east }]);
    });

    test("results come in the order asked, one for each user, users without devices and repeated ones included", async () => {
      const other = newUser();
      await register(newRegistration(user, east));
      await register(newRegistration(other, west));
      const results = await registry.lookUp([other, newUser(), user, other]);
      const workers = results.map((result) => result.kind === "located" && result.devices.map(({ lease }) => lease));
      expect(workers).toEqual([[west], [], [east], [west]]);
      expect(await registry.lookUp([])).toEqual([]);
    });

    test("all devices of a user are located, whatever they are called", async () => {
      const names = ["__proto__", "constructor", "toString", "1", "0", "a:b@c.d_e-f", "x".repeat(limits.idBytesMax)];
      for (const name of names) await register(newRegistration(user, east, { device: device(name) }));
      expect((await locate(registry, user)).map((located) => located.device).sort()).toEqual([...names].sort());
    });

    test("an entry whose lease has lapsed is not located, a later registration of the same device is", async () => {
      await register(newRegistration(user, east));
      await open().lapse(east);
      expect(await locate(registry, user)).toEqual([]);
      const registration = newRegistration(user, west);
      expect((await register(registration)).replaced).toBeUndefined();
      expect(await holders()).toEqual([registration.connection]);
    });
  });

  describe("who holds a device (I2)", () => {
    test("a newer connection replaces the live one and is told whom", async () => {
      const old = newRegistration(user, east);
      const { fence } = await register(old);
      const young = newRegistration(user, west);
      const outcome = await register(young);
      expect(outcome.replaced).toEqual({ incarnation: east.incarnation, connection: old.connection, fence, lease: east });
      expect(outcome.restored).toBe(false);
      expect(outcome.fence).toBeGreaterThan(fence);
      expect(await holders()).toEqual([young.connection]);
    });

    test("a newer connection to the same worker replaces the older one too", async () => {
      const old = newRegistration(user, east);
      await register(old);
      expect((await register(newRegistration(user, east))).replaced?.connection).toBe(old.connection);
    });

    test("registering again after a lost answer gives the same fence and replaces nobody", async () => {
      await register(newRegistration(user, west));
      const registration = newRegistration(user, east);
      const first = await register(registration);
      const again = { kind: "registered", fence: first.fence, replaced: undefined, restored: false };
      expect(await registry.register({ ...registration, ageMs: 500 })).toEqual(again);
      expect(await registry.register({ ...registration, ageMs: 60_000 })).toEqual(again);
      expect(await registry.register({ ...registration, ageMs: 60_000, fence: first.fence })).toEqual(again);
    });

    test("a late unregistration leaves the newer entry, its own is removed, twice is harmless", async () => {
      const old = newRegistration(user, east);
      const { fence } = await register(old);
      const young = newRegistration(user, west);
      const youngFence = (await register(young)).fence;
      await registry.unregister(ownOf(old, fence));
      expect(await holders()).toEqual([young.connection]);
      await registry.unregister(ownOf(young, youngFence));
      await registry.unregister(ownOf(young, youngFence));
      expect(await holders()).toEqual([]);
    });

    test("a connection that never learnt its fence can unregister", async () => {
      const registration = newRegistration(user, east);
      await register(registration);
      await registry.unregister(ownOf(registration, 0));
      expect(await holders()).toEqual([]);
    });

    test("unregistering one device leaves the others", async () => {
      const phone = newRegistration(user, east);
      const { fence } = await register(phone);
      const tablet = newRegistration(user, east, { device: device("tablet") });
      await register(tablet);
      await registry.unregister(ownOf(phone, fence));
      expect(await holders()).toEqual([tablet.connection]);
    });

    test("a late re-registration is superseded by the newer connection, also on the same worker", async () => {
      for (const lease of [west, east]) {
        const old = newRegistration(user, east);
        const { fence } = await register(old);
        const young = newRegistration(user, lease);
        await register(young);
        expect(await registry.register({ ...old, ageMs: 5000, fence })).toEqual({ kind: "superseded" });
        expect(await holders()).toEqual([young.connection]);
      }
    });

    test("a re-registration takes the entry of a newer connection whose worker died", async () => {
      const old = newRegistration(user, east);
      const { fence } = await register(old);
      await register(newRegistration(user, west));
      await open().lapse(west);
      const outcome = await registry.register({ ...old, ageMs: 5000, fence });
      expect(outcome).toEqual({ kind: "registered", fence, replaced: undefined, restored: true });
      expect(await holders()).toEqual([old.connection]);
    });

    test("a connection of a lapsed worker gets its entry back under the new incarnation, with its old fence", async () => {
      const old = newRegistration(user, east);
      const { fence } = await register(old);
      await open().lapse(east);
      const renewed = await acquire(registry, newLease({ gateway: east.gateway }));
      const outcome = await registry.register({ ...old, incarnation: renewed.incarnation, ageMs: 5000, fence });
      // Nothing was wrong but the incarnation; the fence must go above its own dead entry's all the same.
      expect(outcome).toEqual({ kind: "registered", fence, replaced: undefined, restored: true });
    });

    test("after an outage the connection that was opened last holds the entry, in whichever order they register", async () => {
      const old = newRegistration(user, east, { ageMs: 9000 });
      const young = newRegistration(user, west, { ageMs: 3000 });
      await register(old);
      expect((await register(young)).replaced?.connection).toBe(old.connection);

      const otherUser = newUser();
      await register({ ...young, user: otherUser });
      expect(await registry.register({ ...old, user: otherUser })).toEqual({ kind: "superseded" });
    });

    test("a connection that waited does not replace one that registered since it was opened", async () => {
      const holder = newRegistration(user, west);
      await register(holder);
      expect(await registry.register(newRegistration(user, east, { ageMs: limits.freshConnectionMs }))).toEqual({ kind: "superseded" });
      expect(await holders()).toEqual([holder.connection]);
    });

    test("a connection just under a second old replaces whatever is stored", async () => {
      const holder = newRegistration(user, west);
      await register(holder);
      const outcome = await register(newRegistration(user, east, { ageMs: limits.freshConnectionMs * 0.9 }));
      expect(outcome.replaced?.connection).toBe(holder.connection);
    });

    test("a fresh fence goes above a stored one that lies in the future", async () => {
      const future = (open().nowMs() + 3_600_000) * 1000;
      await register({ ...newRegistration(user, east), fence: future });
      expect((await register(newRegistration(user, west))).fence).toBe(future + 1);
    });

    test("fences are µs since the epoch", async () => {
      const before = open().nowMs() - 1000;
      const { fence } = await register(newRegistration(user, east));
      expect(Number.isSafeInteger(fence)).toBe(true);
      expect(fence / 1000).toBeGreaterThan(before);
      expect(fence / 1000).toBeLessThan(open().nowMs() + 1000);
    });

    test("restored says whether the entry was found wrong", async () => {
      const registration = newRegistration(user, east);
      const { fence } = await register(registration);
      const again = { ...registration, ageMs: 5000, fence };
      expect((await register(again)).restored).toBe(false);
      await registry.unregister(ownOf(registration, fence));
      expect((await register(again)).restored).toBe(true);
      expect((await register(again)).restored).toBe(false);
      expect((await register({ ...again, device: device("other"), fence: undefined })).restored).toBe(false);
    });
  });

  describe("resync", () => {
    const early = cursor("c1_1700000000000_000001");
    const late = cursor("c1_1700000000000_000002");

    test("the earliest request wins, and is read once", async () => {
      for (const after of [late, early, late]) expect(await registry.requestResync(east.incarnation, after)).toBe("requested");
      expect(await registry.refreshLease(east.incarnation)).toEqual({ kind: "refreshed", resyncAfter: early });
      expect(await registry.refreshLease(east.incarnation)).toEqual({ kind: "refreshed", resyncAfter: undefined });
      expect(await registry.refreshLease(west.incarnation)).toEqual({ kind: "refreshed", resyncAfter: undefined });
    });

    test("a request after the read is read by the next refresh, though it is the same", async () => {
      for (let i = 0; i < 3; i++) {
        await registry.requestResync(east.incarnation, early);
        expect(await registry.refreshLease(east.incarnation)).toEqual({ kind: "refreshed", resyncAfter: early });
      }
    });

    test("a worker without a lease cannot be asked", async () => {
      await open().lapse(east);
      expect(await registry.requestResync(east.incarnation, early)).toBe("no_lease");
    });
  });

  describe("revocations", () => {
    const revoke = async (what: Revocation["what"], inMs = 60_000) =>
      expect(await registry.revoke({ user, what, expiresAtMs: open().nowMs() + inMs })).toBe("revoked");
    const kindFor = async (changes: Partial<Registration>) => (await registry.register(newRegistration(user, east, changes))).kind;

    test("a revoked token cannot register or re-register, another can", async () => {
      const longId = "j".repeat(500);
      for (const tokenId of ["t1", longId]) {
        await revoke({ kind: "token", tokenId });
        expect(await kindFor({ tokenId })).toBe("revoked");
        expect(await kindFor({ tokenId, fence: 1, ageMs: 5000 })).toBe("revoked");
        expect(await kindFor({ tokenId: `${tokenId}x` })).toBe("registered");
      }
      expect(await kindFor({})).toBe("registered");
    });

    test("tokens of a device or user issued before a moment are revoked, and those that do not say when", async () => {
      const nowMs = open().nowMs();
      const phone = device("phone");
      await revoke({ kind: "device", device: phone, notBeforeMs: nowMs });
      expect(await kindFor({ tokenIssuedAtMs: nowMs - 1 })).toBe("revoked");
      expect(await kindFor({ tokenIssuedAtMs: undefined })).toBe("revoked");
      expect(await kindFor({ tokenIssuedAtMs: nowMs })).toBe("registered");
      expect(await kindFor({ device: device("tablet"), tokenIssuedAtMs: nowMs - 1 })).toBe("registered");
      await revoke({ kind: "user", notBeforeMs: nowMs });
      expect(await kindFor({ device: device("tablet"), tokenIssuedAtMs: nowMs - 1 })).toBe("revoked");
      expect((await registry.register(newRegistration(newUser(), east, { tokenIssuedAtMs: 1 }))).kind).toBe("registered");
    });

    test("an earlier moment or expiry does not weaken a revocation", async () => {
      const nowMs = open().nowMs();
      await revoke({ kind: "user", notBeforeMs: nowMs });
      await revoke({ kind: "user", notBeforeMs: nowMs - 10_000 }, 1000);
      await revoke({ kind: "token", tokenId: "t1" }, -1);
      expect(await kindFor({ tokenIssuedAtMs: nowMs - 1 })).toBe("revoked");
      expect(await kindFor({ tokenId: "t1", tokenIssuedAtMs: nowMs })).toBe("registered");
    });

    test("a token's id cannot be taken for a device or the user (I7)", async () => {
      await revoke({ kind: "token", tokenId: "phone" });
      await revoke({ kind: "token", tokenId: "user" });
      expect(await kindFor({ device: device("phone"), tokenIssuedAtMs: 1 })).toBe("registered");
    });

    test("more single revocations than the bound become one of everything issued until then (I6)", async () => {
      for (let i = 0; i <= limits.revocationsPerUserMax; i++) await revoke({ kind: "token", tokenId: `t${i}` });
      const nowMs = open().nowMs();
      expect(await kindFor({ tokenId: "t0", tokenIssuedAtMs: nowMs - 10_000 })).toBe("revoked");
      expect(await kindFor({ tokenId: "never revoked", tokenIssuedAtMs: nowMs - 10_000 })).toBe("revoked");
      expect(await kindFor({ tokenId: "later", tokenIssuedAtMs: nowMs + 1000 })).toBe("registered");
    });
  });

  test("a user has at most devicesPerUserMax devices: dead ones make room, live ones keep theirs (I6)", async () => {
    const nth = (i: number): DeviceId => device(`d${i}`);
    const fill = (lease: Lease, from: number, to: number) =>
      Promise.all(Array.from({ length: to - from }, (_, i) => register(newRegistration(user, lease, { device: nth(from + i) }))));
    await fill(east, 0, 1);
    await fill(west, 1, limits.devicesPerUserMax);
    expect(await registry.register(newRegistration(user, west, { device: nth(-1) }))).toEqual({ kind: "superseded" });
    expect((await registry.register(newRegistration(user, west, { device: nth(5) }))).kind).toBe("registered");
    await open().lapse(east);
    expect((await registry.register(newRegistration(user, west, { device: nth(-1) }))).kind).toBe("registered");
    expect(await holders()).toHaveLength(limits.devicesPerUserMax);
  });
}
