import { limits } from "@pushfleet/protocol";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { leafNotAfterMs } from "./leaf-lifetime.js";
import { type AuthorityFacts, type AuthorityState, type LeafFacts, planAuthority, planLeaf, renewAtMs, trustedBy } from "./rotation.js";

const dayMs = 86_400_000;
const settleMs = limits.certificateSettleMs;

const authority = (fingerprint: string, over: Partial<AuthorityFacts> = {}): AuthorityFacts => ({
  fingerprint,
  notBeforeMs: 0,
  notAfterMs: limits.authorityLifetimeMs,
  origin: "made",
  ...over,
});
const leaf = (issuer: string, trusts: readonly string[], over: Partial<LeafFacts> = {}): LeafFacts => ({
  issuer,
  trusts,
  notBeforeMs: 0,
  notAfterMs: 90 * dayMs,
  settledAtMs: 0,
  isRight: true,
  ...over,
});

describe("an authority's next step", () => {
  const a = authority("a");
  const b = authority("b");
  const old = renewAtMs(a);
  const brought = authority("x", { origin: "brought" });
  const both = ["a", "b"];
  test.each<[string, Partial<Parameters<typeof planAuthority>[0]>, object]>([
    ["the first one is made", { authority: undefined }, { kind: "start", subject: "made" }],
    ["the first one is the spec's", { authority: undefined, isBrought: true, brought }, { kind: "start", subject: "brought" }],
    ["the spec's cannot be read: nothing is begun", { authority: undefined, isBrought: true }, { kind: "keep" }],
    ["a young one stays", { authority: { current: a, settledAtMs: 0 } }, { kind: "keep" }],
    ["two thirds are over", { authority: { current: a, settledAtMs: 0 }, nowMs: old }, { kind: "stage", subject: "made" }],
    ["the spec brings one", { authority: { current: a, settledAtMs: 0 }, isBrought: true, brought }, { kind: "stage", subject: "brought" }],
    ["the spec's is in force", { authority: { current: brought, settledAtMs: 0 }, isBrought: true, brought, nowMs: old }, { kind: "keep" }],
    ["the spec names none any more", { authority: { current: brought, settledAtMs: 0 } }, { kind: "stage", subject: "made" }],
    [
      "a process does not trust the next one yet",
      { authority: { current: a, next: b, settledAtMs: 0 }, nowMs: old, leaves: [leaf("a", both), leaf("a", ["a"])] },
      { kind: "keep" },
    ],
    [
      "a process may not have read that it trusts the next one",
      { authority: { current: a, next: b, settledAtMs: 0 }, nowMs: old, leaves: [leaf("a", both, { settledAtMs: old + 1 })] },
      { kind: "keep" },
    ],
    [
      "an operator may not have read it",
      { authority: { current: a, next: b, settledAtMs: old + 1 }, nowMs: old, leaves: [leaf("a", both)] },
      { kind: "keep" },
    ],
    [
      "all trust the next one, and one is not there yet",
      { authority: { current: a, next: b, settledAtMs: 0 }, nowMs: old, leaves: [leaf("a", both), "new"] },
      { kind: "promote" },
    ],
    [
      "a Secret is gone, and its process may have read anything before",
      { authority: { current: a, next: b, settledAtMs: 0 }, nowMs: old, leaves: [leaf("a", both), "missing"] },
      { kind: "keep" },
    ],
    [
      "a process still shows a certificate of the former one",
      { authority: { current: b, former: a, settledAtMs: 0 }, nowMs: old, leaves: [leaf("b", both), leaf("a", both)] },
      { kind: "keep" },
    ],
    [
      "nobody does",
      { authority: { current: b, former: a, settledAtMs: 0 }, nowMs: old, leaves: [leaf("b", both)] },
      { kind: "dropFormer" },
    ],
    [
      "the staged one is not wanted any more",
      { authority: { current: brought, next: authority("y", { origin: "brought" }), settledAtMs: 0 }, isBrought: true, brought },
      { kind: "unstage" },
    ],
    [
      "over, with a next one",
      { authority: { current: a, next: { ...b, notAfterMs: 2 ** 50 }, settledAtMs: 0 }, nowMs: a.notAfterMs },
      { kind: "start", subject: "next" },
    ],
    ["over", { authority: { current: a, settledAtMs: 0 }, nowMs: a.notAfterMs }, { kind: "start", subject: "made" }],
  ])("%s", (_, facts, expected) => {
    expect(planAuthority({ authority: undefined, isBrought: false, leaves: [], nowMs: dayMs, ...facts })).toMatchObject(expected);
  });
});

