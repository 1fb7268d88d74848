import { limits } from "@pushfleet/protocol";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  abortDrain,
  applyGrant,
  type DrainGrant,
  type DrainState,
  isCordoned,
  movesMade,
  servingDrain,
  startOwnDrain,
  stepDrain,
} from "./drain-schedule.js";

const grant: DrainGrant = { perSecond: 100, deadlineMs: 1_500_000, epoch: 3, stragglerGraceMs: 30_000 };
const busy = { open: 1000, unasked: 1000, stragglers: 0, lastHandshakeMs: undefined };
const granted = (state: DrainState, changes: Partial<DrainGrant>, nowMs: number) =>
  applyGrant(state, { ...grant, ...changes }, nowMs).state;

/** Steps every 100 ms from `fromMs` to `toMs`, renewing every 10 s; every client asked leaves after `moveMs`. */
function run(
  start: DrainState,
  fromMs: number,
  toMs: number,
  connections: number,
  options: { readonly renew?: boolean; readonly moveMs?: number; readonly graceMs?: number } = {},
) {
  let state = start;
  const asked: number[] = [];
  let unasked = connections;
  let closed = 0;
  let firstMs: number | undefined;
  let endMs: number | undefined;
  let closeRest = false;
  for (let nowMs = fromMs; nowMs <= toMs && endMs === undefined && !closeRest; nowMs += 100) {
    if (options.renew === true && nowMs % 10_000 === 0 && state.grant !== undefined) state = applyGrant(state, state.grant, nowMs).state;
    while (asked.length > 0 && (asked[0] ?? 0) + (options.moveMs ?? Number.POSITIVE_INFINITY) <= nowMs) asked.shift();
    const stragglers = asked.filter((atMs) => nowMs - atMs >= (options.graceMs ?? 30_000)).length;
    const step = stepDrain(state, nowMs, { open: unasked + asked.length, unasked, stragglers, lastHandshakeMs: undefined });
    state = step.state;
    if (step.reconnects + step.closes > 0) firstMs ??= nowMs;
    unasked -= step.reconnects;
    asked.splice(0, step.closes);
    closed += step.closes;
    for (let i = 0; i < step.reconnects; i++) asked.push(nowMs);
    if (state.phase === "drained") endMs = nowMs;
    closeRest = step.closeRest;
  }
  return { state, firstMs, endMs, unasked, left: unasked + asked.length, closed, closeRest };
}

