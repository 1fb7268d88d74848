import { limits } from "@pushfleet/protocol";
import type { Clock } from "@pushfleet/service";
import type { Pipeline } from "./pipeline.js";
import type { ReadFanOut, Taken } from "./router-service.js";
import { type Origin, UserDelivery } from "./user-delivery.js";

/** Sends `mark_read` to a user's other devices. The mark is stored already, so that the gateway that asked need not wait, and a device that is
 *  not reached in a few attempts finds it in its next sync. */
export class ReadMarkSender {
  readonly #pipeline: Pipeline;
  readonly #clock: Clock;
  #inFlight = 0;

  constructor(options: { readonly pipeline: Pipeline; readonly clock: Clock }) {
    this.#pipeline = options.pipeline;
    this.#clock = options.clock;
  }

  send({ user, exceptDevice, frame, cursor }: ReadFanOut): Taken {
    if (this.#inFlight >= limits.readFanOutsInFlightMax) {
      return { kind: "unavailable", cause: new Error("too many read marks are on their way") };
    }
    this.#inFlight++;
    const origin = new ReadMarkOrigin(() => this.#inFlight--);
    const mark = { exceptDevice, frame: frame.toString("utf8"), cursor, readAtMs: this.#clock.nowMs() };
    this.#pipeline.start(new UserDelivery(origin, user, mark));
    return { kind: "taken" };
  }
}

class ReadMarkOrigin implements Origin {
  readonly source = "read_mark";
  readonly finished: () => void;
  #retries = 0;

  constructor(finished: () => void) {
    this.finished = finished;
  }

  get abandoned(): boolean {
    return this.#retries >= limits.readFanOutAttemptsMax;
  }

  retrying(waits: boolean): void {
    if (waits) this.#retries++;
  }
}
