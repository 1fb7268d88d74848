import { setTimeout as delay } from "node:timers/promises";
import type { KubernetesObject } from "../../../operator/src/kubernetes/api/types.js";
import type { KubeletApi } from "./api.js";
import { keyOf } from "./objects.js";

const WATCH_SECONDS = 300;
const RETRY_MS = 200;

/** `after` is undefined when the object is gone. */
export type OnChange<T> = (before: T | undefined, after: T | undefined) => void;

/** Keeps the objects of one path as the API server has them: lists, watches, and lists again where a watch cannot go on. */
export class ObjectWatch<T extends KubernetesObject> {
  readonly #api: KubeletApi;
  readonly #path: string;
  readonly #objects = new Map<string, T>();
  readonly #listeners: OnChange<T>[] = [];
  readonly #ended = new AbortController();
  #running: Promise<void> | undefined;
  #resourceVersion = "";

  constructor(api: KubeletApi, path: string) {
    this.#api = api;
    this.#path = path;
  }

  /** By `keyOf`. */
  get objects(): ReadonlyMap<string, T> {
    return this.#objects;
  }

  /** Listeners must be there before `start`. */
  onChange(listener: OnChange<T>): void {
    this.#listeners.push(listener);
  }

  /** Resolves when the first list is in; throws when the API server does not give it. */
  async start(): Promise<void> {
    const status = await this.#list();
    if (status !== 200) throw new Error(`the API server answered ${status} to the list of ${this.#path}`);
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#ended.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      const status = await this.#watch();
      if (this.#ended.signal.aborted) return;
      if (status === 200) continue;
      await delay(RETRY_MS);
      if (!this.#ended.signal.aborted) await this.#list();
    }
  }

  /** 200 when the next watch may go on from where this one ended. */
  async #watch(): Promise<number> {
    const query = `watch=1&allowWatchBookmarks=true&timeoutSeconds=${WATCH_SECONDS}&resourceVersion=${this.#resourceVersion}`;
    let isBroken = false;
    const status = await this.#api.stream(`${this.#path}?${query}`, this.#ended.signal, (line) => {
      const event = JSON.parse(line) as { readonly type: string; readonly object: T };
      if (event.type === "ERROR") isBroken = true;
      else this.#take(event.type, event.object);
    });
    return isBroken ? 410 : status;
  }

  #take(type: string, object: T): void {
    this.#resourceVersion = object.metadata.resourceVersion ?? this.#resourceVersion;
    if (type === "BOOKMARK") return;
    this.#put(keyOf(object), type === "DELETED" ? undefined : object);
  }

  #put(key: string, after: T | undefined): void {
    const before = this.#objects.get(key);
    if (after === undefined) this.#objects.delete(key);
    else this.#objects.set(key, after);
    // One of the same name may have come while we saw nothing: the former is gone.
    const isAnother = before !== undefined && after !== undefined && before.metadata.uid !== after.metadata.uid;
    for (const listener of this.#listeners) {
      if (isAnother) listener(before, undefined);
      listener(isAnother ? undefined : before, after);
    }
  }

  async #list(): Promise<number> {
    const { status, body } = await this.#api.get(this.#path);
    if (status !== 200) return status;
    const list = body as { kind: string; apiVersion: string; metadata: { resourceVersion: string }; items: readonly T[] };
    const kind = list.kind.replace(/List$/, "");
    const found = new Map(list.items.map((item) => [keyOf(item), { ...item, apiVersion: list.apiVersion, kind }]));
    for (const key of [...this.#objects.keys()]) if (!found.has(key)) this.#put(key, undefined);
    for (const [key, object] of found) {
      if (this.#objects.get(key)?.metadata.resourceVersion !== object.metadata.resourceVersion) this.#put(key, object);
    }
    this.#resourceVersion = list.metadata.resourceVersion;
    return status;
  }
}
