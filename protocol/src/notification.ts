import type { Fault } from "./fault.js";
import { idExpected, type NotificationId, parseNotificationId, parseUserId, type UserId } from "./ids.js";
import { isMapping } from "./is-mapping.js";
import { elementSpans, memberSpan } from "./json-span.js";
import { limits } from "./limits.js";
import { utf8Bytes } from "./utf8.js";

export type Priority = "high" | "normal" | "low";

/** One notification as published: to one or several users. */
export interface Notification {
  readonly userIds: readonly UserId[];
  /** Absent only from HTTP, where one is made (UUIDv7). */
  readonly notificationId: NotificationId | undefined;
  /** JSON text exactly as the publisher wrote it, at most `limits.dataBytesMax` bytes. */
  readonly data: string;
  readonly createdAtMs: number | undefined;
  /** Counted from `createdAtMs`, or from the append when absent. */
  readonly ttlMs: number | undefined;
  readonly priority: Priority;
  readonly collapseKey: string | undefined;
}

export type ParsedNotification =
  | { readonly kind: "notification"; readonly notification: Notification }
  | { readonly kind: "bad"; readonly faults: readonly Fault[] };

export type ParsedPublish =
  | { readonly kind: "notifications"; readonly notifications: readonly Notification[] }
  | { readonly kind: "bad"; readonly faults: readonly Fault[] };

interface ParseOptions {
  /** From Kafka an id must be there: made anew at each redelivery it could not deduplicate. */
  readonly idRequired: boolean;
}

/** Parses the value of one Kafka record (UTF-8 already checked). Never throws. */
export function parseNotification(text: string, options: ParseOptions): ParsedNotification {
  const value = parseJson(text);
  if (value === undefined) return badInput("", shorten(text), "a JSON object");
  return parseAt(text, 0, value, "", options);
}

/** Parses an HTTP body: one notification, or `{"notifications":[…]}` with 1 to 1000 of them. All faults at once. Never throws. */
export function parsePublish(text: string): ParsedPublish {
  const value = parseJson(text);
  if (value === undefined) return badInput("", shorten(text), "a JSON object");
  const list = isMapping(value) && Object.hasOwn(value, "notifications") ? value["notifications"] : undefined;
  if (list === undefined) {
    const one = parseAt(text, 0, value, "", { idRequired: false });
    return one.kind === "bad" ? one : { kind: "notifications", notifications: [one.notification] };
  }
  if (!Array.isArray(list) || list.length === 0 || list.length > limits.notificationsPerPublishMax) {
    return badInput("notifications", describeList(list), `1 to ${limits.notificationsPerPublishMax} notifications`);
  }
  return parseList(text, list);
}

function parseList(text: string, list: readonly unknown[]): ParsedPublish {
  const spans = elementSpans(text, memberSpan(text, "notifications")?.start ?? 0);
  const notifications: Notification[] = [];
  const faults: Fault[] = [];
  for (const [index, element] of list.entries()) {
    const parsed = parseAt(text, spans[index]?.start ?? 0, element, `notifications[${index}]`, { idRequired: false });
    if (parsed.kind === "bad") faults.push(...parsed.faults);
    else notifications.push(parsed.notification);
  }
  return faults.length > 0 ? { kind: "bad", faults } : { kind: "notifications", notifications };
}

