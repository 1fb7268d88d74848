import { limits } from "@pushfleet/protocol";
import type { Cancel, Clock } from "@pushfleet/service";
import { retryDelayMs } from "../core/retry-delay.js";
import type { UserDelivery } from "./user-delivery.js";

interface Waiting {
  readonly deliveries: UserDelivery[];
  readonly cancel: Cancel;
}

/** Deliveries that wait before they are tried again. Those of about the same moment and number of attempts share a timer: when a worker dies
 *  there are thousands. */
export class RetryQueue {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #again: (delivery: UserDelivery) => void;
  readonly #waiting = new Map<number, Waiting>();

  constructor(options: { readonly clock: Clock; readonly random: () => number; readonly again: (delivery: UserDelivery) => void }) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#again = options.again;
  }

  add(delivery: UserDelivery): void {
    delivery.attempts++;
    delivery.origin.retrying(true);
    const attempts = Math.min(delivery.attempts, attemptsApart);
    const group = this.#waiting.get(attempts) ?? this.#open(attempts);
    group.deliveries.push(delivery);
  }

  /** Everything that waits goes on at once. */
  flush(): void {
    for (const attempts of [...this.#waiting.keys()]) this.#release(attempts);
  }

  #open(attempts: number): Waiting {
    const cancel = this.#clock.after(retryDelayMs(attempts, this.#random(), bounds), () => this.#release(attempts));
    const group = { deliveries: [], cancel };
    this.#waiting.set(attempts, group);
    return group;
  }

  #release(attempts: number): void {
    const group = this.#waiting.get(attempts);
    if (group === undefined) return;
    this.#waiting.delete(attempts);
    group.cancel();
    for (const delivery of group.deliveries) {
      delivery.origin.retrying(false);
      this.#again(delivery);
    }
  }
}

const bounds = { minMs: limits.deliveryRetryMinMs, maxMs: limits.deliveryRetryMaxMs };

/** From here on the delay is the same. */
const attemptsApart = 8;
