import type { ConnectionId } from "@pushfleet/protocol";
import fc from "fast-check";
import { expect, test } from "vitest";
import { acquire, locate, ownOf, type RegistryUnderTest } from "./contract.test-suite.js";
import { newRegistration, newUser } from "./example-registrations.test-suite.js";
import type { Lease, Registration } from "./registry.js";

/** What happens to one device. `pick` chooses among the connections there have been, modulo their number: late and repeated ones included. */
type Step =
  | { readonly kind: "open"; readonly worker: number }
  | { readonly kind: "openAfterOutage"; readonly worker: number; readonly ageMs: number }
  | { readonly kind: "repeat"; readonly pick: number }
  | { readonly kind: "unregister"; readonly pick: number }
  /** The lease ends; the worker takes a new incarnation and re-registers, with their fences, the connections it still has. */
  | { readonly kind: "lapse"; readonly worker: number }
  /** The lease ends and so does the worker. */
  | { readonly kind: "die"; readonly worker: number };

const workers = 3;
const worker = fc.nat(workers - 1);
const pick = fc.nat(100);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("open" as const), worker }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("openAfterOutage" as const), worker, ageMs: fc.integer({ min: 1000, max: 20_000 }) }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("repeat" as const), pick }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("unregister" as const), pick }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("lapse" as const), worker }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("die" as const), worker }) },
);

/** A connection that was registered once: its fence is its age for good. */
interface Known {
  registration: Registration;
  readonly fence: number;
  isOpen: boolean;
}

/** The simple model: one slot, whoever is newer takes it, only its holder or its holder's death frees it. */
class Model {
  readonly leases: Lease[] = [];
  readonly known: Known[] = [];
  holder: Known | undefined;

  lives(known: Known | undefined): known is Known {
    return known !== undefined && this.leases.some((lease) => lease.incarnation === known.registration.incarnation);
  }
  mayTake(fence: number): boolean {
    return !this.lives(this.holder) || this.holder.fence < fence;
  }
  get located(): readonly ConnectionId[] {
    return this.lives(this.holder) ? [this.holder.registration.connection] : [];
  }
}

/** I2 in all interleavings of several workers and one device, against the model. */
export function describeHolderProperty(open: () => RegistryUnderTest, options: { readonly runs: number }): void {
  test("the newest live connection's entry is never removed or overwritten by an older one (I2)", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const run = new Run(open());
        await run.begin();
        for (const each of steps) await run.take(each);
      }),
      { numRuns: options.runs },
    );
  });
}

class Run {
  readonly #under: RegistryUnderTest;
  readonly #model = new Model();
  readonly #user = newUser();
  #highestFreshFence = 0;

  constructor(under: RegistryUnderTest) {
    this.#under = under;
  }

  async begin(): Promise<void> {
    for (let i = 0; i < workers; i++) this.#model.leases.push(await acquire(this.#under.registry));
  }

  async take(step: Step): Promise<void> {
    switch (step.kind) {
      case "open":
        await this.#openFresh(this.#lease(step.worker));
        break;
      case "openAfterOutage":
        await this.#openLate(this.#lease(step.worker), step.ageMs);
        break;
      case "repeat":
        await this.#reregister(this.#pick(step.pick));
        break;
      case "unregister":
        await this.#unregister(this.#pick(step.pick));
        break;
      case "lapse":
        await this.#loseLease(step.worker, true);
        break;
      case "die":
        await this.#loseLease(step.worker, false);
        break;
    }
    const located = await locate(this.#under.registry, this.#user);
    expect(located.map(({ entry }) => entry.connection)).toEqual(this.#model.located);
    for (const { entry } of located) expect(this.#model.leases.map((lease) => lease.incarnation)).toContain(entry.incarnation);
  }

  #lease(index: number): Lease {
    const lease = this.#model.leases[index];
    if (lease === undefined) throw new Error("no such worker");
    return lease;
  }

  #pick(index: number): Known | undefined {
    return this.#model.known[index % this.#model.known.length];
  }

  async #openFresh(lease: Lease): Promise<void> {
    const registration = newRegistration(this.#user, lease);
    const outcome = await this.#under.registry.register(registration);
    if (outcome.kind !== "registered") throw new Error(`a fresh connection was ${outcome.kind}`);
    expect(outcome.fence).toBeGreaterThan(this.#model.holder?.fence ?? 0);
    expect(outcome.fence).toBeGreaterThanOrEqual(this.#highestFreshFence);
    expect(outcome.replaced?.connection).toBe(this.#model.located[0]);
    this.#highestFreshFence = outcome.fence;
    this.#hold({ registration, fence: outcome.fence, isOpen: true });
  }

  async #openLate(lease: Lease, ageMs: number): Promise<void> {
    const { registry, nowMs } = this.#under;
    const registration = newRegistration(this.#user, lease, { ageMs });
    // The registry looks at its clock later than we at ours, on a loaded machine too.
    const slackUs = 1_000_000;
    const openedUs = (nowMs() - ageMs) * 1000;
    const outcome = await registry.register(registration);
    if (outcome.kind === "registered") {
      expect(Math.abs(outcome.fence - openedUs)).toBeLessThan(slackUs);
      expect(this.#model.mayTake(outcome.fence)).toBe(true);
      this.#hold({ registration, fence: outcome.fence, isOpen: true });
    } else {
      expect(outcome).toEqual({ kind: "superseded" });
      expect(this.#model.mayTake(openedUs - slackUs)).toBe(false);
    }
  }

  async #reregister(known: Known | undefined): Promise<void> {
    if (known === undefined || !known.isOpen) return;
    const { registration, fence } = known;
    const isRight = this.#model.holder === known;
    const mayTake = isRight || this.#model.mayTake(fence);
    const replaced = isRight ? undefined : this.#model.located[0];
    const outcome = await this.#under.registry.register({ ...registration, ageMs: 5000, fence });
    if (outcome.kind === "registered")
      expect([outcome.fence, outcome.replaced?.connection, outcome.restored]).toEqual([fence, replaced, !isRight]);
    expect(outcome.kind).toBe(mayTake ? "registered" : "superseded");
    if (mayTake) this.#model.holder = known;
    else known.isOpen = false;
  }

  async #unregister(known: Known | undefined): Promise<void> {
    if (known === undefined) return;
    await this.#under.registry.unregister(ownOf(known.registration, known.fence));
    known.isOpen = false;
    if (this.#model.holder === known) this.#model.holder = undefined;
  }

  async #loseLease(index: number, survives: boolean): Promise<void> {
    const old = this.#lease(index);
    await this.#under.lapse(old);
    const renewed = await acquire(this.#under.registry);
    this.#model.leases[index] = renewed;
    for (const known of this.#model.known.filter(({ registration }) => registration.incarnation === old.incarnation)) {
      if (!survives || !known.isOpen) {
        known.isOpen = false;
        continue;
      }
      // To the registry it is another connection now: its old entry is dead, and not its own.
      if (this.#model.holder === known) this.#model.holder = { ...known };
      known.registration = { ...known.registration, incarnation: renewed.incarnation };
      await this.#reregister(known);
    }
  }

  #hold(known: Known): void {
    this.#model.known.push(known);
    this.#model.holder = known;
  }
}
