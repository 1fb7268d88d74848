import { type Cursor, cursorBefore, formatCursor, limits } from "@pushfleet/protocol";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Outbox, type OutboxFrame, type OutboxLane, type OutboxLimits } from "./outbox.js";

const cursor = (sequence: number): Cursor => formatCursor(1_700_000_000_000, sequence);
const bounds: OutboxLimits = { bytesMax: 100, framesMax: 5, bytesHard: 300, stayMs: 20_000 };

type Frame = OutboxFrame<string>;
const notification = (payload: string, sequence: number, rest: Partial<Frame> = {}): Frame => ({
  payload,
  bytes: 20,
  lane: "normal",
  cursor: cursor(sequence),
  expiresAtMs: 0,
  collapseKey: "",
  ...rest,
});
const kept = (payload: string, rest: Partial<Frame> = {}): Frame => ({ ...notification(payload, 0, rest), cursor: undefined, ...rest });

/** What the socket is given until the outbox is empty. */
function drain(outbox: Outbox<string>, nowMs = 0): string[] {
  const given: string[] = [];
  for (;;) {
    const next = outbox.next(nowMs);
    if (next.kind === "empty") return given;
    given.push(next.kind === "gap" ? `gap ${next.after}` : next.payload);
  }
}

describe("an outbox", () => {
  test("gives control frames first, then high, normal and low, each in the order they came", () => {
    const outbox = new Outbox<string>(bounds);
    for (const [name, lane] of [
      ["l1", "low"],
      ["n1", "normal"],
      ["h1", "high"],
      ["n2", "normal"],
      ["h2", "high"],
    ] as const) {
      outbox.enqueue(notification(name, Number(name[1]), { lane }), 0);
    }
    outbox.enqueue(kept("pong", { lane: "control" }), 0);
    expect(drain(outbox)).toEqual(["pong", "h1", "h2", "n1", "n2", "l1"]);
    expect(outbox.isEmpty).toBe(true);
  });

  test("when full, drops the oldest of the lowest lane, and says where to sync from once it is empty", () => {
    const outbox = new Outbox<string>(bounds);
    for (const [name, sequence, lane] of [
      ["l1", 1, "low"],
      ["l2", 2, "low"],
      ["n3", 3, "normal"],
      ["n4", 4, "normal"],
      ["n5", 5, "normal"],
    ] as const) {
      outbox.enqueue(notification(name, sequence, { lane }), 0);
    }
    expect(outbox.enqueue(notification("h6", 6, { lane: "high" }), 0)).toBe("queued");
    expect(outbox.enqueue(notification("n7", 7), 0)).toBe("queued");
    expect(outbox.enqueue(notification("n8", 8), 0)).toBe("queued");
    expect(drain(outbox)).toEqual(["h6", "n4", "n5", "n7", "n8", `gap ${cursorBefore(cursor(1))}`]);
  });

  test("drops the newcomer when everything that waits is more important", () => {
    const outbox = new Outbox<string>(bounds);
    for (let i = 1; i <= 5; i++) outbox.enqueue(notification(`h${i}`, i, { lane: "high" }), 0);
    expect(outbox.enqueue(notification("l6", 6, { lane: "low" }), 0)).toBe("overflow");
    expect(outbox.enqueue(notification("large", 7, { lane: "high", bytes: 101 }), 0)).toBe("overflow");
    expect(drain(outbox)).toEqual(["h1", "h2", "h3", "h4", "h5", `gap ${cursorBefore(cursor(6))}`]);
  });

  test("a notification too large for the room is dropped without dropping others in vain", () => {
    const outbox = new Outbox<string>(bounds);
    outbox.enqueue(notification("h1", 1, { lane: "high", bytes: 50 }), 0);
    outbox.enqueue(notification("n2", 2, { bytes: 40 }), 0);
    expect(outbox.enqueue(notification("n3", 3, { bytes: 60 }), 0)).toBe("overflow");
    expect(drain(outbox)).toEqual(["h1", "n2", `gap ${cursorBefore(cursor(3))}`]);
  });

  test("a later notification takes the place of one with its collapse key, at the end of its own lane, without a gap", () => {
    const outbox = new Outbox<string>(bounds);
    outbox.enqueue(notification("a1", 1, { collapseKey: "a" }), 0);
    outbox.enqueue(notification("b2", 2, { collapseKey: "b" }), 0);
    outbox.enqueue(notification("a3", 3, { collapseKey: "a", lane: "high" }), 0);
    outbox.enqueue(notification("a4", 4, { collapseKey: "a" }), 0);
    expect(drain(outbox)).toEqual(["b2", "a4"]);
    outbox.enqueue(notification("a5", 5, { collapseKey: "a" }), 0);
    expect(drain(outbox)).toEqual(["a5"]);
  });

  test("an expired notification is left out, without a gap", () => {
    const outbox = new Outbox<string>(bounds);
    outbox.enqueue(notification("n1", 1, { expiresAtMs: 100 }), 0);
    outbox.enqueue(notification("n2", 2), 0);
    expect(drain(outbox, 100)).toEqual(["n2"]);
    expect(outbox.bytes).toBe(0);
  });

  test("sync_batch, mark_read and control frames are never dropped; beyond their bound the client is a slow consumer", () => {
    const outbox = new Outbox<string>(bounds);
    for (let i = 1; i <= 5; i++) outbox.enqueue(notification(`n${i}`, i), 0);
    expect(outbox.enqueue(kept("sync", { bytes: 200 }), 0)).toBe("queued");
    for (let i = 6; i <= 20; i++) outbox.enqueue(notification(`n${i}`, i), 0);
    expect(outbox.enqueue(kept("mark", { bytes: 1 }), 0)).toBe("slow_consumer");
    expect(drain(outbox)).toContain("sync");
    for (let i = 0; i < 5; i++) expect(outbox.enqueue(kept("tiny", { bytes: 1 }), 0)).toBe("queued");
    expect(outbox.enqueue(kept("tiny", { bytes: 1 }), 0)).toBe("slow_consumer");
  });

  test("a frame that has waited for its stay makes the connection overdue, in whatever lane it is", () => {
    const outbox = new Outbox<string>(bounds);
    outbox.enqueue(notification("l1", 1, { lane: "low" }), 0);
    outbox.enqueue(notification("h2", 2, { lane: "high" }), 15_000);
    expect(outbox.isOverdue(19_999)).toBe(false);
    expect(outbox.isOverdue(20_000)).toBe(true);
    drain(outbox);
    expect(outbox.isOverdue(1e9)).toBe(false);
  });

  test("a gap does not wait for ever behind a stream that never ends", () => {
    const outbox = new Outbox<string>(bounds);
    for (let i = 1; i <= 6; i++) outbox.enqueue(notification(`n${i}`, i), 0);
    expect(outbox.next(9_999)).toEqual({ kind: "frame", payload: "n2" });
    expect(outbox.next(10_000)).toEqual({ kind: "gap", after: cursorBefore(cursor(1)) });
    expect(outbox.next(10_000)).toEqual({ kind: "frame", payload: "n3" });
  });
});