describe("a grant", () => {
  test("cordons at once and moves nothing while its rate is 0", () => {
    const state = granted(servingDrain, { perSecond: 0 }, 0);
    expect(isCordoned(servingDrain)).toBe(false);
    expect(isCordoned(state)).toBe(true);
    expect(run(state, 0, 120_000, 10, { renew: true })).toMatchObject({ unasked: 10, state: { phase: "cordoned" } });
  });

  test.each<[string, Partial<DrainGrant>, boolean]>([
    ["the same epoch renews", {}, true],
    ["a higher one takes over", { epoch: 4 }, true],
    ["a lower one is refused", { epoch: 2 }, false],
    ["no number", { perSecond: Number.NaN }, false],
    ["a negative rate", { perSecond: -1 }, false],
    ["an endless rate", { perSecond: Number.POSITIVE_INFINITY }, false],
    ["a broken epoch", { epoch: 3.5 }, false],
    ["no epoch", { epoch: Number.NaN }, false],
  ])("%s", (_name, changes, accepted) => {
    const first = granted(servingDrain, {}, 0);
    const { state, reply } = applyGrant(first, { ...grant, ...changes, ...(accepted ? { perSecond: 5 } : {}) }, 1000);
    expect(reply).toMatchObject({ accepted, epoch: accepted ? (changes.epoch ?? 3) : 3 });
    expect(state.grant?.perSecond).toBe(accepted ? 5 : 100);
  });

  test("begins 5 s after the last attempt to connect, 30 s after the cordon at the latest", () => {
    const state = granted(servingDrain, {}, 0);
    const begins = (lastHandshake: (nowMs: number) => number | undefined): number => {
      let current = state;
      for (let nowMs = 0; ; nowMs += 100) {
        const step = stepDrain(granted(current, {}, nowMs), nowMs, { ...busy, lastHandshakeMs: lastHandshake(nowMs) });
        if (step.reconnects > 0) return nowMs;
        current = step.state;
      }
    };
    expect(begins(() => undefined)).toBeGreaterThanOrEqual(limits.drainQuietMs);
    expect(begins(() => undefined)).toBeLessThanOrEqual(limits.drainQuietMs + 200);
    expect(begins((nowMs) => Math.min(nowMs, 12_000))).toBeGreaterThanOrEqual(17_000);
    expect(begins((nowMs) => Math.min(nowMs, 12_000))).toBeLessThanOrEqual(17_200);
    expect(begins((nowMs) => nowMs)).toBeGreaterThanOrEqual(limits.drainCordonMs);
    expect(begins((nowMs) => nowMs)).toBeLessThanOrEqual(limits.drainCordonMs + 200);
  });

  test("moves everybody at about its rate", () => {
    const result = run(granted(servingDrain, {}, 0), 0, 60_000, 1000, { renew: true, moveMs: 500 });
    expect(result.closed).toBe(0);
    const seconds = ((result.endMs ?? 0) - (result.firstMs ?? 0)) / 1000;
    expect(seconds).toBeGreaterThan(10);
    expect(seconds).toBeLessThan(13);
  });

  test("closes those who stay past their grace, out of the same budget", () => {
    const result = run(granted(servingDrain, {}, 0), 0, 120_000, 1000, { renew: true });
    expect(result).toMatchObject({ left: 0, closed: 1000 });
  });

  test("pauses when it is not renewed for 30 s, and goes on when it is", () => {
    const paused = run(granted(servingDrain, { perSecond: 1 }, 0), 0, 100_000, 1000);
    expect(paused.unasked).toBeGreaterThan(1000 - 26);
    expect(stepDrain(paused.state, 100_100, busy)).toMatchObject({ paused: true, perSecond: 0, reconnects: 0 });
    const renewed = run(granted(paused.state, { perSecond: 1 }, 100_200), 100_200, 110_000, 1000);
    expect(renewed.unasked).toBeLessThan(1000 - 5);
    expect(renewed.firstMs).toBeLessThan(102_000);
  });

  test("is taken back by an abort of its epoch, not of a lower one; the budget spent counts on", () => {
    const moving = run(granted(servingDrain, {}, 0), 0, 6_000, 1000, { renew: true }).state;
    expect(abortDrain(moving, 2).reply).toMatchObject({ accepted: false, epoch: 3 });
    const { state, reply } = abortDrain(moving, 3);
    expect(reply).toMatchObject({ accepted: true, epoch: 3 });
    expect(state).toMatchObject({ phase: "serving", epoch: 3, moved: moving.moved });
    expect(applyGrant(state, { ...grant, epoch: 2 }, 6_000).reply.accepted).toBe(false);
  });

  test("of a rate is drained when nobody is left, and moves those who come in after all", () => {
    const state = granted(servingDrain, {}, 0);
    const drained = stepDrain(state, 100, { open: 0, unasked: 0, stragglers: 0, lastHandshakeMs: undefined });
    expect(drained.state.phase).toBe("drained");
    expect(stepDrain(drained.state, 200, { ...busy, open: 1, unasked: 1 }).state.phase).toBe("draining");
  });
});

describe("a process that is to stop", () => {
  const own = { perSecond: 10, deadlineMs: 60_000, stragglerGraceMs: 10_000 };

  test("drains at its share, or faster where its time would not do", () => {
    const few = run(startOwnDrain(servingDrain, own, 0), 0, 60_000, 100, { moveMs: 500, graceMs: 10_000 });
    expect(few.endMs).toBeLessThan(20_000);
    const many = run(startOwnDrain(servingDrain, own, 0), 0, 60_000, 5000, { moveMs: 500, graceMs: 10_000 });
    expect(many.endMs).toBeLessThan(52_000);
  });

  test("with clients that never move, closes them by its deadline", () => {
    const result = run(startOwnDrain(servingDrain, own, 0), 0, 61_000, 2000, { graceMs: 10_000 });
    expect(result.closeRest || result.left === 0).toBe(true);
    expect(result.unasked).toBe(0);
  });

  test("waits for quiet no longer than a quarter of its time", () => {
    const result = run(startOwnDrain(servingDrain, { ...own, deadlineMs: 4000 }, 0), 0, 4000, 50, { moveMs: 100 });
    expect(result.firstMs).toBeLessThanOrEqual(1200);
    expect(result.left).toBe(0);
  });

  test("keeps to a grant in force, and goes by itself when that is not renewed", () => {
    const state = startOwnDrain(granted(servingDrain, { perSecond: 1 }, 0), { ...own, deadlineMs: 100_000 }, 0);
    expect(stepDrain(state, 29_000, busy).perSecond).toBe(1);
    expect(stepDrain(state, 30_000, busy).perSecond).toBeGreaterThan(10);
    expect(stepDrain(state, 30_000, busy).paused).toBe(false);
  });

  test("cannot be aborted", () => {
    expect(abortDrain(startOwnDrain(servingDrain, own, 0), 9).reply).toMatchObject({ accepted: false, message: "stopping" });
  });

  test("closes the rest at its deadline", () => {
    expect(stepDrain(startOwnDrain(servingDrain, own, 0), 60_000, busy).closeRest).toBe(true);
    expect(stepDrain(startOwnDrain(servingDrain, own, 0), 59_900, busy).closeRest).toBe(false);
  });
});

