import { limits } from "@pushfleet/protocol";

/** One event that was seen, perhaps many times. */
export interface Series<E> {
  readonly event: E;
  count: number;
  /** Monotonic. */
  lastAtMs: number;
  /** Name of the Event object, once it was created. */
  name: string | undefined;
}

/** Which events are the same, and how often something may be written about one object: what client-go's correlator decides. Bounded; what was
 *  quiet longest is forgotten first. */
export class EventCorrelator<E> {
  readonly #series = new Map<string, Series<E>>();
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>();

  /** The series that `event` belongs to, with it counted; `undefined` when too much is written about `about` already, and then a series that
   *  is there counts it nevertheless. */
  record(key: string, about: string, event: E, nowMs: number): Series<E> | undefined {
    const known = this.#series.get(key);
    const current = known !== undefined && nowMs - known.lastAtMs <= limits.eventSeriesMs ? known : undefined;
    if (current !== undefined) {
      current.count += 1;
      current.lastAtMs = nowMs;
    }
    const mayWrite = this.#take(about, nowMs);
    if (current === undefined && !mayWrite) return undefined;
    const series = current ?? { event, count: 1, lastAtMs: nowMs, name: undefined };
    put(this.#series, key, series);
    return mayWrite ? series : undefined;
  }

  #take(about: string, nowMs: number): boolean {
    const bucket = this.#buckets.get(about) ?? { tokens: limits.eventBurst, atMs: nowMs };
    const refilled = Math.min(limits.eventBurst, bucket.tokens + (nowMs - bucket.atMs) / limits.eventRefillMs);
    const may = refilled >= 1;
    put(this.#buckets, about, { tokens: may ? refilled - 1 : refilled, atMs: nowMs });
    return may;
  }
}

/** As the newest; the oldest makes room. */
function put<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > limits.eventSeriesMax && oldest !== undefined) map.delete(oldest);
}