// ---- against a model: plain lists, searched each time ----

type Command =
  | {
      readonly kind: "enqueue";
      readonly lane: OutboxLane;
      readonly bytes: number;
      readonly keep: boolean;
      readonly ttlMs: number;
      readonly key: string;
    }
  | { readonly kind: "next" }
  | { readonly kind: "wait"; readonly ms: number };

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("enqueue" as const),
      lane: fc.constantFrom<OutboxLane>("high", "normal", "low"),
      bytes: fc.integer({ min: 1, max: 60 }),
      keep: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
      ttlMs: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(3000) }),
      key: fc.oneof({ weight: 4, arbitrary: fc.constant("") }, { weight: 1, arbitrary: fc.constantFrom("a", "b") }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("next" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.nat(4000) }) },
);

const rank: Record<OutboxLane, number> = { low: 0, normal: 1, high: 2, control: 3 };

class Model {
  waiting: (Frame & { readonly sinceMs: number })[] = [];
  dropped: Frame[] = [];

  notificationBytes(): number {
    return this.waiting.reduce((sum, frame) => sum + (frame.cursor === undefined ? 0 : frame.bytes), 0);
  }
  keptBytes(): number {
    return this.waiting.reduce((sum, frame) => sum + (frame.cursor === undefined ? frame.bytes : 0), 0);
  }
  full(frame: Frame): boolean {
    const notifications = this.waiting.filter((other) => other.cursor !== undefined);
    return this.notificationBytes() + frame.bytes > bounds.bytesMax || notifications.length + 1 > bounds.framesMax;
  }
  enqueue(frame: Frame, nowMs: number): string {
    if (frame.cursor === undefined) {
      const others = this.waiting.filter((other) => other.cursor === undefined).length;
      if (this.keptBytes() + frame.bytes > bounds.bytesHard - bounds.bytesMax || others + 1 > bounds.framesMax) return "slow_consumer";
      this.waiting.push({ ...frame, sinceMs: nowMs });
      return "queued";
    }
    if (frame.collapseKey !== "")
      this.waiting = this.waiting.filter((other) => other.cursor === undefined || other.collapseKey !== frame.collapseKey);
    if (this.full(frame))
      this.waiting = this.waiting.filter((other) => other.cursor === undefined || other.expiresAtMs === 0 || other.expiresAtMs > nowMs);
    const droppable = () =>
      this.waiting
        .filter((other) => other.cursor !== undefined && rank[other.lane] <= rank[frame.lane])
        .sort((a, b) => rank[a.lane] - rank[b.lane]);
    const freed = droppable().reduce((sum, other) => sum + other.bytes, 0);
    if (this.notificationBytes() - freed + frame.bytes > bounds.bytesMax) {
      this.dropped.push(frame);
      return "overflow";
    }
    while (this.full(frame)) {
      const victim = droppable()[0];
      if (victim === undefined) {
        this.dropped.push(frame);
        return "overflow";
      }
      this.waiting = this.waiting.filter((other) => other !== victim);
      if (victim.expiresAtMs === 0 || victim.expiresAtMs > nowMs) this.dropped.push(victim);
    }
    this.waiting.push({ ...frame, sinceMs: nowMs });
    return "queued";
  }
  next(nowMs: number): string | undefined {
    this.waiting = this.waiting.filter((frame) => frame.cursor === undefined || frame.expiresAtMs === 0 || frame.expiresAtMs > nowMs);
    const first = [...this.waiting].sort((a, b) => rank[b.lane] - rank[a.lane])[0];
    this.waiting = this.waiting.filter((frame) => frame !== first);
    return first?.payload;
  }
}

