import { type CloseName, closeCodes, type DeviceId, formatCursor, limits, pongFrame, type UserId } from "@pushfleet/protocol";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ArrivingConnection } from "./arriving-connection.js";
import type { Effect, Effects, RegistrationOutcome, SyncOutcome } from "./connection.js";
import { OpenConnection } from "./open-connection.js";
import type { Accepted, Verdict } from "./token.js";

const wallMs = 1_700_000_000_000;
const user = "usr_42" as UserId;
const phone = "phone" as DeviceId;
const accepted: Accepted = { kind: "accepted", user, tokenId: "t1", issuedAtMs: wallMs, expiresAtMs: wallMs + 300_000 };
const decode = (message: ArrayBuffer) => Buffer.from(message).toString();
const message = (value: unknown): ArrayBuffer => {
  const bytes = Buffer.from(typeof value === "string" ? value : JSON.stringify(value));
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
};
const arriveAs = (device: DeviceId | undefined) => new ArrivingConnection({ device, makeDevice: () => "made" as DeviceId, decode });
const arrive = () => arriveAs(phone);
const registered: RegistrationOutcome = { kind: "registered", restored: false };

const closes = (name: CloseName, reason?: string | RegExp) => [
  { kind: "close", name, reason: reason === undefined ? closeCodes[name].reason : expect.stringMatching(reason) },
];
const kinds = (effects: Effects) => effects.map((effect) => effect.kind);
const errors = (effects: Effects) => effects.map((effect) => (effect.kind === "send" ? JSON.parse(effect.frame) : effect.kind));
const opened = (effects: Effects): OpenConnection => {
  const effect = effects.find((candidate): candidate is Extract<Effect, { kind: "open" }> => candidate.kind === "open");
  if (effect === undefined) throw new Error(`not opened: ${kinds(effects)}`);
  return effect.connection;
};
const open = (outcome: RegistrationOutcome = registered, token: Accepted = accepted): OpenConnection => {
  const connection = arrive();
  connection.start(0, { text: "token", via: "query" });
  connection.onVerdict(token, 0, wallMs);
  return opened(connection.onRegistered(outcome, 0, wallMs));
};

describe("before hello, without a token", () => {
  test("waits 5 s for auth, then closes with 4408", () => {
    const connection = arrive();
    expect(connection.start(1000, undefined)).toEqual([{ kind: "deadline", atMs: 1000 + limits.authFirstMessageMs }]);
    expect(connection.onDeadline(6000, wallMs)).toEqual(closes("authTimeout"));
    expect(connection.onMessage(message({ type: "auth", token: "t" }), false, 6001)).toEqual([]);
  });

  test.each<[string, unknown, boolean]>([
    ["ping", { type: "ping" }, false],
    ["sync", { type: "sync" }, false],
    ["ack", { type: "ack", notification_id: "n1" }, false],
    ["not JSON", "{", false],
    ["100,000 brackets", "[".repeat(60_000), false],
    ["__proto__", '{"__proto__":{"type":"auth","token":"t"}}', false],
    ["unknown type", { type: "hello" }, false],
    ["auth without a token", { type: "auth" }, false],
    ["binary", { type: "auth", token: "t" }, true],
    ["70 KB", { type: "auth", token: "t", x: "x".repeat(70_000) }, false],
  ])("%s as the first frame closes at once with 4401", (_name, frame, isBinary) => {
    const connection = arrive();
    connection.start(0, undefined);
    expect(connection.onMessage(message(frame), isBinary, 1)).toEqual(closes("unauthenticated", /first frame must be auth/));
    expect(connection.onMessage(message({ type: "auth", token: "t" }), false, 2)).toEqual([]);
  });

  test("an auth with a bad device is told so with 4400", () => {
    const connection = arrive();
    connection.start(0, undefined);
    expect(connection.onMessage(message({ type: "auth", token: "t", device: "a b" }), false, 1)).toEqual(closes("badFrame", /auth.device/));
  });

  test.each<[DeviceId | undefined, string | undefined, string]>([
    [phone, undefined, "phone"],
    [phone, "tablet", "tablet"],
    [undefined, "tablet", "tablet"],
    [undefined, undefined, "made"],
  ])("device %s in the handshake and %s in auth is %s", (handshake, inAuth, device) => {
    const connection = arriveAs(handshake);
    connection.start(0, undefined);
    const effects = connection.onMessage(message({ type: "auth", token: "t", device: inAuth }), false, 4000);
    expect(effects).toEqual([
      { kind: "deadline", atMs: 9000 },
      { kind: "authenticate", token: "t", via: "message" },
    ]);
    expect(connection.user).toBeUndefined();
    connection.onVerdict(accepted, 4000, wallMs);
    expect([connection.user, connection.device, connection.tokenId]).toEqual([user, device, "t1"]);
  });
});