describe("a certificate's next step", () => {
  const state: AuthorityState = { current: authority("a"), next: authority("b"), settledAtMs: 0 };
  test.each<[string, LeafFacts | "missing" | "new", number, string]>([
    ["not there", "missing", 0, "issue"],
    ["not there yet", "new", 0, "issue"],
    ["of a former authority", leaf("z", ["a", "b"]), 0, "issue"],
    ["edited by hand", leaf("a", ["a", "b"], { isRight: false }), 0, "issue"],
    ["trusts too few", leaf("a", ["a"]), 0, "retrust"],
    ["trusts too many", leaf("a", ["a", "b", "c"]), 0, "retrust"],
    ["young", leaf("a", ["a", "b"]), 59 * dayMs, "keep"],
    ["two thirds over", leaf("a", ["a", "b"]), 60 * dayMs, "issue"],
    [
      "ends with its authority",
      leaf("a", ["a", "b"], { notAfterMs: limits.authorityLifetimeMs }),
      limits.authorityLifetimeMs - dayMs,
      "keep",
    ],
  ])("%s", (_, facts, nowMs, expected) => {
    expect(planLeaf(facts, state, nowMs).kind).toBe(expected);
  });
});

/** A fleet of processes that read their Secrets late, an operator that is away for hours, and users who change their minds. */
class World {
  nowMs = 0;
  state: AuthorityState | undefined;
  brought: AuthorityFacts | undefined;
  #made = 0;
  readonly secrets = new Map<number, LeafFacts>();
  readonly #written: { readonly id: number; readonly atMs: number; readonly facts: LeafFacts }[] = [];
  /** What a process has read, and how much later than it is written. */
  readonly processes = new Map<number, { loaded: LeafFacts | undefined; readonly lagMs: number }>();
  readonly #lagMaxMs: number;

  constructor(lagMaxMs: number) {
    this.#lagMaxMs = lagMaxMs;
  }