test("an expired notification makes room before one that is still wanted is dropped", () => {
  const outbox = new Outbox<string>(bounds);
  const frame = (payload: string, lane: OutboxLane, bytes: number, expiresAtMs: number) => ({
    payload,
    lane,
    bytes,
    cursor: `c1_0000000000001_00000${payload}` as Cursor,
    expiresAtMs,
    collapseKey: "",
  });
  outbox.enqueue(frame("0", "normal", bounds.bytesMax - 10, 1), 0);
  outbox.enqueue(frame("1", "low", 10, 0), 0);
  expect(outbox.enqueue(frame("2", "high", 20, 0), 1)).toBe("queued");
  expect([outbox.next(1), outbox.next(1), outbox.next(1)]).toEqual([
    { kind: "frame", payload: "2" },
    { kind: "frame", payload: "1" },
    { kind: "empty" },
  ]);
});

test("behaves like plain lists; bytes stay within bounds, cursors of a lane in order, and no drop is without its gap", () => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 150 }), (commands) => {
      const outbox = new Outbox<string>(bounds);
      const model = new Model();
      const lastOfLane = new Map<OutboxLane, number>();
      const frames = new Map<string, Frame>();
      let nowMs = 0;
      let sequence = 0;
      let pendingGap: Cursor[] = [];
      const checkGap = (after: Cursor) => {
        expect(pendingGap.length).toBeGreaterThan(0);
        for (const dropped of pendingGap) expect(dropped > after).toBe(true);
        expect(after).toBe(cursorBefore([...pendingGap].sort()[0] ?? after));
        pendingGap = [];
      };
      const take = (): boolean => {
        const next = outbox.next(nowMs);
        if (next.kind === "gap") {
          checkGap(next.after);
          return true;
        }
        expect(next.kind === "frame" ? next.payload : undefined).toBe(model.next(nowMs));
        if (next.kind === "empty") return false;
        const frame = frames.get(next.payload);
        if (frame?.cursor !== undefined) {
          const order = Number(next.payload);
          expect(order).toBeGreaterThan(lastOfLane.get(frame.lane) ?? -1);
          lastOfLane.set(frame.lane, order);
        }
        return true;
      };
      for (const step of commands) {
        if (step.kind === "wait") nowMs += step.ms;
        if (step.kind === "next") take();
        if (step.kind === "enqueue") {
          const payload = String(sequence++);
          const frame: Frame = {
            payload,
            bytes: step.bytes,
            lane: step.lane,
            cursor: step.keep ? undefined : cursor(sequence),
            expiresAtMs: step.ttlMs === 0 ? 0 : nowMs + step.ttlMs,
            collapseKey: step.keep ? "" : step.key,
          };
          frames.set(payload, frame);
          const before = model.dropped.length;
          expect(outbox.enqueue(frame, nowMs)).toBe(model.enqueue(frame, nowMs));
          for (const dropped of model.dropped.slice(before)) if (dropped.cursor !== undefined) pendingGap.push(dropped.cursor);
        }
        expect(outbox.bytes).toBeLessThanOrEqual(bounds.bytesHard);
        expect(model.notificationBytes()).toBeLessThanOrEqual(bounds.bytesMax);
        expect(outbox.frames).toBeLessThanOrEqual(2 * bounds.framesMax);
      }
      while (take());
      expect(pendingGap).toEqual([]);
      expect(outbox.isEmpty).toBe(true);
      expect(outbox.bytes).toBe(0);
    }),
    { numRuns: 300 },
  );
});

test("the bounds in force let a whole sync page wait beside a full outbox, and a frame stay no longer than a sync reads back", () => {
  expect(limits.outboxBytesHard - limits.outboxBytesMax).toBeGreaterThanOrEqual(2 * limits.syncFrameBytesMax);
  expect(limits.outboxStayMs).toBeLessThan(limits.syncOverlapMs);
  expect(limits.outboxBytesMax).toBeGreaterThan(limits.dataBytesMax);
});
