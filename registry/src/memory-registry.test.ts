import { limits } from "@pushfleet/protocol";
import { ManualClock } from "@pushfleet/service";
import { describe, expect, test } from "vitest";
import { acquire, describeContract, locate } from "./contract.test-suite.js";
import { newLease, newRegistration, newUser } from "./example-registrations.test-suite.js";
import { describeHolderProperty } from "./holder-property.test-suite.js";
import { createMemoryRegistry } from "./memory-registry.js";

describe("the memory registry", () => {
  const clock = new ManualClock();
  const registry = createMemoryRegistry({ clock });
  const open = () => ({
    registry,
    nowMs: () => clock.nowMs(),
    lapse: (lease: { incarnation: Parameters<typeof registry.releaseLease>[0] }) => registry.releaseLease(lease.incarnation),
  });
  describeContract(open);
  describeHolderProperty(open, { runs: 300 });
});

describe("time in the memory registry", () => {
  const start = async () => {
    const clock = new ManualClock();
    const registry = createMemoryRegistry({ clock });
    await registry.start();
    return { clock, registry };
  };

  test("a lease lives 60 s from its last refresh, by the monotonic clock", async () => {
    const { clock, registry } = await start();
    const lease = await acquire(registry);
    const user = newUser();
    await registry.register(newRegistration(user, lease));
    clock.advance(50_000);
    clock.setWall(0);
    expect((await registry.refreshLease(lease.incarnation)).kind).toBe("refreshed");
    clock.advance(59_999);
    expect(await locate(registry, user)).toHaveLength(1);
    clock.advance(1);
    expect(await locate(registry, user)).toEqual([]);
    expect((await registry.refreshLease(lease.incarnation)).kind).toBe("lapsed");
  });

  test("a user whose entries nobody renewed for two hours is gone, one that was is not", async () => {
    const { clock, registry } = await start();
    const lease = await acquire(registry);
    const registrations = [newRegistration(newUser(), lease), newRegistration(newUser(), lease)] as const;
    for (const registration of registrations) await registry.register(registration);
    for (let passedMs = 0; passedMs < limits.registryHashSeconds * 1000; passedMs += 30_000) {
      clock.advance(30_000);
      await registry.refreshLease(lease.incarnation);
      if (passedMs === 3_600_000) await registry.register(registrations[0]);
    }
    expect(await locate(registry, registrations[0].user)).toHaveLength(1);
    expect(await locate(registry, registrations[1].user)).toEqual([]);
  });

  test("a revocation ends when it expires", async () => {
    const { clock, registry } = await start();
    const lease = newLease();
    const registration = newRegistration(newUser(), lease, { tokenId: "t1" });
    await registry.revoke({ user: registration.user, what: { kind: "token", tokenId: "t1" }, expiresAtMs: clock.nowMs() + 1000 });
    clock.advance(999);
    expect((await registry.register(registration)).kind).toBe("revoked");
    clock.advance(1);
    expect((await registry.register(registration)).kind).toBe("registered");
  });
});
