/** Time as a value, so that tests can hold it. Wall time is for what others see (cursors, leases, logs); monotonic time for ages and timeouts. */
export interface Clock {
  /** ms since the epoch. */
  nowMs(): number;
  /** ms since some moment, never going back. */
  monotonicMs(): number;
  /** Runs `task` once after `delayMs`; the result cancels it. */
  after(delayMs: number, task: () => void): Cancel;
  /** Runs `task` every `periodMs` until cancelled. */
  every(periodMs: number, task: () => void): Cancel;
}

export type Cancel = () => void;

/** The machine's clock. Its timers do not keep the process alive: sockets and servers do. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, task) {
    const timer = setTimeout(task, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
  every(periodMs, task) {
    const timer = setInterval(task, periodMs);
    timer.unref();
    return () => clearInterval(timer);
  },
};
