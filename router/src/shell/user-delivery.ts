import type { Cursor, DeviceId, Notification, NotificationId, UserId } from "@pushfleet/protocol";
import { notificationFrame } from "@pushfleet/protocol";
import type { Located } from "@pushfleet/registry";
import { v1 } from "@pushfleet/service";
import { DeliveryState, type TargetOutcome } from "../core/delivery-state.js";

/** Where a delivery came from: a record, a request, a read mark. */
export interface Origin {
  readonly source: "kafka" | "publish" | "read_mark";
  /** Nobody waits for it any more (the router stops, the partition went to another router, the publisher was told to come back): it is let
   *  go at its next step. */
  readonly abandoned: boolean;
  /** It begins, or ends, to wait before it is tried again. */
  retrying(waits: boolean): void;
  /** Called once, with the result in place. */
  finished(delivery: UserDelivery): void;
}

/** A notification as published, shared by the deliveries to its users. */
export interface Content {
  readonly notification: Notification;
  readonly notificationId: NotificationId;
  /** Kafka's timestamp, or when the request came: start of pushfleet_delivery_seconds when the publisher gave no `created_at`. */
  readonly publishedAtMs: number;
}

/** `done`: stored, and each device has its outcome. `failed`: the store will never take it. `abandoned`: let go on the way. */
export type DeliveryResult = "under_way" | "done" | "failed" | "abandoned";

const lanes = { high: v1.Lane.LANE_HIGH, normal: v1.Lane.LANE_NORMAL, low: v1.Lane.LANE_LOW } as const;

/** One frame on its way to the devices of one user. The pipeline moves it, worker streams answer it; one object for each, for there are tens
 *  of thousands a second. */
export class UserDelivery {
  readonly origin: Origin;
  readonly user: UserId;
  readonly state = new DeliveryState<Located>();
  readonly kind: v1.FrameKind;
  readonly notificationId: NotificationId | "";
  /** Undefined for a read mark. */
  readonly content: Content | undefined;
  /** The device that a read mark came from. */
  readonly exceptDevice: DeviceId | undefined;
  readonly lane: v1.Lane;
  readonly collapseKey: string;
  readonly createdAtMs: number;
  /** 0: never. */
  expiresAtMs = 0;
  /** The client's frame, built once for each append; everybody after this only passes its bytes on. */
  frame = "";
  cursor: Cursor | "" = "";
  firstAppend: Cursor | undefined;
  /** This router had stored it before it came. */
  duplicate = false;
  attempts = 0;
  result: DeliveryResult = "under_way";
  /** Why it failed. */
  reason = "";
  #unanswered = 0;
  #concluded: (delivery: UserDelivery) => void = () => {};

  constructor(origin: Origin, user: UserId, what: Content | ReadMarkFrame) {
    this.origin = origin;
    this.user = user;
    if ("exceptDevice" in what) {
      this.kind = v1.FrameKind.FRAME_MARK_READ;
      this.content = undefined;
      this.notificationId = "";
      this.exceptDevice = what.exceptDevice;
      this.lane = v1.Lane.LANE_NORMAL;
      this.collapseKey = "";
      this.createdAtMs = what.readAtMs;
      this.cursor = what.cursor;
      this.frame = what.frame;
      this.state.appended(what.cursor);
    } else {
      const { notification, notificationId, publishedAtMs } = what;
      this.kind = v1.FrameKind.FRAME_NOTIFICATION;
      this.content = what;
      this.notificationId = notificationId;
      this.exceptDevice = undefined;
      this.lane = lanes[notification.priority];
      this.collapseKey = notification.collapseKey ?? "";
      this.createdAtMs = notification.createdAtMs ?? publishedAtMs;
    }
  }

  /** It is stored under `cursor`. `read`: it had been read by then, and the frame says so. */
  appended(content: Content, cursor: Cursor, expiresAtMs: number | undefined, read: boolean): void {
    const { data, createdAtMs } = content.notification;
    this.state.appended(cursor);
    this.cursor = cursor;
    this.firstAppend ??= cursor;
    this.expiresAtMs = expiresAtMs ?? 0;
    this.frame = notificationFrame({ notificationId: content.notificationId, cursor, data, createdAtMs, read });
  }

  /** `concluded` is called when each of `count` targets was answered or is broken. */
  expect(count: number, concluded: (delivery: UserDelivery) => void): void {
    this.#unanswered = count;
    this.#concluded = concluded;
  }

  answered(target: Located, outcome: TargetOutcome): void {
    this.state.answered(target, outcome);
    if (--this.#unanswered === 0) this.#concluded(this);
  }

  broken(target: Located): void {
    this.state.broken(target);
    if (--this.#unanswered === 0) this.#concluded(this);
  }
}

/** A `mark_read` for the user's other devices; it is stored already. */
export interface ReadMarkFrame {
  readonly exceptDevice: DeviceId;
  readonly frame: string;
  readonly cursor: Cursor;
  readonly readAtMs: number;
}
