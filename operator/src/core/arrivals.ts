import type { ObservedPod, PodMemory } from "./types.js";

/** What one interval added to a pool, as rates a second. */
export interface ArrivalSample {
  /** New connections that stay. Resumed ones only moved, and churn that comes and goes needs no room: the lesser of handshakes without
   *  resumed ones and the growth in connections. Negative when the pool shrinks. */
  readonly netPerSecond: number;
  readonly handshakesPerSecond: number;
}

/** Compares the reports of a pool's pods with the memory of the plan before. A pod that is new since then counts from 0, one that restarted
 *  counts its present totals, one that vanished counts nothing: its clients come back as resumed ones. */
export function sampleArrivals(
  pods: readonly ObservedPod[],
  before: Readonly<Record<string, PodMemory>>,
  elapsedMs: number,
): ArrivalSample {
  let handshakes = 0;
  let fresh = 0;
  let growth = 0;
  for (const { uid, report } of pods) {
    if (report === undefined) continue;
    const last = before[uid];
    const restarted = last === undefined || report.handshakes < last.handshakes;
    handshakes += report.handshakes - (restarted ? 0 : last.handshakes);
    fresh += report.handshakes - report.resumed - (restarted ? 0 : last.handshakes - last.resumed);
    growth += report.connections - (restarted ? 0 : last.connections);
  }
  const seconds = elapsedMs / 1000;
  return { netPerSecond: Math.min(fresh, growth) / seconds, handshakesPerSecond: handshakes / seconds };
}

/** Exponentially weighted average over unevenly spaced samples: after `halfLifeMs` half of `average` is forgotten. */
export function ewma(average: number, sample: number, elapsedMs: number, halfLifeMs: number): number {
  const weight = 1 - 2 ** (-elapsedMs / halfLifeMs);
  return average + weight * (sample - average);
}
