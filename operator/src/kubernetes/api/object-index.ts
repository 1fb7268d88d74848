/** Under which values an object is found, for each index. */
export type IndexFunctions<T> = Readonly<Record<string, (object: T) => readonly string[]>>;

interface Bucket<T> {
  readonly objects: Map<string, T>;
  /** What was answered last; gone when the bucket changes. */
  listed: readonly T[] | undefined;
}

const none: readonly never[] = [];

/** Objects by the values of index functions. Answers are the same array until something in it changes. */
export class ObjectIndex<T> {
  readonly #functions: IndexFunctions<T>;
  readonly #buckets = new Map<string, Map<string, Bucket<T>>>();

  constructor(functions: IndexFunctions<T>) {
    this.#functions = functions;
    for (const index of Object.keys(functions)) this.#buckets.set(index, new Map());
  }

  /** Throws for an index that there is none of: a mistake in the program. */
  find(index: string, value: string): readonly T[] {
    const buckets = this.#buckets.get(index);
    if (buckets === undefined) throw new Error(`no index ${index}`);
    const bucket = buckets.get(value);
    if (bucket === undefined) return none;
    bucket.listed ??= [...bucket.objects.values()];
    return bucket.listed;
  }

  put(key: string, before: T | undefined, after: T | undefined): void {
    for (const [index, valuesOf] of Object.entries(this.#functions)) {
      const buckets = this.#buckets.get(index) ?? new Map<string, Bucket<T>>();
      const values = after === undefined ? none : valuesOf(after);
      for (const value of before === undefined ? none : valuesOf(before)) if (!values.includes(value)) leave(buckets, value, key);
      for (const value of values) if (after !== undefined) enter(buckets, value, key, after);
    }
  }
}

function enter<T>(buckets: Map<string, Bucket<T>>, value: string, key: string, object: T): void {
  let bucket = buckets.get(value);
  if (bucket === undefined) {
    bucket = { objects: new Map(), listed: undefined };
    buckets.set(value, bucket);
  }
  bucket.objects.set(key, object);
  bucket.listed = undefined;
}

function leave<T>(buckets: Map<string, Bucket<T>>, value: string, key: string): void {
  const bucket = buckets.get(value);
  if (bucket === undefined) return;
  bucket.objects.delete(key);
  bucket.listed = undefined;
  if (bucket.objects.size === 0) buckets.delete(value);
}