  #newAuthority(origin: AuthorityFacts["origin"]): AuthorityFacts {
    this.#made += 1;
    const notAfterMs = this.nowMs + limits.authorityLifetimeMs;
    return { fingerprint: `${origin}-${this.#made}`, notBeforeMs: this.nowMs, notAfterMs, origin };
  }

  bring(): void {
    this.brought = this.#newAuthority("brought");
  }

  start(id: number): void {
    if (!this.processes.has(id)) this.processes.set(id, { loaded: undefined, lagMs: (this.#lagMaxMs * (id % 4)) / 3 });
  }

  advance(byMs: number): void {
    this.nowMs += byMs;
    for (const [id, process] of this.processes) {
      const readable = this.#written.filter((one) => one.id === id && one.atMs <= this.nowMs - process.lagMs);
      process.loaded = readable.at(-1)?.facts ?? process.loaded ?? this.secrets.get(id);
    }
  }

  operate(): void {
    const { nowMs } = this;
    const leaves = [...this.processes.keys()].map((id) => this.#leafOf(id));
    this.#take(planAuthority({ authority: this.state, brought: this.brought, isBrought: this.brought !== undefined, leaves, nowMs }));
    const { state } = this;
    if (state === undefined) return;
    for (const [id, process] of this.processes) {
      const before = this.#leafOf(id);
      const step = planLeaf(before, state, nowMs);
      if (step.kind === "keep") continue;
      const { current } = state;
      const kept = step.kind === "retrust" && typeof before === "object" ? before : undefined;
      const made = { issuer: current.fingerprint, notBeforeMs: nowMs, notAfterMs: leafNotAfterMs(current, nowMs) };
      const settledAtMs = before === "new" ? nowMs : nowMs + settleMs;
      const facts: LeafFacts = { ...(kept ?? made), trusts: trustedBy(state), settledAtMs, isRight: true };
      this.secrets.set(id, facts);
      this.#written.push({ id, atMs: nowMs, facts });
      process.loaded ??= facts;
    }
  }

  #leafOf(id: number): LeafFacts | "missing" | "new" {
    return this.secrets.get(id) ?? (this.processes.get(id)?.loaded === undefined ? "new" : "missing");
  }

  #take(step: ReturnType<typeof planAuthority>): void {
    const settledAtMs = this.nowMs + settleMs;
    const subject = (kind: "made" | "brought"): AuthorityFacts =>
      kind === "brought" && this.brought !== undefined ? this.brought : this.#newAuthority("made");
    const { state } = this;
    if (step.kind === "start") {
      const current = step.subject === "next" ? state?.next : subject(step.subject);
      if (current !== undefined) this.state = { current, settledAtMs };
    } else if (state !== undefined && step.kind === "stage") {
      this.state = { current: state.current, next: subject(step.subject), settledAtMs };
    } else if (state !== undefined && step.kind === "unstage") {
      this.state = { current: state.current, settledAtMs };
    } else if (state?.next !== undefined && step.kind === "promote") {
      this.state = { current: state.next, former: state.current, settledAtMs };
    } else if (state !== undefined && step.kind === "dropFormer") {
      this.state = { current: state.current, settledAtMs };
    }
  }

  /** Pairs of processes that would not talk: one shows what the other does not trust, or what is over. */
  strangers(): readonly string[] {
    const loaded = [...this.processes].flatMap(([id, { loaded }]) => (loaded === undefined ? [] : [{ id, ...loaded }]));
    const over = loaded.filter((one) => this.nowMs >= one.notAfterMs).map((one) => `${one.id} shows what is over`);
    const pairs = loaded.flatMap((one) =>
      loaded.filter((other) => !other.trusts.includes(one.issuer)).map((other) => `${other.id} does not trust ${one.id}`),
    );
    return [...over, ...pairs];
  }
}

describe("a whole rotation", () => {
  test("goes through all its steps, and no two processes ever do not trust each other", () => {
    const world = new World(settleMs);
    for (let id = 0; id < 5; id += 1) world.start(id);
    const seen: string[] = [];
    const stepMs = settleMs / 2;
    const until = 2 * limits.authorityLifetimeMs;
    while (world.nowMs < until) {
      world.operate();
      world.advance(0);
      expect(world.strangers()).toEqual([]);
      const said = `${world.state?.current.fingerprint} ${world.state?.next?.fingerprint ?? "-"} ${world.state?.former?.fingerprint ?? "-"}`;
      if (seen.at(-1) !== said) seen.push(said);
      const isMoving = world.state?.next !== undefined || world.state?.former !== undefined;
      world.advance(isMoving ? stepMs : dayMs);
      expect(world.strangers()).toEqual([]);
    }
    expect(seen.slice(0, 5)).toEqual(["made-1 - -", "made-1 made-2 -", "made-2 - made-1", "made-2 - -", "made-2 made-3 -"]);
  });

  test("a process that reads later than the plan allows for is what breaks it: the settling time matters", () => {
    const world = new World(3 * settleMs);
    for (let id = 0; id < 3; id += 1) world.start(id);
    world.operate();
    world.advance(settleMs);
    world.bring();
    let broken = false;
    for (let index = 0; index < 40 && !broken; index += 1) {
      world.operate();
      world.advance(0);
      broken = world.strangers().length > 0;
      world.advance(settleMs);
      broken ||= world.strangers().length > 0;
    }
    expect(broken).toBe(true);
  });

  test("holds while pods come, Secrets are deleted by hand, operators pause and users change their authority", () => {
    const event = fc.oneof(
      { weight: 6, arbitrary: fc.record({ kind: fc.constant("advance" as const), ms: fc.integer({ min: 1, max: 2 * settleMs }) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("advance" as const), ms: fc.integer({ min: dayMs, max: 20 * dayMs }) }) },
      { weight: 8, arbitrary: fc.record({ kind: fc.constant("operate" as const) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("start" as const), id: fc.integer({ min: 0, max: 20 }) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("delete" as const), id: fc.integer({ min: 0, max: 20 }) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("bring" as const) }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("unbring" as const) }) },
    );
    fc.assert(
      fc.property(fc.array(event, { minLength: 20, maxLength: 120 }), (events) => {
        const world = new World(settleMs);
        for (const one of events) {
          if (one.kind === "advance") {
            world.advance(one.ms);
            world.operate(); // an operator that is away for longer than a certificate lives loses the fleet: not what is tested here
          } else if (one.kind === "operate") world.operate();
          else if (one.kind === "start") world.start(one.id);
          else if (one.kind === "delete") world.secrets.delete(one.id);
          else if (one.kind === "bring") world.bring();
          else world.brought = undefined;
          world.advance(0);
          expect(world.strangers()).toEqual([]);
        }
      }),
      { numRuns: 300 },
    );
  });
});
