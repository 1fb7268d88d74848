import type { Clock } from "@pushfleet/service";

/** Waits for `work` to end, well or badly, but no longer than `limitMs`: for the stop of a part whose peer may be away. */
export function settleWithin(clock: Clock, limitMs: number, work: Promise<unknown> | undefined): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(limitMs, resolve);
    const ended = (): void => {
      cancel();
      resolve();
    };
    if (work === undefined) ended();
    else work.then(ended, ended);
  });
}
