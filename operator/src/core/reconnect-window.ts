/** Totals of one gateway since its process started, as it reports them. */
export interface ReconnectTotals {
  readonly uid: string;
  readonly attempted: number;
  readonly failed: number;
  /** It has run for longer than a window: what it had counted when it is seen for the first time is not of now. */
  readonly isOld?: boolean | undefined;
}

/** Whose reconnects tell of a rollout: the pods of a pool's newest revision while it has others beside. Those of a pool that is settled would
 *  hide the failures of one that is not. */
export function rolledOut<T extends { readonly pool: string; readonly revision: string }>(
  pods: readonly T[],
  pools: readonly { readonly name: string; readonly revision: string }[],
): readonly T[] {
  const newest = new Map(pools.map((pool) => [pool.name, pool.revision]));
  const rolling = new Set(pods.filter((pod) => newest.get(pod.pool) !== pod.revision).map((pod) => pod.pool));
  return pods.filter((pod) => rolling.has(pod.pool) && newest.get(pod.pool) === pod.revision);
}

export interface ReconnectFailures {
  readonly attempted: number;
  readonly failed: number;
}

/** What a world remembers of reconnects: the last totals of each pod, and what was added to them, newest last. */
export interface ReconnectWindow {
  readonly totals: Readonly<Record<string, ReconnectFailures>>;
  readonly samples: readonly (ReconnectFailures & { readonly atMs: number })[];
}

export const emptyReconnectWindow: ReconnectWindow = { totals: {}, samples: [] };

/** Adds what happened since the last look and forgets what is older than `windowMs`. `pods`: those whose reconnects count now. Totals that fell
 *  are those of a process that started again: all of them are new. A young pod seen for the first time counts with what it has: it is of the
 *  revision that is being rolled out. An old one counts from then on: its revision has come back by an undo, or this leader is new. */
export function lookAtReconnects(
  window: ReconnectWindow,
  pods: readonly ReconnectTotals[],
  nowMs: number,
  windowMs: number,
): ReconnectWindow {
  let attempted = 0;
  let failed = 0;
  for (const pod of pods) {
    const last = window.totals[pod.uid] ?? (pod.isOld === true ? pod : { attempted: 0, failed: 0 });
    const restarted = pod.attempted < last.attempted || pod.failed < last.failed;
    attempted += restarted ? pod.attempted : pod.attempted - last.attempted;
    failed += restarted ? pod.failed : pod.failed - last.failed;
  }
  const samples = window.samples.filter((sample) => nowMs - sample.atMs < windowMs);
  return {
    totals: Object.fromEntries(pods.map((pod) => [pod.uid, { attempted: pod.attempted, failed: pod.failed }])),
    samples: attempted + failed === 0 ? samples : [...samples, { atMs: nowMs, attempted, failed }],
  };
}

/** `Observed.reconnectFailures` of what is in the window; `undefined` with nothing in it. */
export function reconnectsIn(window: ReconnectWindow): ReconnectFailures | undefined {
  if (window.samples.length === 0) return undefined;
  const sum = (field: keyof ReconnectFailures): number => window.samples.reduce((total, sample) => total + sample[field], 0);
  return { attempted: sum("attempted"), failed: sum("failed") };
}
