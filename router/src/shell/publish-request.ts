import type { Fault } from "@pushfleet/protocol";
import { type Content, type Origin, UserDelivery } from "./user-delivery.js";

/** What came of a request. `gave_up`: not all have their outcomes; `stored` says whether all were at least stored. */
export type PublishResult =
  | { readonly kind: "accepted"; readonly accepted: readonly AcceptedNotification[] }
  | { readonly kind: "refused"; readonly faults: readonly Fault[] }
  | { readonly kind: "gave_up"; readonly stored: boolean };

export interface AcceptedNotification {
  readonly notification_id: string;
  readonly cursor: string;
  readonly duplicate?: true;
}

/** One request to publish: the deliveries it is made of, in order, and its result once all of them have ended or nobody waits any more. */
export class PublishRequest {
  readonly #notifications: readonly PublishedNotification[];
  readonly #deliveries: Iterator<UserDelivery>;
  readonly #started: UserDelivery[] = [];
  readonly #onDeliveryEnd: () => void;
  readonly #onResult: (result: PublishResult) => void;
  #unstarted: number;
  #unfinished: number;
  #gaveUp = false;

  /** `onResult` is called once, `onDeliveryEnd` once for each delivery that was started. */
  constructor(contents: readonly Content[], onDeliveryEnd: () => void, onResult: (result: PublishResult) => void) {
    this.#notifications = contents.map((content, index) => {
      const path = contents.length === 1 ? "" : `notifications[${index}]`;
      return new PublishedNotification(this, content, path);
    });
    this.#deliveries = this.#makeDeliveries();
    this.#onDeliveryEnd = onDeliveryEnd;
    this.#onResult = onResult;
    this.#unstarted = contents.reduce((sum, { notification }) => sum + notification.userIds.length, 0);
    this.#unfinished = this.#unstarted;
  }

  /** Deliveries that `next` has yet to give. */
  get unstarted(): number {
    return this.#unstarted;
  }

  get gaveUp(): boolean {
    return this.#gaveUp;
  }

  next(): UserDelivery | undefined {
    const { done, value } = this.#deliveries.next();
    if (done === true) return undefined;
    this.#unstarted--;
    this.#started.push(value);
    return value;
  }

  /** What has no result by now gets none. */
  giveUp(): void {
    if (this.#gaveUp || this.#unfinished === 0) return;
    this.#gaveUp = true;
    const stored = this.#unstarted === 0 && this.#started.every(({ cursor }) => cursor !== "");
    this.#onResult({ kind: "gave_up", stored });
  }

  finished(delivery: UserDelivery): void {
    this.#unfinished--;
    if (delivery.result === "abandoned") this.giveUp();
    else if (this.#unfinished === 0 && !this.#gaveUp) this.#onResult(this.#result());
    this.#onDeliveryEnd();
  }

  #result(): PublishResult {
    const faults = this.#notifications.flatMap((one) => one.faults);
    if (faults.length > 0) return { kind: "refused", faults };
    return { kind: "accepted", accepted: this.#notifications.map((one) => one.accepted) };
  }

  *#makeDeliveries(): Generator<UserDelivery, undefined> {
    for (const one of this.#notifications) {
      for (const user of one.content.notification.userIds) yield new UserDelivery(one, user, one.content);
    }
    return undefined;
  }
}

class PublishedNotification implements Origin {
  readonly source = "publish";
  readonly #request: PublishRequest;
  readonly #path: string;
  readonly content: Content;
  readonly faults: Fault[] = [];
  #cursor = "";
  #duplicate = true;

  constructor(request: PublishRequest, content: Content, path: string) {
    this.#request = request;
    this.#path = path;
    this.content = content;
  }

  get abandoned(): boolean {
    return this.#request.gaveUp;
  }

  /** With several users the cursor is that of the first that was done; each has its own. */
  get accepted(): AcceptedNotification {
    return { notification_id: this.content.notificationId, cursor: this.#cursor, ...(this.#duplicate && { duplicate: true }) };
  }

  retrying(): void {}

  finished(delivery: UserDelivery): void {
    if (delivery.result === "failed") {
      this.faults.push({ path: this.#path, value: delivery.user, expected: `what the store takes: ${delivery.reason}` });
    }
    this.#cursor ||= delivery.cursor;
    this.#duplicate &&= delivery.duplicate;
    this.#request.finished(delivery);
  }
}