describe("I3", () => {
  const action = fc.oneof(
    {
      weight: 20,
      arbitrary: fc.record({
        kind: fc.constant("step" as const),
        laterMs: fc.oneof(fc.integer({ min: 60, max: 140 }), fc.nat(400)),
        stragglers: fc.nat(500),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("stall" as const), laterMs: fc.integer({ min: 500, max: 20_000 }) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("grant" as const),
        perSecond: fc.oneof(fc.constantFrom(0, 0.1, 0.5, 1, 1.5, 2, 3.9, 1000), fc.double({ min: 0, max: 300, noNaN: true })),
        epoch: fc.integer({ min: 1, max: 4 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("abort" as const), epoch: fc.integer({ min: 1, max: 4 }) }) },
  );

  test("no sliding second holds more moves than the rate in force at its end, whatever grants, aborts, late timers and stalls", () => {
    fc.assert(
      fc.property(fc.array(action, { minLength: 50, maxLength: 400 }), (actions) => {
        let state = servingDrain;
        let nowMs = 0;
        const moves: { readonly atMs: number; readonly count: number }[] = [];
        for (const step of actions) {
          if (step.kind === "grant") state = granted(state, { perSecond: step.perSecond, epoch: step.epoch }, nowMs);
          if (step.kind === "abort") state = abortDrain(state, step.epoch).state;
          if (step.kind === "stall") nowMs += step.laterMs;
          if (step.kind !== "step") continue;
          nowMs += step.laterMs;
          const observed = { open: 1e6, unasked: 1e6, stragglers: step.stragglers, lastHandshakeMs: undefined };
          const result = stepDrain(state, nowMs, observed);
          state = result.state;
          const count = result.reconnects + result.closes;
          expect(result.closes).toBeLessThanOrEqual(step.stragglers);
          if (count === 0) continue;
          moves.push({ atMs: nowMs, count });
          const inSecond = moves.filter((move) => move.atMs >= nowMs - 1000).reduce((sum, move) => sum + move.count, 0);
          expect(inSecond).toBeLessThanOrEqual(Math.max(1, Math.floor(result.perSecond)));
          expect(count).toBeLessThanOrEqual(Math.ceil(result.perSecond / 10));
          if (result.perSecond < 1 && moves.length > 1) {
            expect(nowMs - (moves.at(-2)?.atMs ?? 0)).toBeGreaterThan(1000);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  test("nor where a step's moves are made long after they were decided on, each at any time until the step ends", () => {
    const late = fc.record({
      laterMs: fc.integer({ min: 60, max: 140 }),
      stallMs: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, fc.nat(1500)),
    });
    fc.assert(
      fc.property(fc.array(late, { minLength: 30, maxLength: 200 }), fc.double({ min: 0, max: 1, noNaN: true }), (steps, when) => {
        let state = granted(servingDrain, {}, -limits.drainCordonMs);
        let nowMs = 0;
        const movedAtMs: number[] = [];
        for (const { laterMs, stallMs } of steps) {
          nowMs += laterMs;
          state = granted(state, {}, nowMs);
          const step = stepDrain(state, nowMs, busy);
          for (let i = 0; i < step.reconnects; i++) movedAtMs.push(nowMs + Math.floor(stallMs * (i === 0 ? when : 1)));
          nowMs += stallMs;
          state = movesMade(step.state, nowMs);
        }
        for (const [index, atMs] of movedAtMs.entries()) {
          expect(atMs - (movedAtMs[index - grant.perSecond] ?? Number.NEGATIVE_INFINITY)).toBeGreaterThan(1000);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("at a constant rate below one a second, moves stand at least its period apart", () => {
    let state = granted(servingDrain, { perSecond: 0.5 }, 0);
    const movedAtMs: number[] = [];
    for (let nowMs = 0; nowMs <= 60_000; nowMs += 100) {
      if (nowMs % 10_000 === 0) state = granted(state, { perSecond: 0.5 }, nowMs);
      const step = stepDrain(state, nowMs, busy);
      state = step.state;
      for (let i = 0; i < step.reconnects; i++) movedAtMs.push(nowMs);
    }
    expect(movedAtMs.length).toBeGreaterThan(24);
    for (const [index, atMs] of movedAtMs.entries()) if (index > 0) expect(atMs - (movedAtMs[index - 1] ?? 0)).toBeGreaterThanOrEqual(2000);
  });

  test("the history it keeps is bounded", () => {
    let state = granted(servingDrain, { perSecond: 1000 }, 0);
    for (let nowMs = 0; nowMs < 30_000; nowMs += 7) {
      state = stepDrain(state, nowMs, busy).state;
      expect(state.moved.length).toBeLessThanOrEqual(23);
    }
  });
});