describe("before hello, with a token", () => {
  const start = () => {
    const connection = arrive();
    expect(kinds(connection.start(0, { text: "token", via: "query" }))).toEqual(["deadline", "authenticate"]);
    return connection;
  };

  test.each<[string, Verdict, Effects]>([
    ["rejected", { kind: "rejected", reason: "token expired" }, closes("unauthenticated", "token expired") as Effects],
    ["unavailable keys", { kind: "unavailable", retryAfterMs: 5000 }, closes("tryAgainLater", '{"retry_after_ms":5000}') as Effects],
    ["accepted", accepted, [{ kind: "deadline", atMs: limits.registrationTimeoutMs }, { kind: "register" }]],
  ])("verdict: %s", (_name, verdict, effects) => {
    expect(start().onVerdict(verdict, 0, wallMs)).toEqual(effects);
  });

  test.each<[RegistrationOutcome["kind"], unknown]>([
    ["superseded", closes("replaced")],
    ["revoked", closes("revoked")],
  ])("registration: %s", (kind, effects) => {
    const connection = start();
    connection.onVerdict(accepted, 0, wallMs);
    expect(connection.onRegistered({ kind } as RegistrationOutcome, 0, wallMs)).toEqual(effects);
  });

  test("opens only when the registration is acknowledged, or the registry does not answer", () => {
    const connection = start();
    expect(connection.onRegistered(registered, 0, wallMs)).toEqual([]);
    connection.onVerdict(accepted, 0, wallMs);
    expect(connection.onRegistered(registered, 0, wallMs)).toEqual([
      { kind: "open", connection: expect.any(OpenConnection), registered: true },
      { kind: "deadline", atMs: 300_000 - limits.authExpiringNoticeMs },
    ]);
    expect(connection.onRegistered(registered, 0, wallMs)).toEqual([]);
    for (const effects of [
      (late: ArrivingConnection) => late.onRegistered({ kind: "unavailable" }, 0, wallMs),
      (late: ArrivingConnection) => late.onDeadline(5000, wallMs),
    ]) {
      const late = start();
      late.onVerdict(accepted, 0, wallMs);
      expect(effects(late)[0]).toMatchObject({ kind: "open", registered: false });
    }
  });

  test("a verdict that does not come closes with 1013", () => {
    expect(start().onDeadline(5000, wallMs)).toEqual(closes("tryAgainLater", /retry_after_ms/));
  });

  test("frames sent meanwhile wait for hello, and nothing of them gets out before it", () => {
    const connection = start();
    expect(connection.onMessage(message({ type: "sync" }), false, 0)).toEqual([]);
    connection.onVerdict(accepted, 0, wallMs);
    expect(connection.onMessage(message({ type: "ack", notification_id: "n1" }), false, 0)).toEqual([]);
    const effects = connection.onRegistered(registered, 0, wallMs);
    expect(kinds(effects)).toEqual(["open", "deadline", "sync", "acknowledge"]);
  });

  test("a bounded number of them", () => {
    const many = start();
    for (let i = 0; i < limits.framesBeforeHelloMax; i++) expect(many.onMessage(message({ type: "ping" }), false, 0)).toEqual([]);
    expect(many.onMessage(message({ type: "ping" }), false, 0)).toEqual(closes("tooManyMessages"));
    const large = start();
    const frame = message({ type: "event", name: "e", data: "x".repeat(40_000) });
    expect(large.onMessage(frame, false, 0)).toEqual([]);
    expect(large.onMessage(frame, false, 0)).toEqual(closes("tooManyMessages"));
  });

  test.each<[string, unknown, boolean, unknown]>([
    ["bad", "{", false, closes("badFrame", /JSON/)],
    ["binary", "x", true, closes("unsupportedData")],
    ["too large", "x".repeat(limits.clientFrameBytesMax + 1), false, closes("messageTooBig")],
  ])("a frame that is %s closes", (_name, frame, isBinary, effects) => {
    expect(start().onMessage(message(frame), isBinary, 0)).toEqual(effects);
  });
});

