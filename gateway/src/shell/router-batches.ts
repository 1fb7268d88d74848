import { assertNever, type DeviceId, limits, type NotificationId, type UserId } from "@pushfleet/protocol";
import { type Cancel, type Clock, type Linked, type Logger, type RouterLink, v1 } from "@pushfleet/service";
import { Batch } from "../core/batch.js";

/** Who sent something. */
export interface Sender {
  readonly user: UserId;
  readonly device: DeviceId;
}

/** Acks and events on their way to a router, many in one call. `full`: a bounded number waits already, tell the client to come again. */
export class RouterBatches {
  readonly #acks: Courier<v1.IAck>;
  readonly #events: Courier<v1.IClientEvent>;
  readonly #clock: Clock;

  constructor(options: { readonly router: RouterLink; readonly clock: Clock; readonly logger: Logger }) {
    const { router, clock, logger } = options;
    this.#clock = clock;
    this.#acks = new Courier({ clock, logger, what: "acks", call: (acks) => router.acknowledge({ acks: [...acks] }) });
    this.#events = new Courier({ clock, logger, what: "events", call: (events) => router.emit({ events: [...events] }) });
  }

  acknowledge(sender: Sender, notificationIds: readonly NotificationId[], state: "read" | "received"): "queued" | "full" {
    const ack: v1.IAck = {
      user: sender.user,
      device: sender.device,
      notificationIds: [...notificationIds],
      state: state === "read" ? v1.AckState.ACK_READ : v1.AckState.ACK_RECEIVED,
      atMs: this.#clock.nowMs(),
    };
    return this.#acks.add(ack, notificationIds.length);
  }

  emit(sender: Sender, name: string, data: string): "queued" | "full" {
    const event: v1.IClientEvent = {
      user: sender.user,
      device: sender.device,
      name,
      data: Buffer.from(data),
      atMs: this.#clock.nowMs(),
    };
    return this.#events.add(event, 1);
  }

  /** Gives what waits a last chance, half of `limits.closeAllMs` at most. */
  async stop(): Promise<void> {
    let cancel: Cancel = () => {};
    const timeout = new Promise<void>((resolve) => {
      cancel = this.#clock.after(limits.closeAllMs / 2, resolve);
    });
    await Promise.race([timeout, Promise.all([this.#acks.stop(), this.#events.stop()])]);
    cancel();
  }
}

interface CourierOptions<Item> {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly what: string;
  readonly call: (items: readonly Item[]) => Promise<Linked<unknown>>;
}

/** One call at a time, `batchMs` after the first item came; a call that no router answered is made again, with a growing pause, until one
 *  does. Meanwhile the queue fills up and newcomers are told. */
class Courier<Item> {
  readonly #options: CourierOptions<Item>;
  readonly #batch = new Batch<Item>(limits.batchQueueMax);
  #underWay: readonly Item[] = [];
  #failures = 0;
  #cancel: Cancel | undefined;
  #running: Promise<void> | undefined;
  #isStopped = false;

  constructor(options: CourierOptions<Item>) {
    this.#options = options;
  }

  add(item: Item, size: number): "queued" | "full" {
    const added = this.#batch.add(item, size);
    if (this.#cancel === undefined && this.#underWay.length === 0 && !this.#isStopped) this.#schedule(limits.batchMs);
    return added;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancel?.();
    await this.#running;
    while (this.#underWay.length > 0 || this.#batch.size > 0) {
      if (this.#underWay.length === 0) this.#underWay = this.#batch.take(limits.batchItemsMax);
      const linked = await this.#options.call(this.#underWay);
      if (linked.kind === "unavailable") {
        this.#options.logger.warn({ what: this.#options.what, err: linked.cause }, "what clients sent is given up: no router takes it");
        return;
      }
      this.#underWay = [];
    }
  }

  #schedule(delayMs: number): void {
    this.#cancel = this.#options.clock.after(delayMs, () => {
      this.#cancel = undefined;
      this.#running = this.#deliver();
    });
  }

  async #deliver(): Promise<void> {
    const { logger, what, call } = this.#options;
    if (this.#underWay.length === 0) this.#underWay = this.#batch.take(limits.batchItemsMax);
    const linked = await call(this.#underWay);
    switch (linked.kind) {
      case "unavailable":
        if (this.#failures === 0) logger.warn({ what, err: linked.cause }, "no router takes what clients send, it waits");
        this.#failures += 1;
        if (!this.#isStopped) this.#schedule(Math.min(limits.batchRetryMinMs * 2 ** (this.#failures - 1), limits.batchRetryMaxMs));
        return;
      case "refused":
        logger.error({ what, reason: linked.message, count: this.#underWay.length }, "a router refused what clients sent");
        break;
      case "ok":
        break;
      default:
        assertNever(linked);
    }
    this.#failures = 0;
    this.#underWay = [];
    if (this.#batch.size > 0 && !this.#isStopped) this.#schedule(0);
  }
}
