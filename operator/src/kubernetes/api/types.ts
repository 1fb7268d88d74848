/** What the rest of `kubernetes/` knows of an API server. Objects are plain JSON as the server wrote it; the types of
 *  `@kubernetes/client-node` (V1Pod, …) may be put over it with `Json<V1Pod>`: there dates are strings. */

/** One kind of object and where the API serves it. */
export interface Resource<T extends KubernetesObject = KubernetesObject> {
  /** "" for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
  /** Only a type: which object the resource holds. */
  readonly sample?: T;
}

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly deletionGracePeriodSeconds?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly OwnerReference[];
  readonly managedFields?: readonly unknown[];
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
}

/** `namespace` is "" for what has none. */
export interface ObjectKey {
  readonly namespace: string;
  readonly name: string;
}

/** What became of a request. Only "unavailable" is worth trying again as it is. */
export type ApiResult<T> =
  | { readonly kind: "ok"; readonly object: T }
  /** The object, or its namespace, or its kind (a missing CRD): the message says which. */
  | { readonly kind: "notFound"; readonly message?: string }
  /** Create only: an object of that name is there. */
  | { readonly kind: "exists" }
  /** 409: uid or resourceVersion is not (or no more) what the write expected, or another field manager owns the field. */
  | { readonly kind: "conflict"; readonly message: string }
  /** 410: the resourceVersion or the continue token is too old: list again. */
  | { readonly kind: "expired"; readonly message: string }
  /** 400, 401, 403 (RBAC, quota, a webhook), 405, 413, 422, …: the same request is refused again until somebody changes something. */
  | { readonly kind: "refused"; readonly status: number; readonly reason: string; readonly message: string }
  /** 429, 5xx, a timeout, a broken connection. A write may or may not have been done. `malformed`: an answer that is none of an API server's. */
  | { readonly kind: "unavailable"; readonly message: string; readonly retryAfterMs?: number; readonly malformed?: true };

export interface ObjectList<T> {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items: readonly T[];
}

export interface WritePreconditions {
  readonly uid?: string;
  readonly resourceVersion?: string;
}

export interface CallOptions {
  /** Ends the request early. */
  readonly signal?: AbortSignal;
  /** Default `limits.kubernetesRequestMs`. */
  readonly timeoutMs?: number;
}

export interface ListOptions extends CallOptions {
  /** Absent: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly limit?: number;
  readonly continueToken?: string;
  readonly resourceVersion?: string;
}

export interface WatchOptions {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly resourceVersion: string;
  readonly timeoutSeconds: number;
  readonly signal: AbortSignal;
  /** Without a byte for so long the connection is taken for dead; default `limits.kubernetesWatchSilenceMs`. */
  readonly silenceMs?: number;
}

export type WatchEvent<T> =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK"; readonly object: T }
  /** `object` is a Status; code 410 asks for a new list. */
  | { readonly type: "ERROR"; readonly object: { readonly code?: number; readonly reason?: string; readonly message?: string } };

/** One API server, one kept-alive transport, one field manager. No method throws for what a server or a network can do. */
export interface KubernetesApi {
  get<T extends KubernetesObject>(resource: Resource<T>, key: ObjectKey, options?: CallOptions): Promise<ApiResult<T>>;
  list<T extends KubernetesObject>(resource: Resource<T>, options?: ListOptions): Promise<ApiResult<ObjectList<T>>>;
  create<T extends KubernetesObject>(resource: Resource<T>, object: T, options?: CallOptions): Promise<ApiResult<T>>;
  /** Server-side apply with `force` (our fields are ours) under the one field manager. */
  apply<T extends KubernetesObject>(
    resource: Resource<T>,
    object: T,
    options?: CallOptions & { readonly subresource?: "status"; readonly dryRun?: boolean },
  ): Promise<ApiResult<T>>;
  /** PUT: `metadata.resourceVersion` of `object` is the precondition. */
  replace<T extends KubernetesObject>(resource: Resource<T>, object: T, options?: CallOptions): Promise<ApiResult<T>>;
  /** JSON merge patch (RFC 7386); `metadata.uid` and `metadata.resourceVersion` in it are preconditions. `strategic`: lists with merge keys
   *  (a pod's conditions) are merged by them. */
  patch<T extends KubernetesObject>(
    resource: Resource<T>,
    key: ObjectKey,
    patch: object,
    options?: CallOptions & { readonly subresource?: "status"; readonly strategic?: boolean },
  ): Promise<ApiResult<T>>;
  delete(
    resource: Resource,
    key: ObjectKey,
    options?: CallOptions &
      WritePreconditions & { readonly gracePeriodSeconds?: number; readonly propagation?: "Background" | "Foreground" },
  ): Promise<ApiResult<unknown>>;
  /** One watch request: hands its events on until it ends (the server closed it, the signal, a broken connection) and says how it ended. A
   *  line that is no event ends it with "unavailable", an event of type ERROR with what its Status says. */
  watch<T extends KubernetesObject>(
    resource: Resource<T>,
    options: WatchOptions,
    onEvent: (event: WatchEvent<T>) => void,
  ): Promise<ApiResult<"ended">>;
  close(): Promise<void>;
}

/** What a reflector keeps of one resource: the objects as last seen. Every answer is the same object until it changes: do not change it. */
export interface ReadCache<T extends KubernetesObject> {
  get(key: ObjectKey): T | undefined;
  list(): readonly T[];
  /** Objects for which the index function `index` named `value`. */
  byIndex(index: string, value: string): readonly T[];
  /** It has been filled once. */
  readonly synced: boolean;
  /** Puts in what a write of our own answered, unless the cache has seen that object newer or another uid by now: so that observe is never
   *  older than our confirmed writes. */
  overlay(object: T): void;
  /** A confirmed delete of an object that is gone at once. */
  overlayDeleted(key: ObjectKey, uid: string): void;
}

export type CacheChange<T> =
  | { readonly kind: "added"; readonly after: T }
  | { readonly kind: "changed"; readonly before: T; readonly after: T }
  | { readonly kind: "deleted"; readonly before: T };

/** JSON form of a `@kubernetes/client-node` type: dates are RFC 3339 strings, and everything that may be absent may. */
export type Json<T> = T extends Date
  ? string
  : T extends readonly (infer Item)[]
    ? readonly Json<Item>[]
    : T extends object
      ? { readonly [K in keyof T]: Json<T[K]> }
      : T;
