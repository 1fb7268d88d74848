import { isUtf8 } from "node:buffer";
import {
  assertNever,
  type Fault,
  limits,
  type Notification,
  type NotificationId,
  parseNotificationId,
  parsePublish,
} from "@pushfleet/protocol";
import type { Clock } from "@pushfleet/service";
import { v7 } from "uuid";
import type { Pipeline } from "./pipeline.js";
import { PublishRequest, type PublishResult } from "./publish-request.js";

/** The answer to a publish, by HTTP or gRPC: `body` is JSON. */
export interface Published {
  readonly status: 202 | 400 | 413 | 429 | 503;
  readonly body: string;
  readonly retryAfterMs?: number | undefined;
}

export interface ErrorDetails {
  readonly code: string;
  readonly message: string;
  readonly faults?: readonly Fault[] | undefined;
  readonly retryAfterMs?: number | undefined;
}

/** Body of every refusal. */
export function errorJson({ code, message, faults, retryAfterMs }: ErrorDetails): string {
  return JSON.stringify({
    error: { code, message, ...(faults && { faults }), ...(retryAfterMs !== undefined && { retry_after_ms: retryAfterMs }) },
  });
}

export interface PublisherOptions {
  readonly pipeline: Pipeline;
  readonly clock: Clock;
  readonly onPublished: (published: Published) => void;
}

const retryAfterMs = 1_000;

/** Takes requests to publish, and answers 202 only once each notification is stored *and* has its outcomes. Requests take turns, in order,
 *  within their share of what may be under way. */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #waiting: PublishRequest[] = [];
  readonly #open = new Set<PublishRequest>();
  #queued = 0;
  #inFlight = 0;
  #starting = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** `body`: JSON, one notification or a list. */
  async publish(body: Buffer): Promise<Published> {
    const published = await this.#take(body);
    this.#options.onPublished(published);
    return published;
  }

  /** Answers everything that is open: the router stops. */
  giveUp(): void {
    for (const request of [...this.#open]) request.giveUp();
  }

  #take(body: Buffer): Promise<Published> | Published {
    if (body.length > limits.publishBodyBytesMax) return bodyTooLarge;
    if (!isUtf8(body)) return refuseFaults([{ path: "", value: `${body.length} bytes`, expected: "JSON in UTF-8" }]);
    const parsed = parsePublish(body.toString("utf8"));
    if (parsed.kind === "bad") return refuseFaults(parsed.faults);
    const count = parsed.notifications.reduce((sum, { userIds }) => sum + userIds.length, 0);
    if (this.#queued > 0 && this.#queued + count > limits.publishDeliveriesQueuedMax) {
      return refusal(429, { code: "rate_limited", message: "too many notifications are under way", retryAfterMs });
    }
    return this.#run(parsed.notifications);
  }

  #run(notifications: readonly Notification[]): Promise<Published> {
    const publishedAtMs = this.#options.clock.nowMs();
    const contents = notifications.map((notification) => ({
      notification,
      notificationId: notification.notificationId ?? makeId(publishedAtMs),
      publishedAtMs,
    }));
    return new Promise((resolve) => {
      const request = new PublishRequest(contents, this.#onDeliveryEnd, (result) => {
        cancel();
        this.#open.delete(request);
        this.#remove(request);
        resolve(answerTo(result));
      });
      const cancel = this.#options.clock.after(limits.publishTimeoutMs, () => request.giveUp());
      this.#queued += request.unstarted;
      this.#open.add(request);
      this.#waiting.push(request);
      this.#start();
    });
  }

  readonly #onDeliveryEnd = (): void => {
    this.#inFlight--;
    this.#start();
  };

  /** A delivery may end while it is started: the loop that runs goes on with the next. */
  #start(): void {
    if (this.#starting) return;
    this.#starting = true;
    while (this.#inFlight < limits.publishDeliveriesInFlightMax) {
      const [request] = this.#waiting;
      if (request === undefined) break;
      const delivery = request.next();
      if (delivery === undefined) {
        this.#waiting.shift();
        continue;
      }
      this.#queued--;
      this.#inFlight++;
      this.#options.pipeline.start(delivery);
    }
    this.#starting = false;
  }

  /** A request that has its result starts nothing more. */
  #remove(request: PublishRequest): void {
    const at = this.#waiting.indexOf(request);
    if (at < 0) return;
    this.#waiting.splice(at, 1);
    this.#queued -= request.unstarted;
  }
}

function answerTo(result: PublishResult): Published {
  switch (result.kind) {
    case "accepted":
      return { status: 202, body: JSON.stringify({ accepted: result.accepted }) };
    case "refused":
      return refuseFaults(result.faults);
    case "gave_up": {
      const code = result.stored ? "busy" : "store_unavailable";
      return refusal(503, { code, message: "not all are stored and have their outcomes, send them again", retryAfterMs });
    }
    default:
      return assertNever(result);
  }
}

function refuseFaults(faults: readonly Fault[]): Published {
  const onlySizes = faults.every(({ path, expected }) => /(^|\.)data$/.test(path) && expected.startsWith("at most"));
  const error = { code: onlySizes ? "too_large" : "bad_request", message: "the notification is not right", faults };
  return refusal(onlySizes ? 413 : 400, error);
}

const bodyTooLarge = refusal(413, { code: "too_large", message: `the body is larger than ${limits.publishBodyBytesMax} bytes` });

function refusal(status: 400 | 413 | 429 | 503, error: ErrorDetails): Published {
  return { status, body: errorJson(error), retryAfterMs: error.retryAfterMs };
}

function makeId(nowMs: number): NotificationId {
  const id = parseNotificationId(v7({ msecs: nowMs }));
  if (id === undefined) throw new Error("a UUID is an id");
  return id;
}
