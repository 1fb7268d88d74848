import { setMaxListeners } from "node:events";
import type { Clock } from "@pushfleet/service";

/** A signal of its own for one piece of work: aborted by the caller's, or by `abort`. `release` when the work is over. */
export interface Deadline {
  readonly signal: AbortSignal;
  /** Its own time was up. */
  readonly timedOut: boolean;
  abort(reason: Error): void;
  release(): void;
}

/** Aborts after `timeoutMs`, or with `outer`. The last ms is a timer of its own: a process that was busy runs timers before it reads what has come
 *  meanwhile, and an answer that is there is none that did not come. Not AbortSignal.any: each of its results stays known to a signal that lives
 *  as long as the process. */
export function startDeadline(clock: Clock, timeoutMs: number, outer: AbortSignal | undefined): Deadline {
  const controller = new AbortController();
  const follow = () => controller.abort(outer?.reason ?? new Error("aborted"));
  let timedOut = false;
  const end = () => {
    timedOut = !controller.signal.aborted;
    controller.abort(new Error(`no answer within ${timeoutMs} ms`));
  };
  let cancel = clock.after(timeoutMs - 1, () => {
    cancel = clock.after(1, end);
  });
  if (outer?.aborted === true) follow();
  else if (outer !== undefined) {
    setMaxListeners(0, outer); // one signal ends many requests; each takes its listener back
    outer.addEventListener("abort", follow, { once: true });
  }
  return {
    signal: controller.signal,
    get timedOut() {
      return timedOut;
    },
    abort: (reason) => controller.abort(reason),
    release() {
      cancel();
      outer?.removeEventListener("abort", follow);
    },
  };
}

/** What `promise` gives, or a rejection with the signal's reason as soon as it aborts: for work that does not listen to a signal. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
