import { limits } from "@pushfleet/protocol";
import type { KafkaRecord } from "./kafka-record.js";
import type { KafkaWrite } from "./kafka-writer.js";
import type { UserDelivery } from "./user-delivery.js";

/** `bad_record`: it is not a notification. `store_failed`: the store will never take it. */
export type DeadLetterReason = "bad_record" | "store_failed";

/** The record as it was, key, value and headers, with the reason and where it came from in headers of ours. */
export function deadLetter(
  { message, owner, offset }: KafkaRecord,
  why: { readonly topic: string; readonly reason: DeadLetterReason; readonly details: string },
): KafkaWrite {
  const headers = {
    ...message.headers,
    "pushfleet-reason": why.reason,
    "pushfleet-details": cutBytes(why.details, limits.deadLetterReasonBytesMax),
    "pushfleet-topic": why.topic,
    "pushfleet-partition": String(owner.partition),
    "pushfleet-offset": String(offset),
  };
  return { key: message.key, value: message.value, headers };
}

/** For a topic that does not take the whole: where it came from still says where the value is. */
export function shortenDeadLetter({ value, headers }: KafkaWrite): KafkaWrite {
  const { "pushfleet-reason": reason, "pushfleet-details": details, "pushfleet-topic": topic, ...others } = headers ?? {};
  const bytes = String(value === null ? 0 : Buffer.byteLength(value));
  const place = { "pushfleet-partition": others["pushfleet-partition"], "pushfleet-offset": others["pushfleet-offset"] };
  const ours = { "pushfleet-reason": reason, "pushfleet-details": details, "pushfleet-topic": topic, ...place };
  return { key: null, value: null, headers: { ...ours, "pushfleet-value-bytes": bytes } };
}

/** A record of the outcomes topic. */
export function outcomeRecord({ user, notificationId, cursor, state }: UserDelivery): KafkaWrite {
  const { written, offline, stale, overflow } = state;
  const outcomes = { written, offline, stale, overflow };
  return { key: user, value: JSON.stringify({ user_id: user, notification_id: notificationId, cursor, outcomes }) };
}

/** At most `bytesMax` bytes of UTF-8, cut between two characters. */
function cutBytes(text: string, bytesMax: number): string {
  if (Buffer.byteLength(text) <= bytesMax) return text;
  return new TextDecoder().decode(Buffer.from(text).subarray(0, bytesMax), { stream: true });
}
