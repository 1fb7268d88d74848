import { type Cursor, parseLastSeen } from "./cursor.js";
import { type DeviceId, idExpected, type NotificationId, parseDeviceId, parseEventName, parseNotificationId } from "./ids.js";
import { memberSpan } from "./json-span.js";
import { limits } from "./limits.js";
import { parseMapping } from "./parse-mapping.js";

/** `read`: the user saw it, the other devices get `mark_read`. `received`: a delivery receipt only. */
export type AckState = "read" | "received";

/** What a client may send, parsed. `data` of an event is JSON text, as it was written. */
export type ClientFrame =
  | { readonly kind: "auth"; readonly token: string; readonly device: DeviceId | undefined }
  | { readonly kind: "ack"; readonly notificationIds: readonly NotificationId[]; readonly state: AckState }
  | { readonly kind: "sync"; readonly lastSeen: Cursor | "none" | "bad_cursor" }
  | { readonly kind: "event"; readonly name: string; readonly data: string }
  | { readonly kind: "ping" };

/** `bad`: close with 4400, `reason` fits a close frame and says what would be right. */
export type ParsedClientFrame = ClientFrame | { readonly kind: "bad"; readonly reason: string };

const bad = (reason: string): ParsedClientFrame => ({ kind: "bad", reason });

/** Parses one text frame of at most `limits.clientFrameBytesMax` bytes. Never throws, whatever the text. */
export function parseClientFrame(text: string): ParsedClientFrame {
  const frame = parseMapping(text);
  if (frame === undefined) return bad("not a JSON object");
  const type = own(frame, "type");
  switch (type) {
    case "auth":
      return parseAuth(frame);
    case "ack":
      return parseAck(frame);
    case "sync":
      return parseSync(frame);
    case "event":
      return parseEvent(frame, text);
    case "ping":
      return { kind: "ping" };
    default:
      return bad("unknown type, expected auth, ack, sync, event or ping");
  }
}

type JsonObject = Readonly<Record<string, unknown>>;

/** Own members only: `__proto__` and `constructor` are names like any other. */
function own(frame: JsonObject, name: string): unknown {
  return Object.hasOwn(frame, name) ? frame[name] : undefined;
}

function parseAuth(frame: JsonObject): ParsedClientFrame {
  const token = own(frame, "token");
  if (typeof token !== "string" || token.length === 0 || token.length > limits.tokenBytesMax) {
    return bad(`auth.token: expected a string of 1 to ${limits.tokenBytesMax} bytes`);
  }
  const device = own(frame, "device");
  if (device === undefined) return { kind: "auth", token, device };
  const parsed = parseDeviceId(device);
  return parsed === undefined ? bad(`auth.device: expected ${idExpected}`) : { kind: "auth", token, device: parsed };
}

function parseAck(frame: JsonObject): ParsedClientFrame {
  const state = own(frame, "state") ?? "read";
  if (state !== "read" && state !== "received") return bad('ack.state: expected "read" or "received"');
  const single = own(frame, "notification_id");
  const several = own(frame, "notification_ids");
  if ((single === undefined) === (several === undefined)) {
    return bad("ack: expected either notification_id or notification_ids");
  }
  const values: unknown = several ?? [single];
  if (!Array.isArray(values) || values.length === 0 || values.length > limits.ackIdsMax) {
    return bad(`ack.notification_ids: expected 1 to ${limits.ackIdsMax} ids`);
  }
  const notificationIds: NotificationId[] = [];
  for (const value of values) {
    const id = parseNotificationId(value);
    if (id === undefined) return bad(`ack: expected ids of ${idExpected}`);
    notificationIds.push(id);
  }
  return { kind: "ack", notificationIds, state };
}

function parseSync(frame: JsonObject): ParsedClientFrame {
  const lastSeen = own(frame, "last_seen");
  if (lastSeen === undefined || lastSeen === null) return { kind: "sync", lastSeen: "none" };
  if (typeof lastSeen !== "string" && typeof lastSeen !== "number") {
    return bad("sync.last_seen: expected a cursor, ISO 8601 or ms");
  }
  return { kind: "sync", lastSeen: parseLastSeen(lastSeen) ?? "bad_cursor" };
}

function parseEvent(frame: JsonObject, text: string): ParsedClientFrame {
  const name = parseEventName(own(frame, "name"));
  if (name === undefined) return bad(`event.name: expected ${idExpected}`);
  const span = memberSpan(text, "data");
  if (span === undefined) return bad("event.data: missing, expected any JSON value");
  return { kind: "event", name, data: text.slice(span.start, span.end) };
}
