import { ObjectCache } from "../../operator/src/kubernetes/api/cache.js";
import type { ApiResult, KubernetesApi, KubernetesObject, ObjectKey, Resource } from "../../operator/src/kubernetes/api/types.js";
import { ownedIndexes, ownedResources } from "../../operator/src/kubernetes/cluster-caches.js";
import type { FleetCaches, PushGatewayObject } from "../../operator/src/kubernetes/world/fleet-caches.js";
import type { Node, Pod } from "../../operator/src/kubernetes/world/observe-pod.js";

const ownerOf = ({ metadata }: KubernetesObject) => metadata.ownerReferences?.flatMap(({ uid }) => uid) ?? [];

/** The objects of an API server, in memory, and the caches of an operator that sees every write at once. As the operator's watches, the caches
 *  hold only what has its label. It keeps objects as they are written: no defaults, and an apply replaces what was there. */
export class StoredObjects {
  /** Each write: "create Secret/demo-ca". Those that were refused too. */
  readonly writes: string[] = [];
  /** Why a write is refused, if it is. */
  refusal: (write: string) => string | undefined = () => undefined;
  readonly caches: FleetCaches;
  readonly api: KubernetesApi;
  readonly #objects = new Map<string, KubernetesObject>();
  readonly #owned = new Map(
    ownedResources.map((resource) => [resource.kind, { resource, cache: new ObjectCache<KubernetesObject>(ownedIndexes) }]),
  );
  #version = 0;

  constructor() {
    this.caches = {
      pushGateways: new ObjectCache<PushGatewayObject>(),
      pods: new ObjectCache<Pod>({ owner: ownerOf, router: () => [], deployed: () => [] }),
      nodes: new ObjectCache<Node>(),
      owned: this.#owned,
    };
    const api = {
      get: async ({ kind }: Resource, { name }: ObjectKey) => this.get(kind, name),
      create: async ({ kind }: Resource, object: KubernetesObject) =>
        this.#write(`create ${kind}/${object.metadata.name}`, () =>
          this.#objects.has(`${kind}/${object.metadata.name}`) ? { kind: "exists" } : { kind: "ok", object: this.put(object) },
        ),
      apply: async ({ kind }: Resource, object: KubernetesObject) =>
        this.#write(`apply ${kind}/${object.metadata.name}`, () => ({ kind: "ok", object: this.put(object) })),
      patch: async ({ kind }: Resource, { name }: ObjectKey, patch: Partial<KubernetesObject>) =>
        this.#write(`patch ${kind}/${name}`, () => {
          const found = this.#objects.get(`${kind}/${name}`);
          if (found === undefined) return { kind: "notFound" };
          return { kind: "ok", object: this.put({ ...found, ...patch, metadata: { ...found.metadata, ...patch.metadata } }) };
        }),
      delete: async ({ kind }: Resource, { name }: ObjectKey) =>
        this.#write(`delete ${kind}/${name}`, () => {
          this.take(kind, name);
          return { kind: "ok", object: {} };
        }),
    };
    this.api = api as unknown as KubernetesApi;
  }

  get(kind: string, name: string): ApiResult<KubernetesObject> {
    const object = this.#objects.get(`${kind}/${name}`);
    return object === undefined ? { kind: "notFound" } : { kind: "ok", object };
  }

  /** Writes an object as it is, as anybody may. */
  put(object: KubernetesObject): KubernetesObject {
    const { kind, metadata } = object;
    const id = `${kind}/${metadata.name}`;
    const before = this.#objects.get(id);
    this.#version += 1;
    const uid = before?.metadata.uid ?? `uid-${this.#version}`;
    const stored = { ...object, metadata: { ...metadata, uid, resourceVersion: String(this.#version) } };
    this.#objects.set(id, stored);
    const cache = this.#owned.get(kind)?.cache;
    const isSeen = metadata.labels?.["app.kubernetes.io/managed-by"] === "pushfleet-operator";
    if (isSeen) cache?.observe(before === undefined ? "ADDED" : "MODIFIED", stored);
    else if (before !== undefined) cache?.observe("DELETED", stored);
    return stored;
  }

  /** Deletes one. */
  take(kind: string, name: string): void {
    const before = this.#objects.get(`${kind}/${name}`);
    this.#objects.delete(`${kind}/${name}`);
    this.#version += 1;
    const metadata = { ...before?.metadata, name, resourceVersion: String(this.#version) };
    if (before !== undefined) this.#owned.get(kind)?.cache.observe("DELETED", { ...before, metadata });
  }

  #write(write: string, act: () => ApiResult<unknown>): ApiResult<unknown> {
    this.writes.push(write);
    const message = this.refusal(write);
    return message === undefined ? act() : { kind: "refused", status: 403, reason: "Forbidden", message };
  }
}
