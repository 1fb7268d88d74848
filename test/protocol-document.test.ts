import { readFileSync } from "node:fs";
import * as protocol from "@pushfleet/protocol";
import { type AfterClose, type ClientFrame, closeCodes, limits, parseClientFrame } from "@pushfleet/protocol";
import { describe, expect, test } from "vitest";

/** docs/protocol.md and protocol/src, held against each other both ways. */
const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
const document = read("docs/protocol.md");

/** The text under `## heading`. */
function section(heading: string): string {
  const found = document.split(/^## /m).find((text) => text.startsWith(`${heading}\n`));
  if (found === undefined) throw new Error(`docs/protocol.md has no section "${heading}"`);
  return found;
}

/** Cells of the rows of a section's table, the header left out. */
function rows(heading: string): readonly (readonly string[])[] {
  const lines = section(heading).split("\n");
  const table = lines.filter((line) => line.startsWith("| ") && !line.startsWith("| ---"));
  return table.slice(1).map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

interface Field {
  readonly name: string;
  readonly isOptional: boolean;
}
const byName = (fields: readonly Field[]): readonly Field[] => [...fields].sort((a, b) => (a.name < b.name ? -1 : 1));

describe("close codes", () => {
  const documented = new Map(rows("Closing and coming back").map(([code, meaning, then]) => [Number(code), { meaning, then }]));

  test("in the document are those of the code, and 1006, which is nobody's", () => {
    const inCode = Object.values(closeCodes).map(({ code }): number => code);
    expect([...documented.keys()].sort()).toEqual([...inCode, 1006].sort());
  });

  test.each(Object.values(closeCodes))("what follows $code is the same in both", ({ code, afterClose }) => {
    const words: Readonly<Record<AfterClose, RegExp>> = {
      retry: /by the schedule$/,
      retry_hint: /^after `n`$/,
      fresh_token: /^with a fresh token$/,
      never: /^never/,
    };
    expect(documented.get(code)?.then).toMatch(words[afterClose]);
  });
});

describe("frames of a client", () => {
  /** `{"type":"auth","token","device"?}`, with what the cell says beside it. */
  const documented = rows("Client to server").map(([cell = ""]) => {
    const [, type = ""] = /"type":"(\w+)"/.exec(cell) ?? [];
    const fields = [...cell.matchAll(/"(\w+)"(\??)(?!:)/g)].filter(([, name]) => name !== type);
    return { type, fields: fields.map(([, name = "", mark]): Field => ({ name, isOptional: mark === "?" })) };
  });

  /** One of each kind, with every field it may have; the compiler asks for a kind that is missing. */
  const samples: Readonly<Record<ClientFrame["kind"], Readonly<Record<string, unknown>>>> = {
    auth: { token: "t", device: "phone" },
    ack: { notification_id: "n1", notification_ids: ["n1"], state: "read" },
    sync: { last_seen: "c1_1700000000000_000001" },
    event: { name: "typing", data: {} },
    ping: {},
  };
  const parsed = (type: string, fields: object) => parseClientFrame(JSON.stringify({ type, ...fields }));

  test("in the document are those that are parsed", () => {
    expect(documented.map(({ type }) => type).sort()).toEqual(Object.keys(samples).sort());
    for (const { type } of documented) expect(parsed(type, {})).not.toMatchObject({ reason: expect.stringContaining("unknown type") });
    expect(parsed("subscribe", {})).toMatchObject({ kind: "bad", reason: expect.stringContaining("unknown type") });
  });

  test.each(documented)("the fields of $type are those that are read, and those without ? are required", ({ type, fields }) => {
    const sample = samples[type as ClientFrame["kind"]];
    expect(fields.map(({ name }) => name).sort()).toEqual(Object.keys(sample).sort());
    // Of notification_id and notification_ids one is given, never both.
    const { notification_ids: several, ...complete } = sample;
    expect(parsed(type, complete).kind).toBe(type);
    if (several !== undefined) expect(parsed(type, { ...complete, notification_id: undefined, notification_ids: several }).kind).toBe(type);
    for (const { name, isOptional } of fields.filter((field) => field.name !== "notification_ids")) {
      expect([name, parsed(type, { ...complete, [name]: undefined }).kind === type]).toEqual([name, isOptional]);
    }
  });

  test("no field is read that the document does not have", () => {
    const source = read("protocol/src/client-frames.ts");
    const names = [...source.matchAll(/own\(frame, "(\w+)"\)|memberSpan\(text, "(\w+)"\)/g)].map((match) => match[1] ?? match[2] ?? "");
    const known = new Set(["type", ...documented.flatMap(({ fields }) => fields.map(({ name }) => name))]);
    expect(names.length).toBeGreaterThan(5);
    expect(names.filter((name) => !known.has(name))).toEqual([]);
  });
});

describe("frames of a server", () => {
  /** `hello {connection_id, …, read?}` */
  const documented = new Map(
    rows("Server to client").map(([cell = ""]) => {
      const [, type = "", list = ""] = /^`(\w+) \{([^}]*)\}`$/.exec(cell) ?? [];
      const fields = list.split(",").map((field) => field.trim());
      const named = fields.filter((field) => field !== "");
      return [type, named.map((field): Field => ({ name: field.replace("?", ""), isOptional: field.endsWith("?") }))];
    }),
  );

  const cursor = protocol.parseCursor("c1_1700000000000_000001") ?? expect.fail("no cursor");
  const device = protocol.parseDeviceId("phone") ?? expect.fail("no device");
  const id = protocol.parseNotificationId("n1") ?? expect.fail("no id");
  const hello = { connectionId: "c", device, server: "gw", heartbeatMs: 1, cursor, resume: "r", registered: true };
  const least = { notificationId: id, cursor, data: "1" };
  const error = { code: "busy", message: "m" } as const;
  /** By the function that makes it: with as little as it can have, and with everything. */
  const made: Readonly<Record<string, readonly [least: string, full: string]>> = {
    helloFrame: [protocol.helloFrame(hello), protocol.helloFrame(hello)],
    notificationFrame: [protocol.notificationFrame(least), protocol.notificationFrame({ ...least, createdAtMs: 1, read: true })],
    syncBatchFrame: [batch(), batch()],
    markReadFrame: [protocol.markReadFrame([id], cursor), protocol.markReadFrame([id], cursor)],
    reconnectFrame: [protocol.reconnectFrame(1, "drain"), protocol.reconnectFrame(1, "drain")],
    gapFrame: [protocol.gapFrame(cursor), protocol.gapFrame(cursor)],
    authExpiringFrame: [protocol.authExpiringFrame(1), protocol.authExpiringFrame(1)],
    pongFrame: [protocol.pongFrame, protocol.pongFrame],
    errorFrame: [protocol.errorFrame(error), protocol.errorFrame({ ...error, retryAfterMs: 1 })],
  };
  function batch(): string {
    return protocol.syncBatchFrame({ notifications: [], reads: [], hasMore: false, cursor });
  }
  const fieldsOf = (text: string): readonly string[] => Object.keys(JSON.parse(text) as object).filter((name) => name !== "type");
  const frames = Object.entries(made).map(([name, [short, full]]) => {
    const required = new Set(fieldsOf(short));
    const fields = fieldsOf(full).map((field): Field => ({ name: field, isOptional: !required.has(field) }));
    return { name, type: (JSON.parse(full) as { type: string }).type, fields };
  });

  test("are all here", () => {
    expect(Object.keys(protocol).filter((name) => /Frame$/.test(name) && name !== "parseClientFrame")).toEqual(
      expect.arrayContaining(Object.keys(made)),
    );
    expect(Object.keys(protocol).filter((name) => /Frame$/.test(name) && name !== "parseClientFrame")).toHaveLength(frames.length);
  });

  test("in the document are those that are made", () => {
    expect([...documented.keys()].sort()).toEqual(frames.map(({ type }) => type).sort());
  });

  test.each(frames)("$type has the same fields in both, and the same are optional", ({ type, fields }) => {
    expect(byName(documented.get(type) ?? [])).toEqual(byName(fields));
  });
});

describe("error codes", () => {
  const documented = rows("Errors").map(([code = "", where = ""]) => ({ code: code.replaceAll("`", ""), where }));
  /** Those of gateways are a union of the protocol's; a router writes its own. */
  const union = /export type ErrorCode =([^;]+);/.exec(read("protocol/src/server-frames.ts"))?.[1] ?? "";
  const routers = ["router/src/shell/http-source.ts", "router/src/shell/publisher.ts"].map(read).join("\n");
  const ofGateways = [...union.matchAll(/"(\w+)"/g)].map(([, code = ""]) => code);
  const ofRouters = [...routers.matchAll(/\bcode(?:: | = )([^,;\n]+)/g)].flatMap(([, value = ""]) => value.match(/"\w+"/g) ?? []);
  const inCode = new Set([...ofGateways, ...ofRouters.map((code) => code.slice(1, -1))]);

  test("in the document are those of the code", () => {
    expect(ofGateways.length).toBeGreaterThan(5);
    expect(documented.map(({ code }) => code).sort()).toEqual([...inCode].sort());
  });

  test("each says where it comes: in a frame, or with which HTTP status", () => {
    for (const { code, where } of documented) expect([code, where]).toEqual([code, expect.stringMatching(/^(frame|\d{3})(; \d{3})*$/)]);
  });
});

test("every bound in the document is the one in force", () => {
  const kib = (bytes: number): string => `${bytes / 1024} KiB`;
  const text = document.replace(/\s+/g, " ");
  for (const words of [
    `1 to ${limits.idBytesMax} bytes`,
    `the first frame must be \`auth\` within ${limits.authFirstMessageMs / 1000} s`,
    `may live at most \`auth.maxLifetimeSeconds\` (${limits.queryTokenLifetimeSecondsDefault};`,
    `"notification_ids"\` (≤ ${limits.ackIdsMax})`,
    `the newest ${limits.syncNewestUnread} unread`,
    `at most ${limits.clientEventsPerSecond} a second`,
    `At most ${limits.clientMessagesPerSecond} frames a second with bursts of ${limits.clientMessageBurst} (4429)`,
    `${kib(limits.clientFrameBytesMax)} a frame (1009)`,
    `frame above ${kib(limits.clientFrameBytesMax)}`,
    `a frame above ${kib(limits.clientFrameBytesCut)}`,
    `at most ${limits.syncNotificationsPerFrameMax} and ${kib(limits.syncFrameBytesMax)}`,
    `up to ${limits.notificationsPerPublishMax.toLocaleString("en")}`,
    `body above ${limits.publishBodyBytesMax / 1024 ** 2} MiB, or \`data\` above ${kib(limits.dataBytesMax)}`,
    `at once, then ${limits.reconnectDelaysMs
      .slice(1)
      .map((ms) => ms / 1000)
      .join(", ")} s (cap)`,
  ]) {
    expect(text).toContain(words);
  }
});
