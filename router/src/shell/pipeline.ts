import { limits, type UserId } from "@pushfleet/protocol";
import type { Located, LookedUp, Registry } from "@pushfleet/registry";
import type { Clock, Logger } from "@pushfleet/service";
import type { Dedupe } from "../core/dedupe.js";
import type { Stamp } from "../core/stamp.js";
import type { Store } from "../core/store.js";
import { Appender } from "./appender.js";
import { Coalescer } from "./coalescer.js";
import type { Deliverer } from "./deliverer.js";
import { RetryQueue } from "./retry-queue.js";
import type { DeliveryResult, UserDelivery } from "./user-delivery.js";

export interface PipelineOptions {
  readonly store: Store;
  readonly stamp: Stamp;
  readonly dedupe: Dedupe;
  readonly registry: Registry;
  readonly deliverer: Deliverer;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly onAppend: (seconds: number) => void;
  readonly onFinished: (delivery: UserDelivery) => void;
}

/** Moves deliveries from append to outcomes, in the order that loses nothing: append, *then* look up, then deliver (DESIGN §5). What is no
 *  outcome is tried again, with a new append first when the old one is no longer fresh. `core/delivery-state.ts` decides, this does it: whole
 *  batches at a time, no promise for each delivery. What comes in is bounded by its sources. */
export class Pipeline {
  readonly #options: PipelineOptions;
  readonly #appender: Appender;
  readonly #lookUps: Coalescer<UserDelivery>;
  readonly #retries: RetryQueue;
  #inFlight = 0;
  #stopped = false;

  constructor(options: PipelineOptions) {
    this.#options = options;
    this.#appender = new Appender({
      ...options,
      stored: (delivery) => this.#lookUps.add(delivery),
      failed: (delivery, reason) => {
        delivery.reason = reason;
        this.#finish(delivery, "failed");
      },
      unavailable: (delivery) => this.#retries.add(delivery),
    });
    this.#lookUps = new Coalescer({
      clock: options.clock,
      delayMs: limits.coalesceMs,
      itemsMax: limits.coalesceMessages,
      flush: (deliveries) => void this.#lookUp(deliveries),
    });
    this.#retries = new RetryQueue({ clock: options.clock, random: options.random, again: (delivery) => this.#step(delivery) });
  }

  /** Deliveries under way. */
  get inFlight(): number {
    return this.#inFlight;
  }

  start(delivery: UserDelivery): void {
    this.#inFlight++;
    this.#step(delivery);
  }

  /** What waits or comes to its next step from now on is abandoned. */
  stop(): void {
    this.#stopped = true;
    this.#retries.flush();
  }

  #step(delivery: UserDelivery): void {
    if (this.#stopped || delivery.origin.abandoned) return this.#finish(delivery, "abandoned");
    if (delivery.state.next(this.#options.clock.nowMs()) === "look_up") this.#lookUps.add(delivery);
    else if (hasContent(delivery)) this.#appender.append(delivery);
    else this.#finish(delivery, "abandoned"); // a read mark: it is stored, the next sync has it
  }

  async #lookUp(deliveries: readonly UserDelivery[]): Promise<void> {
    const found = await this.#ask([...new Set(deliveries.map((delivery) => delivery.user))]);
    for (const delivery of deliveries) {
      const looked = found?.get(delivery.user);
      if (this.#stopped) this.#finish(delivery, "abandoned");
      else if (looked?.kind === "located") this.#dispatch(delivery, looked.devices);
      else this.#retries.add(delivery); // not known is not offline
    }
  }

  async #ask(users: readonly UserId[]): Promise<ReadonlyMap<UserId, LookedUp | undefined> | undefined> {
    try {
      const found = await this.#options.registry.lookUp(users);
      return new Map(users.map((user, index) => [user, found[index]]));
    } catch (cause) {
      this.#options.logger.error({ err: cause }, "the registry threw at a look-up, it is asked again");
      return undefined;
    }
  }

  #dispatch(delivery: UserDelivery, devices: readonly Located[]): void {
    const { exceptDevice } = delivery;
    const targets = delivery.state.located(exceptDevice === undefined ? devices : devices.filter(({ device }) => device !== exceptDevice));
    if (targets.length === 0) return this.#conclude(delivery);
    delivery.expect(targets.length, this.#conclude);
    this.#options.deliverer.send(delivery, targets);
  }

  readonly #conclude = (delivery: UserDelivery): void => {
    switch (delivery.state.conclude()) {
      case "done":
        return this.#finish(delivery, "done");
      case "look_up":
        return this.#step(delivery);
      case "retry":
        return this.#retries.add(delivery);
    }
  };

  #finish(delivery: UserDelivery, result: DeliveryResult): void {
    this.#inFlight--;
    delivery.result = result;
    this.#options.onFinished(delivery);
    delivery.origin.finished(delivery);
  }
}

function hasContent(delivery: UserDelivery): delivery is Parameters<Appender["append"]>[0] {
  return delivery.content !== undefined;
}
