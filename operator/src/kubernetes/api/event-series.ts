import { limits } from "@pushfleet/protocol";

/** One event that was seen, perhaps many times. */
export interface Series<E> {
  readonly event: E;
  count: number;
  /** Monotonic. */
  lastAtMs: number;
  /** Name of the Event object, once it was created. */
  name: string | undefined;
  /** How many other series about the object were left out since the last one that was written. */
  readonly leftOut: number;
}

/** What may be written about one object. */
interface Bucket {
  readonly tokens: number;
  readonly atMs: number;
  /** Series that were left out and not told of yet. */
  readonly leftOut: number;
}

/** Which events are the same, and how often something may be written about one object: what client-go's correlator decides. Bounded; what was
 *  quiet longest is forgotten first. */
export class EventCorrelator<E> {
  readonly #series = new Map<string, Series<E>>();
  readonly #buckets = new Map<string, Bucket>();

  /** The series that `event` belongs to, with it counted; `undefined` when too much is written about `about` already, and then a series that
   *  is there counts it nevertheless. */
  record(key: string, about: string, event: E, nowMs: number): Series<E> | undefined {
    const known = this.#series.get(key);
    const current = known !== undefined && nowMs - known.lastAtMs <= limits.eventSeriesMs ? known : undefined;
    if (current !== undefined) {
      current.count += 1;
      current.lastAtMs = nowMs;
    }
    const bucket = this.#refilled(about, nowMs);
    const mayWrite = bucket.tokens >= 1;
    const tokens = mayWrite ? bucket.tokens - 1 : bucket.tokens;
    if (current === undefined && !mayWrite) {
      put(this.#buckets, about, { ...bucket, leftOut: bucket.leftOut + 1 });
      return undefined;
    }
    put(this.#buckets, about, { ...bucket, tokens, leftOut: current === undefined ? 0 : bucket.leftOut });
    const series = current ?? { event, count: 1, lastAtMs: nowMs, name: undefined, leftOut: bucket.leftOut };
    put(this.#series, key, series);
    return mayWrite ? series : undefined;
  }

  #refilled(about: string, nowMs: number): Bucket {
    const { tokens, atMs, leftOut } = this.#buckets.get(about) ?? { tokens: limits.eventBurst, atMs: nowMs, leftOut: 0 };
    return { tokens: Math.min(limits.eventBurst, tokens + (nowMs - atMs) / limits.eventRefillMs), atMs: nowMs, leftOut };
  }
}

/** As the newest; the oldest makes room. */
function put<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > limits.eventSeriesMax && oldest !== undefined) map.delete(oldest);
}
