import type { Cancel, Clock } from "./clock.js";

interface Timer {
  readonly id: number;
  dueMs: number;
  readonly periodMs: number | undefined;
  readonly task: () => void;
}

/** A clock that moves only when a test says so; timers run in the order they are due, at the time they are due. */
export class ManualClock implements Clock {
  #nowMs: number;
  #elapsedMs = 0;
  #lastId = 0;
  readonly #timers = new Map<number, Timer>();

  constructor(startMs = 1_700_000_000_000) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs + this.#elapsedMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  after(delayMs: number, task: () => void): Cancel {
    return this.#add(delayMs, undefined, task);
  }

  every(periodMs: number, task: () => void): Cancel {
    return this.#add(periodMs, periodMs, task);
  }

  /** Moves on by `ms`, running what falls due on the way. */
  advance(ms: number): void {
    const endMs = this.#elapsedMs + ms;
    for (;;) {
      const next = this.#nextDue(endMs);
      if (next === undefined) break;
      this.#elapsedMs = Math.max(this.#elapsedMs, next.dueMs);
      if (next.periodMs === undefined) this.#timers.delete(next.id);
      else next.dueMs += next.periodMs;
      next.task();
    }
    this.#elapsedMs = endMs;
  }

  /** Moves the wall clock only, as NTP would. */
  setWall(nowMs: number): void {
    this.#nowMs = nowMs - this.#elapsedMs;
  }

  #add(delayMs: number, periodMs: number | undefined, task: () => void): Cancel {
    const id = ++this.#lastId;
    this.#timers.set(id, { id, dueMs: this.#elapsedMs + delayMs, periodMs, task });
    return () => this.#timers.delete(id);
  }

  #nextDue(endMs: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers.values()) {
      if (timer.dueMs <= endMs && (next === undefined || timer.dueMs < next.dueMs)) next = timer;
    }
    return next;
  }
}