function parseAt(text: string, start: number, value: unknown, path: string, options: ParseOptions): ParsedNotification {
  if (!isMapping(value)) return badInput(path, value, "a JSON object");
  const faults: Fault[] = [];
  const at = (name: string) => (path === "" ? name : `${path}.${name}`);
  const get = (name: string): unknown => (Object.hasOwn(value, name) ? value[name] : undefined);
  const fault = (name: string, expected: string) => faults.push({ path: at(name), value: shorten(get(name)), expected });

  const userIds = parseUsers(get("user_id"), get("user_ids"));
  if (typeof userIds === "string") fault(get("user_ids") === undefined ? "user_id" : "user_ids", userIds);
  const id = get("notification_id");
  const notificationId = id === undefined ? undefined : parseNotificationId(id);
  if (notificationId === undefined && (id !== undefined || options.idRequired)) fault("notification_id", idExpected);
  const data = sliceData(text, start);
  if (data === undefined) fault("data", "any JSON value");
  else if (utf8Bytes(data) > limits.dataBytesMax) {
    faults.push({ path: at("data"), value: `${utf8Bytes(data)} bytes`, expected: `at most ${limits.dataBytesMax} bytes` });
  }
  const createdAtMs = parseCreatedAt(get("created_at"));
  if (createdAtMs === "bad") fault("created_at", "ms since the epoch or ISO 8601");
  const ttlMs = get("ttl_ms");
  if (!isTtl(ttlMs)) fault("ttl_ms", "an integer of at least 0");
  const priority = get("priority") ?? "normal";
  if (!isPriority(priority)) fault("priority", '"high", "normal" or "low"');
  const collapseKey = get("collapse_key");
  if (!isCollapseKey(collapseKey)) fault("collapse_key", `a string of 1 to ${limits.collapseKeyBytesMax} bytes`);

  if (faults.length > 0 || typeof userIds === "string" || data === undefined || createdAtMs === "bad") return { kind: "bad", faults };
  if (!isTtl(ttlMs) || !isPriority(priority) || !isCollapseKey(collapseKey)) return { kind: "bad", faults };
  return { kind: "notification", notification: { userIds, notificationId, data, createdAtMs, ttlMs, priority, collapseKey } };
}

/** The users, without repetition, or the text of what would be right. */
function parseUsers(one: unknown, several: unknown): readonly UserId[] | string {
  if (one !== undefined && several !== undefined) return "either user_id or user_ids";
  if (several === undefined) {
    const user = parseUserId(one);
    return user === undefined ? idExpected : [user];
  }
  const expected = `1 to ${limits.usersPerNotificationMax} ids, each ${idExpected}`;
  if (!Array.isArray(several) || several.length === 0 || several.length > limits.usersPerNotificationMax) return expected;
  const users = new Set<UserId>();
  for (const value of several) {
    const user = parseUserId(value);
    if (user === undefined) return expected;
    users.add(user);
  }
  return [...users];
}

function sliceData(text: string, start: number): string | undefined {
  const span = memberSpan(text, "data", start);
  return span === undefined ? undefined : text.slice(span.start, span.end);
}

function parseCreatedAt(value: unknown): number | undefined | "bad" {
  if (value === undefined || value === null) return undefined;
  const ms = typeof value === "string" ? Date.parse(value) : value;
  return typeof ms === "number" && Number.isFinite(ms) && ms >= 0 && ms < 1e13 ? Math.floor(ms) : "bad";
}

const isTtl = (value: unknown): value is number | undefined =>
  value === undefined || (typeof value === "number" && Number.isSafeInteger(value) && value >= 0);

const isPriority = (value: unknown): value is Priority => value === "high" || value === "normal" || value === "low";

const isCollapseKey = (value: unknown): value is string | undefined =>
  value === undefined || (typeof value === "string" && value.length > 0 && utf8Bytes(value) <= limits.collapseKeyBytesMax);

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the text is the publisher's: not JSON is an expected outcome
  }
}

function badInput(path: string, value: unknown, expected: string): { readonly kind: "bad"; readonly faults: readonly Fault[] } {
  return { kind: "bad", faults: [{ path, value: shorten(value), expected }] };
}

function describeList(value: unknown): unknown {
  return Array.isArray(value) ? `${value.length} elements` : value;
}

/** A fault shows what stood there, never a whole payload. */
function shorten(value: unknown): unknown {
  if (typeof value === "string") return value.length > 64 ? `${value.slice(0, 61)}...` : value;
  if (Array.isArray(value)) return `${value.length} elements`;
  return isMapping(value) ? "an object" : value;
}