describe("after hello", () => {
  test.each<[string, unknown, unknown]>([
    ["ping", { type: "ping" }, [{ kind: "send", frame: pongFrame }]],
    ["ack", { type: "ack", notification_ids: ["a", "b"] }, [{ kind: "acknowledge", notificationIds: ["a", "b"], state: "read" }]],
    [
      "receipt",
      { type: "ack", notification_id: "a", state: "received" },
      [{ kind: "acknowledge", notificationIds: ["a"], state: "received" }],
    ],
    ["event", '{"type":"event","name":"typing","data":{"n":1.0}}', [{ kind: "emit", name: "typing", data: '{"n":1.0}' }]],
    ["sync", { type: "sync" }, [{ kind: "sync", lastSeen: "", page: "" }]],
    ["sync from a time", { type: "sync", last_seen: 5 }, [{ kind: "sync", lastSeen: formatCursor(5, 0), page: "" }]],
    ["auth", { type: "auth", token: "t" }, [{ kind: "authenticate", token: "t", via: "message" }]],
    ["auth of this device", { type: "auth", token: "t", device: "phone" }, [{ kind: "authenticate", token: "t", via: "message" }]],
    ["auth of another device", { type: "auth", token: "t", device: "tablet" }, closes("badFrame", /device/)],
    ["not JSON", "{", closes("badFrame", /JSON/)],
    ["a list", "[]", closes("badFrame", /JSON object/)],
    ["unknown", { type: "subscribe" }, closes("badFrame", /unknown type/)],
  ])("%s", (_name, frame, effects) => {
    expect(open().onMessage(message(frame), false, 0)).toEqual(effects);
  });

  test("binary closes with 1003, more than 64 KiB with 1009, and exactly 64 KiB is read", () => {
    expect(open().onMessage(message("x"), true, 0)).toEqual(closes("unsupportedData"));
    expect(open().onMessage(message("x".repeat(65_537)), false, 0)).toEqual(closes("messageTooBig"));
    expect(open().onMessage(message('{"type":"ping"}'.padEnd(65_536)), false, 0)).toEqual([{ kind: "send", frame: pongFrame }]);
  });

  test("a last_seen that is none of the forms is answered, not closed", () => {
    expect(errors(open().onMessage(message({ type: "sync", last_seen: "yesterday" }), false, 0))).toMatchObject([
      { type: "error", code: "bad_cursor" },
    ]);
  });

  test("more events than allowed are answered with when to send again; the rest goes on", () => {
    const connection = open();
    const event = message({ type: "event", name: "typing", data: 1 });
    for (let i = 0; i < limits.clientEventBurst; i++) expect(kinds(connection.onMessage(event, false, 0))).toEqual(["emit"]);
    expect(errors(connection.onMessage(event, false, 0))).toMatchObject([{ code: "rate_limited", retry_after_ms: 100 }]);
    expect(kinds(connection.onMessage(message({ type: "ack", notification_id: "n" }), false, 0))).toEqual(["acknowledge"]);
    expect(kinds(connection.onMessage(event, false, 100))).toEqual(["emit"]);
  });

  test("a flood of messages closes with 4429", () => {
    const connection = open();
    for (let i = 0; i < limits.clientMessageBurst; i++) connection.onMessage(message({ type: "ping" }), false, 0);
    expect(connection.onMessage(message({ type: "ping" }), false, 0)).toEqual(closes("tooManyMessages"));
    expect(connection.onMessage(message({ type: "ping" }), false, 60_000)).toEqual([]);
  });
});

