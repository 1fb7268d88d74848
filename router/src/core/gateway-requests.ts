import {
  type AckState,
  type DeviceId,
  limits,
  type NotificationId,
  parseDeviceId,
  parseEventName,
  parseNotificationId,
  parseUserId,
  type UserId,
  utf8Bytes,
} from "@pushfleet/protocol";

/** What a gateway says is checked again here: a router trusts its fleet's gateways with whose requests these are, not with their form. */
export interface Acknowledgement {
  readonly user: UserId;
  readonly device: DeviceId;
  /** 1 to `limits.ackIdsMax`. */
  readonly notificationIds: readonly NotificationId[];
  readonly state: AckState;
  /** When the gateway got it, ms since the epoch. */
  readonly atMs: number;
}

export interface ClientEvent {
  readonly user: UserId;
  readonly device: DeviceId;
  readonly name: string;
  /** JSON text as the client wrote it. */
  readonly data: string;
  readonly atMs: number;
}

type Fields<Names extends string> = { readonly [Name in Names]?: unknown };

/** Undefined: not an acknowledgement. */
export function parseAcknowledgement(
  fields: Fields<"user" | "device" | "notificationIds" | "atMs">,
  state: AckState,
): Acknowledgement | undefined {
  const user = parseUserId(fields.user);
  const device = parseDeviceId(fields.device);
  const notificationIds = parseIds(fields.notificationIds);
  const atMs = parseTime(fields.atMs);
  if (user === undefined || device === undefined || notificationIds === undefined || atMs === undefined) return undefined;
  return { user, device, notificationIds, state, atMs };
}

/** `data` is the text of the event's bytes, undefined when they are not UTF-8. Undefined: not an event. */
export function parseClientEvent(fields: Fields<"user" | "device" | "name" | "atMs">, data: string | undefined): ClientEvent | undefined {
  const user = parseUserId(fields.user);
  const device = parseDeviceId(fields.device);
  const name = parseEventName(fields.name);
  const atMs = parseTime(fields.atMs);
  if (user === undefined || device === undefined || name === undefined || atMs === undefined) return undefined;
  if (data === undefined || utf8Bytes(data) > limits.clientFrameBytesMax || !isJson(data)) return undefined;
  return { user, device, name, data, atMs };
}

/** The value of a client-events record. Ids and names need no escapes; `data` stands in it as it was written. */
export function clientEventText(event: ClientEvent): string {
  return `{"user_id":"${event.user}","device":"${event.device}","name":"${event.name}","data":${event.data},"at_ms":${event.atMs}}`;
}

function parseIds(values: unknown): readonly NotificationId[] | undefined {
  if (!Array.isArray(values) || values.length === 0 || values.length > limits.ackIdsMax) return undefined;
  const ids: NotificationId[] = [];
  for (const value of values) {
    const id = parseNotificationId(value);
    if (id === undefined) return undefined;
    ids.push(id);
  }
  return ids;
}

function parseTime(value: unknown): number | undefined {
  return typeof value === "number" && value >= 0 && value <= Number.MAX_SAFE_INTEGER ? Math.round(value) : undefined;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false; // the text is a client's
  }
}
