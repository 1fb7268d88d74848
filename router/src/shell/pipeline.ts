import {
  type Cursor,
  cursorMs,
  limits,
  type Notification,
  type NotificationId,
  notificationFrame,
  type Priority,
  type UserId,
} from "@pushfleet/protocol";
import { type Clock, type Logger, v1 } from "@pushfleet/service";
import { retryDelayMs } from "../core/retry-delay.js";
import type { Appender, ToAppend } from "./appender.js";
import type { Deliverer, Outcomes, UserFrame } from "./deliverer.js";

/** `done`: stored, and every device has its outcome. `failed`: it will never be stored (dead-letter topic). `stopped`: the router stops; not
 *  done, not to be committed. */
export type Processed =
  | { readonly kind: "done"; readonly cursor: Cursor; readonly duplicate: boolean; readonly outcomes: Outcomes }
  | { readonly kind: "failed"; readonly reason: string }
  | { readonly kind: "stopped" };

const lanes: Readonly<Record<Priority, v1.Lane>> = {
  high: v1.Lane.LANE_HIGH,
  normal: v1.Lane.LANE_NORMAL,
  low: v1.Lane.LANE_LOW,
};

export interface PipelineOptions {
  readonly appender: Appender;
  readonly deliverer: Deliverer;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly onOutcomes: (outcomes: Outcomes) => void;
}

/** One notification for one user, from append to outcomes, in the order that loses nothing: append, *then* look up, then deliver; what is no
 *  outcome is tried again, with a new append first when the old one is no longer fresh. */
export class Pipeline {
  readonly #options: PipelineOptions;
  #inFlight = 0;
  #stopped = false;

  constructor(options: PipelineOptions) {
    this.#options = options;
  }

  /** Notifications under way, one for each user. */
  get inFlight(): number {
    return this.#inFlight;
  }

  stop(): void {
    this.#stopped = true;
  }

  async process(notification: Notification, notificationId: NotificationId, user: UserId, publishedAtMs: number): Promise<Processed> {
    this.#inFlight++;
    try {
      return await this.#run(notification, { ...notification, user, notificationId }, publishedAtMs);
    } finally {
      this.#inFlight--;
    }
  }

  async #run(notification: Notification, record: ToAppend, publishedAtMs: number): Promise<Processed> {
    let first: Cursor | undefined;
    let duplicate: boolean | undefined;
    for (let attempt = 1; !this.#stopped; attempt++) {
      const appended = await this.#options.appender.append(record, first);
      if (appended.kind === "failed") return appended;
      if (appended.kind === "stored") {
        first ??= appended.cursor;
        duplicate ??= appended.duplicate;
        const frame = buildFrame(notification, record, appended.cursor, appended.expiresAtMs, publishedAtMs);
        const outcomes = await this.#deliver(frame);
        if (outcomes !== undefined) return { kind: "done", cursor: appended.cursor, duplicate, outcomes };
      }
      await this.#pause(attempt);
    }
    return { kind: "stopped" };
  }

  /** Tries while the append is fresh; undefined: it is not any more (or the router stops). */
  async #deliver(frame: UserFrame): Promise<Outcomes | undefined> {
    for (let attempt = 1; !this.#stopped; attempt++) {
      const delivered = await this.#options.deliverer.deliver(frame);
      if (delivered.kind === "done") {
        this.#options.onOutcomes(delivered.outcomes);
        return delivered.outcomes;
      }
      await this.#pause(attempt);
      if (this.#options.clock.nowMs() - cursorMs(frame.cursor) >= limits.appendFreshMs) return undefined;
    }
    return undefined;
  }

  #pause(attempt: number): Promise<void> {
    return new Promise((resolve) => this.#options.clock.after(retryDelayMs(attempt, this.#options.random()), resolve));
  }
}

/** The client's frame is built once, here; everybody after this only passes its bytes on. */
function buildFrame(
  notification: Notification,
  record: ToAppend,
  cursor: Cursor,
  expiresAtMs: number | undefined,
  publishedAtMs: number,
): UserFrame {
  const { user, notificationId, data, createdAtMs } = record;
  return {
    user,
    frame: Buffer.from(notificationFrame({ notificationId, cursor, data, createdAtMs })),
    kind: v1.FrameKind.FRAME_NOTIFICATION,
    cursor,
    notificationId,
    createdAtMs: createdAtMs ?? publishedAtMs,
    expiresAtMs: expiresAtMs ?? 0,
    lane: lanes[notification.priority],
    collapseKey: notification.collapseKey ?? "",
    exceptDevice: undefined,
  };
}