describe("a token's life", () => {
  test("is told 60 s before its end, and ends with 4401", () => {
    const connection = open();
    expect(connection.onDeadline(100_000)).toEqual([{ kind: "deadline", atMs: 240_000 }]);
    const effects = connection.onDeadline(240_000);
    expect(errors(effects)).toEqual([{ type: "auth_expiring", expires_in_ms: 60_000 }, "deadline"]);
    expect(effects[1]).toEqual({ kind: "deadline", atMs: 300_000 });
    expect(connection.onDeadline(300_000)).toEqual(closes("unauthenticated", "token expired"));
  });

  test("is extended by a refreshed token of the same user, which is registered again for its revocation", () => {
    const connection = open();
    const refreshed = { ...accepted, tokenId: "t2", issuedAtMs: wallMs + 200_000, expiresAtMs: wallMs + 600_000 };
    expect(connection.onVerdict(refreshed, 200_000, wallMs + 200_000)).toEqual([{ kind: "deadline", atMs: 540_000 }, { kind: "register" }]);
    expect([connection.tokenId, connection.tokenIssuedAtMs]).toEqual(["t2", wallMs + 200_000]);
    expect(connection.onDeadline(300_000)).toEqual([{ kind: "deadline", atMs: 540_000 }]);
    expect(connection.onRegistered({ kind: "revoked" }, formatCursor(0, 0))).toEqual(closes("revoked"));
  });

  test("is not touched by a step of the wall clock", () => {
    expect(open().onDeadline(299_999)).toHaveLength(2);
  });

  test("another user's token, or a bad one, closes with 4401; keys that are away are answered busy", () => {
    expect(open().onVerdict({ ...accepted, user: "usr_1" as UserId }, 0, wallMs)).toEqual(closes("unauthenticated", /another user/));
    expect(open().onVerdict({ kind: "rejected", reason: "bad token signature" }, 0, wallMs)).toEqual(
      closes("unauthenticated", /signature/),
    );
    expect(errors(open().onVerdict({ kind: "unavailable", retryAfterMs: 5000 }, 0, wallMs))).toMatchObject([
      { code: "busy", retry_after_ms: 5000 },
    ]);
  });
});

describe("registration after hello", () => {
  const lastRight = formatCursor(123, 0);

  test("that comes late brings a gap from hello on", () => {
    const connection = open({ kind: "unavailable" });
    expect(connection.registered).toBe(false);
    expect(connection.onRegistered({ kind: "unavailable" }, lastRight)).toEqual([]);
    expect(connection.onRegistered(registered, lastRight)).toEqual([{ kind: "gap", after: formatCursor(wallMs, 0) }]);
    expect(connection.registered).toBe(true);
  });

  test("repeated is silent; that had to be restored brings a gap from when it was last right", () => {
    const connection = open();
    expect(connection.onRegistered(registered, lastRight)).toEqual([]);
    expect(connection.onRegistered({ kind: "registered", restored: true }, lastRight)).toEqual([{ kind: "gap", after: lastRight }]);
  });

  test("that a newer connection holds closes with 4409", () => {
    expect(open().onRegistered({ kind: "superseded" }, lastRight)).toEqual(closes("replaced"));
  });
});

describe("a sync", () => {
  const page = (hasMore: boolean, nextPage = ""): SyncOutcome => ({ kind: "page", frame: Uint8Array.of(1), hasMore, nextPage });
  const syncFrom = (ms: number) => message({ type: "sync", last_seen: ms });

  test("goes on page by page, each when the outbox is empty", () => {
    const connection = open();
    connection.onMessage(syncFrom(5), false, 0);
    expect(connection.onOutboxEmpty()).toEqual([]);
    expect(connection.onSynced(page(true, "p2"))).toEqual([{ kind: "send_sync", frame: Uint8Array.of(1) }]);
    expect(connection.onOutboxEmpty()).toEqual([{ kind: "sync", lastSeen: formatCursor(5, 0), page: "p2" }]);
    expect(connection.onOutboxEmpty()).toEqual([]);
    connection.onSynced(page(false));
    expect(connection.onOutboxEmpty()).toEqual([]);
  });

  test("asked for while one is being read replaces it, and the page that comes is not sent", () => {
    const connection = open();
    connection.onMessage(syncFrom(5), false, 0);
    expect(connection.onMessage(syncFrom(4), false, 0)).toEqual([]);
    expect(connection.onMessage(syncFrom(3), false, 0)).toEqual([]);
    expect(connection.onSynced(page(true, "p2"))).toEqual([{ kind: "sync", lastSeen: formatCursor(3, 0), page: "" }]);
    expect(kinds(connection.onSynced(page(false)))).toEqual(["send_sync"]);
  });

  test("asked for between two pages begins at once", () => {
    const connection = open();
    connection.onMessage(syncFrom(5), false, 0);
    connection.onSynced(page(true, "p2"));
    expect(connection.onMessage(syncFrom(3), false, 0)).toEqual([{ kind: "sync", lastSeen: formatCursor(3, 0), page: "" }]);
  });

  test("that fails is answered, and may be asked for again", () => {
    const connection = open();
    connection.onMessage(syncFrom(5), false, 0);
    expect(errors(connection.onSynced({ kind: "unavailable" }))).toMatchObject([
      { code: "store_unavailable", retry_after_ms: limits.syncRetryMs },
    ]);
    expect(kinds(connection.onMessage(syncFrom(5), false, 0))).toEqual(["sync"]);
    expect(errors(connection.onSynced({ kind: "refused", code: "bad_cursor", message: "no" }))).toMatchObject([
      { code: "bad_cursor", message: "no" },
    ]);
    expect(kinds(connection.onMessage(syncFrom(5), false, 0))).toEqual(["sync"]);
  });
});

