import { limits } from "@pushfleet/protocol";
import { type IndexFunctions, ObjectIndex } from "./object-index.js";
import { isLater, versionNumber } from "./resource-version.js";
import type { CacheChange, KubernetesObject, ObjectKey, ReadCache } from "./types.js";

export type ChangeListener<T> = (change: CacheChange<T>) => void;

/** The objects of one resource as a reflector saw them last, plus what our own writes answered meanwhile (overlays).
 *
 *  What makes it safe against events that are repeated or late: versions of one resource are numbers that rise; an object that is gone keeps
 *  its uid for itself; a list is the whole truth of its version. Where versions are no numbers, events are believed in the order they come,
 *  and overlays are left out. Every change is told once, after the cache has it, be it by an event, a list or an overlay. */
export class ObjectCache<T extends KubernetesObject> implements ReadCache<T> {
  readonly #objects = new Map<string, T>();
  readonly #index: ObjectIndex<T>;
  readonly #trim: (object: T) => T;
  readonly #listeners: ChangeListener<T>[] = [];
  /** Versions of our own writes that the watch has not reached, by key, also of what was deleted since: nothing older is believed. */
  readonly #pending = new Map<string, number>();
  /** No pending version is lower. */
  #pendingFrom = Number.POSITIVE_INFINITY;
  /** Uids of objects that are gone: events of that version or before are old news. In the order of their going. */
  readonly #gone = new Map<string, number>();
  #listed: readonly T[] | undefined;
  #listVersion: number | undefined;
  #resourceVersion = "";
  #synced = false;

  /** `trim`: what is kept of an object; its metadata at least. */
  constructor(indexes: IndexFunctions<T> = {}, trim: (object: T) => T = (object) => object) {
    this.#index = new ObjectIndex(indexes);
    this.#trim = trim;
  }

  listen(listener: ChangeListener<T>): void {
    this.#listeners.push(listener);
  }

  get(key: ObjectKey): T | undefined {
    return this.#objects.get(keyText(key));
  }

  list(): readonly T[] {
    this.#listed ??= [...this.#objects.values()];
    return this.#listed;
  }

  byIndex(index: string, value: string): readonly T[] {
    return this.#index.find(index, value);
  }

  get synced(): boolean {
    return this.#synced;
  }

  /** Up to where events have been seen: where a watch goes on. "" before the first list. */
  get resourceVersion(): string {
    return this.#resourceVersion;
  }

