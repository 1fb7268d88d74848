import type { Clock } from "@pushfleet/service";

/** What a part that runs until it is stopped waits by: the stop cuts it short. One wait at a time. */
export class InterruptibleWait {
  readonly #clock: Clock;
  #isStopped = false;
  #wake: () => void = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Resolves after `delayMs`, or at the stop. */
  sleep(delayMs: number): Promise<void> {
    if (this.#isStopped) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.#clock.after(delayMs, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }

  /** Resolves at the stop. */
  untilStopped(): Promise<void> {
    if (this.#isStopped) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#wake();
  }
}
