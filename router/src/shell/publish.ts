import {
  type Cursor,
  type Fault,
  limits,
  type Notification,
  type NotificationId,
  parseNotificationId,
  parsePublish,
} from "@pushfleet/protocol";
import type { Clock } from "@pushfleet/service";
import { v7 } from "uuid";
import type { Pipeline, Processed } from "./pipeline.js";

/** The answer to a publish, by HTTP or gRPC: `body` is JSON. */
export interface Published {
  readonly status: 202 | 400 | 413 | 429 | 503;
  readonly body: string;
  readonly retryAfterSeconds?: number;
}

export interface ErrorDetails {
  readonly code: string;
  readonly message: string;
  readonly faults?: readonly Fault[];
}

export function errorJson(error: ErrorDetails): string {
  return JSON.stringify({
    error: { code: error.code, message: error.message, ...(error.faults === undefined ? {} : { faults: error.faults }) },
  });
}

interface Accepted {
  readonly notification_id: string;
  readonly cursor: Cursor | undefined;
  readonly duplicate?: true;
}

const retryAfterSeconds = 1;

/** Takes one notification or a list, and answers 202 only once each is stored *and* has its outcomes. */
export async function publish(text: string, options: { readonly pipeline: Pipeline; readonly clock: Clock }): Promise<Published> {
  const parsed = parsePublish(text);
  if (parsed.kind === "bad") {
    const tooLarge = parsed.faults.every((fault) => fault.path.endsWith("data") && fault.expected.startsWith("at most"));
    const error = { code: tooLarge ? "too_large" : "bad_request", message: "the notification is not right", faults: parsed.faults };
    return { status: tooLarge ? 413 : 400, body: errorJson(error) };
  }
  const wanted = parsed.notifications.reduce((sum, one) => sum + one.userIds.length, 0);
  if (options.pipeline.inFlight > 0 && options.pipeline.inFlight + wanted > limits.notificationsInFlightMax) {
    return { status: 429, body: errorJson({ code: "rate_limited", message: "too many notifications are under way" }), retryAfterSeconds };
  }
  const results = await Promise.all(parsed.notifications.map((one) => publishOne(one, options)));
  const accepted = results.flatMap((result) => (result === "unavailable" ? [] : [result]));
  if (accepted.length === results.length) return { status: 202, body: JSON.stringify({ accepted }) };
  return {
    status: 503,
    body: errorJson({ code: "store_unavailable", message: "not all could be stored, send them again" }),
    retryAfterSeconds,
  };
}

async function publishOne(
  notification: Notification,
  { pipeline, clock }: { readonly pipeline: Pipeline; readonly clock: Clock },
): Promise<Accepted | "unavailable"> {
  const id = notification.notificationId ?? makeId(clock);
  const nowMs = clock.nowMs();
  const processed = await Promise.all(notification.userIds.map((user) => pipeline.process(notification, id, user, nowMs)));
  const done = processed.filter((one): one is Extract<Processed, { kind: "done" }> => one.kind === "done");
  if (done.length < processed.length) return "unavailable";
  const duplicate = done.every((one) => one.duplicate);
  return { notification_id: id, cursor: done[0]?.cursor, ...(duplicate ? { duplicate } : {}) };
}

function makeId(clock: Clock): NotificationId {
  const id = parseNotificationId(v7({ msecs: clock.nowMs() }));
  if (id === undefined) throw new Error("a UUID is an id");
  return id;
}