test("whatever a client sends and whenever outcomes come, one page at most is being read, and nothing follows a close", () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant("message" as const),
      text: fc.oneof(
        fc.string(),
        fc.constantFrom('{"type":"sync"}', '{"type":"ping"}', '{"type":"auth","token":"t"}', '{"type":"ack","notification_id":"n"}'),
      ),
      binary: fc.oneof({ weight: 20, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
    }),
    fc.record({ kind: fc.constant("synced" as const), more: fc.boolean() }),
    fc.record({ kind: fc.constant("outbox" as const) }),
    fc.record({ kind: fc.constant("verdict" as const), user: fc.constantFrom("usr_42", "usr_42", "usr_42", "usr_1") }),
    fc.record({
      kind: fc.constant("registered" as const),
      outcome: fc.constantFrom<RegistrationOutcome["kind"]>("registered", "unavailable", "superseded", "revoked"),
    }),
    fc.record({ kind: fc.constant("deadline" as const) }),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(step, fc.nat(2000)), { maxLength: 60 }), fc.boolean(), (steps, withToken) => {
      const arriving = arrive();
      let core: ArrivingConnection | OpenConnection = arriving;
      let nowMs = 0;
      let reading = 0;
      let closed = false;
      const perform = (effects: Effects) => {
        for (const effect of effects) {
          expect(closed, `${effect.kind} after a close`).toBe(false);
          if (effect.kind === "close") closed = true;
          if (effect.kind === "open") core = effect.connection;
          if (effect.kind === "sync") reading += 1;
          if (["sync", "emit", "acknowledge", "send"].includes(effect.kind)) expect(core).toBeInstanceOf(OpenConnection);
          expect(reading).toBeLessThanOrEqual(1);
        }
      };
      perform(arriving.start(0, withToken ? { text: "t", via: "query" } : undefined));
      for (const [next, laterMs] of steps) {
        nowMs += laterMs;
        const wall = wallMs + nowMs;
        if (next.kind === "message") perform(core.onMessage(message(next.text), next.binary, nowMs));
        if (next.kind === "verdict") perform(core.onVerdict({ ...accepted, user: next.user as UserId }, nowMs, wall));
        if (next.kind === "deadline") perform(core instanceof OpenConnection ? core.onDeadline(nowMs) : core.onDeadline(nowMs, wall));
        if (next.kind === "registered") {
          const outcome = { kind: next.outcome, restored: true } as RegistrationOutcome;
          perform(
            core instanceof OpenConnection ? core.onRegistered(outcome, formatCursor(0, 0)) : core.onRegistered(outcome, nowMs, wall),
          );
        }
        if (next.kind === "synced" && core instanceof OpenConnection && reading > 0) {
          reading -= 1;
          perform(core.onSynced({ kind: "page", frame: new Uint8Array(), hasMore: next.more, nextPage: "p" }));
        }
        if (next.kind === "outbox" && core instanceof OpenConnection) perform(core.onOutboxEmpty());
      }
    }),
    { numRuns: 500 },
  );
});