  overlay(object: T): void {
    const { uid, resourceVersion } = object.metadata;
    const version = versionNumber(resourceVersion);
    const seen = versionNumber(this.#resourceVersion);
    const key = keyText(object.metadata);
    const known = this.#objects.get(key);
    // What the watch has passed it has shown, or something newer; so has another write of ours.
    if (version === undefined || (seen !== undefined && version <= seen) || version <= (this.#pending.get(key) ?? 0)) return;
    if (known !== undefined && !isLater(resourceVersion, known.metadata.resourceVersion)) return;
    this.#pending.set(key, version);
    this.#pendingFrom = Math.min(this.#pendingFrom, version);
    if (!this.#isGone(object)) this.#tell(this.#put(key, object));
    // It came and went; what had its name before it is gone as well.
    else if (known?.metadata.uid !== uid) this.#tell(this.#remove(key, version, true));
  }

  overlayDeleted(key: ObjectKey, uid: string): void {
    this.#remember(uid, Number.POSITIVE_INFINITY);
    const text = keyText(key);
    if (this.#objects.get(text)?.metadata.uid === uid) this.#tell(this.#remove(text, undefined, true));
  }

  /** An event of the watch. */
  observe(type: "ADDED" | "MODIFIED" | "DELETED", object: T): void {
    const changes = type === "DELETED" ? this.#observeGone(object) : this.#observeThere(object);
    this.#tell([...changes, ...this.#advance(object.metadata.resourceVersion)]);
  }

  /** A bookmark: everything up to that version has been shown. */
  advance(resourceVersion: string): void {
    this.#tell(this.#advance(resourceVersion));
  }

  /** A whole list, taken at `resourceVersion`. One that is older than what was seen tells that the server went back in time (an etcd restored
   *  from a backup): then it is believed as it is. */
  replace(items: readonly T[], resourceVersion: string): void {
    const version = versionNumber(resourceVersion);
    const wentBack = version !== undefined && version < (versionNumber(this.#resourceVersion) ?? 0);
    if (wentBack) this.#forget();
    const changes: CacheChange<T>[] = [];
    const there = new Set<string>();
    for (const item of items) {
      if (this.#isGone(item)) continue;
      const key = keyText(item.metadata);
      there.add(key);
      changes.push(...this.#accept(key, item, wentBack));
    }
    for (const key of [...this.#objects.keys()]) {
      const newer = version !== undefined && (this.#pending.get(key) ?? 0) > version; // written after the list was taken
      if (!there.has(key) && !newer) changes.push(...this.#remove(key, version));
    }
    for (const [key, pending] of this.#pending) if (version === undefined || pending <= version) this.#pending.delete(key);
    this.#listVersion = version;
    this.#resourceVersion = resourceVersion;
    this.#synced = true;
    this.#tell(changes);
  }

  #observeThere(object: T): readonly CacheChange<T>[] {
    if (this.#isGone(object)) return [];
    const key = keyText(object.metadata);
    const version = versionNumber(object.metadata.resourceVersion);
    // The list had all there was at its version: what it did not have was gone before.
    const beforeList = version !== undefined && this.#listVersion !== undefined && version <= this.#listVersion;
    return beforeList && !this.#objects.has(key) ? [] : this.#accept(key, object, false);
  }

  #observeGone(object: T): readonly CacheChange<T>[] {
    const { uid, resourceVersion } = object.metadata;
    const version = versionNumber(resourceVersion);
    const key = keyText(object.metadata);
    const known = this.#objects.get(key);
    const same = known?.metadata.uid === uid;
    // A watch with a selector tells of a going also when the object only left the selector: it may come back under a later version.
    if (uid !== undefined && version !== undefined) this.#remember(uid, version);
    if (known === undefined) return [];
    const [gone, had] = [version, versionNumber(known.metadata.resourceVersion)];
    if (gone === undefined || had === undefined) return same ? this.#remove(key) : [];
    // Of another uid and later: what we know was replaced by it, and both are gone.
    return gone > had || (same && gone === had) ? this.#remove(key, gone) : [];
  }

  /** Takes it in if it is later than what is known, or anyway. */
  #accept(key: string, object: T, anyway: boolean): readonly CacheChange<T>[] {
    const { resourceVersion } = object.metadata;
    const known = this.#objects.get(key);
    const pending = this.#pending.get(key);
    const reached = pending === undefined || (versionNumber(resourceVersion) ?? 0) >= pending;
    if (!reached) return [];
    this.#pending.delete(key);
    const different = known?.metadata.uid !== object.metadata.uid || known?.metadata.resourceVersion !== resourceVersion;
    return known === undefined || (anyway ? different : isLater(resourceVersion, known.metadata.resourceVersion))
      ? this.#put(key, object)
      : [];
  }

  #put(key: string, object: T): readonly CacheChange<T>[] {
    const before = this.#objects.get(key);
    const { uid } = object.metadata;
    const replaced =
      before !== undefined && before.metadata.uid !== uid ? this.#remove(key, versionNumber(object.metadata.resourceVersion), true) : [];
    const after = this.#trim(withoutManagedFields(object));
    this.#objects.set(key, after);
    this.#listed = undefined;
    const same = replaced.length === 0 ? before : undefined;
    this.#index.put(key, same, after);
    return [...replaced, same === undefined ? { kind: "added", after } : { kind: "changed", before: same, after }];
  }

  #remove(key: string, version?: number, keepPending = false): readonly CacheChange<T>[] {
    const before = this.#objects.get(key);
    if (before === undefined) return [];
    if (before.metadata.uid !== undefined && version !== undefined) this.#remember(before.metadata.uid, version);
    if (!keepPending) this.#pending.delete(key);
    this.#objects.delete(key);
    this.#listed = undefined;
    this.#index.put(key, before, undefined);
    return [{ kind: "deleted", before }];
  }

  /** Overlays that the watch has passed without showing them are none of its objects (of another namespace, outside its selector). */
  #advance(resourceVersion: string | undefined): readonly CacheChange<T>[] {
    if (resourceVersion === undefined || !isLater(resourceVersion, this.#resourceVersion)) return [];
    this.#resourceVersion = resourceVersion;
    const seen = versionNumber(resourceVersion);
    if (seen === undefined || seen < this.#pendingFrom) return [];
    const passed = [...this.#pending].filter(([, version]) => version <= seen);
    const changes = passed.flatMap(([key]) => this.#remove(key, seen));
    for (const [key] of passed) this.#pending.delete(key);
    this.#pendingFrom = Math.min(...this.#pending.values()); // of none: Infinity
    return changes;
  }

  #isGone({ metadata: { uid, resourceVersion } }: T): boolean {
    const goneAt = uid === undefined ? undefined : this.#gone.get(uid);
    return goneAt !== undefined && (versionNumber(resourceVersion) ?? 0) <= goneAt;
  }

  #remember(uid: string, version: number): void {
    const goneAt = Math.max(version, this.#gone.get(uid) ?? 0);
    this.#gone.delete(uid);
    this.#gone.set(uid, goneAt);
    const [oldest] = this.#gone.keys();
    if (this.#gone.size > limits.kubernetesDeletedRemembered && oldest !== undefined) this.#gone.delete(oldest);
  }

  #forget(): void {
    this.#gone.clear();
    this.#pending.clear();
    this.#pendingFrom = Number.POSITIVE_INFINITY;
  }

  #tell(changes: readonly CacheChange<T>[]): void {
    for (const change of changes) for (const listener of this.#listeners) listener(change);
  }
}

export function keyText({ namespace = "", name }: { readonly namespace?: string; readonly name: string }): string {
  return `${namespace}/${name}`;
}

/** Who set which field is half of a pod's bytes, and nobody here reads it. */
function withoutManagedFields<T extends KubernetesObject>(object: T): T {
  if (object.metadata.managedFields === undefined) return object;
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}
