import { isUtf8 } from "node:buffer";
import { type Fault, parseNotification, type UserId } from "@pushfleet/protocol";
import type { KafkaMessage } from "kafkajs";
import type { Ticket } from "../core/checkpoint.js";
import type { PartitionFlow } from "../core/partition-flow.js";
import { type Content, type Origin, UserDelivery } from "./user-delivery.js";

/** One partition while it is ours. */
export interface OwnedPartition {
  readonly partition: number;
  readonly flow: PartitionFlow<KafkaRecord>;
  /** It went to another router, or its log began anew: what is under way ends without a commit. */
  revoked: boolean;
  /** Offset behind the newest record, as of the last batch. */
  highWatermark: number;
}

export interface RecordEvents {
  /** A delivery of `record` begins or ends to wait for a retry. */
  retrying(record: KafkaRecord, waits: boolean): void;
  /** A delivery of `record` has ended; the last one when `record.unfinished` is 0. */
  deliveryEnded(record: KafkaRecord, delivery: UserDelivery): void;
}

export type ParsedRecord =
  | { readonly kind: "content"; readonly content: Content }
  | { readonly kind: "bad"; readonly faults: readonly Fault[] };

/** One record: its own ticket of the partition's checkpoint, and where its deliveries came from. */
export class KafkaRecord implements Ticket, Origin {
  readonly source = "kafka";
  readonly offset: number;
  readonly message: KafkaMessage;
  readonly owner: OwnedPartition;
  readonly #events: RecordEvents;
  done = false;
  /** Deliveries without a result. */
  unfinished = 0;
  /** Why the store will never take it; the first reason. */
  failure: string | undefined;
  /** A delivery was let go: the record is not done, and is not to be committed. */
  letGo = false;

  constructor(message: KafkaMessage, owner: OwnedPartition, events: RecordEvents) {
    this.offset = Number(message.offset);
    this.message = message;
    this.owner = owner;
    this.#events = events;
  }

  get abandoned(): boolean {
    return this.owner.revoked;
  }

  /** Bytes to text once, and only if they are UTF-8: a decoder would put U+FFFD for what is not. */
  parse(): ParsedRecord {
    const value = this.message.value ?? Buffer.alloc(0);
    if (!isUtf8(value)) return { kind: "bad", faults: [{ path: "", value: `${value.length} bytes`, expected: "JSON in UTF-8" }] };
    const parsed = parseNotification(value.toString("utf8"), { idRequired: true });
    if (parsed.kind === "bad") return parsed;
    const { notification } = parsed;
    if (notification.notificationId === undefined) throw new Error("an id is required of a record");
    const publishedAtMs = Number(this.message.timestamp);
    return { kind: "content", content: { notification, notificationId: notification.notificationId, publishedAtMs } };
  }

  deliveryTo(user: UserId, content: Content): UserDelivery {
    this.unfinished++;
    return new UserDelivery(this, user, content);
  }

  retrying(waits: boolean): void {
    this.#events.retrying(this, waits);
  }

  finished(delivery: UserDelivery): void {
    this.unfinished--;
    if (delivery.result === "failed") this.failure ??= delivery.reason;
    if (delivery.result === "abandoned") this.letGo = true;
    this.#events.deliveryEnded(this, delivery);
  }
}
