import type { ApiResult, KubernetesApi, KubernetesObject, ReadCache, Resource } from "../api/types.js";
import { type EnsureOutcome, outcomeOf } from "./ensure-outcome.js";
import { fixedFault, isFixed } from "./fixed-object.js";
import { isOwnedAs, lookAtPlace, showAgain } from "./foreign-object.js";
import { type Fields, hasMore, keptOf, mergeFields, whatOthersAdded, whatPutsBack } from "./object-drift.js";

/** One kind of owned object: where it is served and what is known of it. */
export interface OwnedKind {
  readonly resource: Resource;
  readonly cache: ReadCache<KubernetesObject>;
}

export interface OwnedObjectsParts {
  readonly api: KubernetesApi;
  /** By kind ("Service", "ConfigMap", …). */
  readonly kinds: ReadonlyMap<string, OwnedKind>;
  /** Somebody changed or deleted it, and it was put back. */
  readonly onRestored: (object: KubernetesObject, what: "changed" | "deleted") => void;
}

/** What was applied, and how the server wrote it down: with its defaults and its spelling of quantities. */
interface AppliedObject {
  readonly wanted: string;
  readonly uid: string;
  resourceVersion: string;
  /** What is ours to keep of it (object-drift.ts), as the server answered it. */
  readonly kept: Fields;
}

/** Keeps the objects of one fleet as they should be: applied once (server-side apply), and again only when what is wanted changes or when
 *  somebody changed them. What the server and its webhooks add to an object as they answer (defaults, status) is no change: an object is compared
 *  with that answer. What was added by hand before this process wrote first is taken away with that write. */
export class OwnedObjects {
  readonly #parts: OwnedObjectsParts;
  readonly #applied = new Map<string, AppliedObject>();

  constructor(parts: OwnedObjectsParts) {
    this.#parts = parts;
  }

  async ensure(object: KubernetesObject): Promise<EnsureOutcome> {
    const kind = this.#kindOf(object);
    const id = idOf(object);
    const live = this.#ours(object, kind.cache.get(keyOf(object)));
    if (live !== undefined && isFixed(object)) return await this.#keepFixed(kind, object, live);
    const wanted = JSON.stringify(object);
    const applied = this.#applied.get(id);
    const isKnown = applied?.wanted === wanted;
    const change = live !== undefined && isKnown ? changeOf(object, live, applied) : undefined;
    if (live !== undefined && isKnown && change === undefined) {
      applied.resourceVersion = live.metadata.resourceVersion ?? "";
      return { kind: "ensured" };
    }
    const standing = live === undefined ? await lookAtPlace(this.#parts.api, kind.resource, object) : undefined;
    if (standing?.kind === "barred") return standing.outcome;
    const result = change === undefined ? await this.#apply(kind, object) : await this.#rewrite(kind, object, change);
    if (result.kind !== "ok") return outcomeOf(result, object);
    kind.cache.overlay(result.object);
    this.#remember(id, wanted, object, result.object);
    if (isKnown) this.#parts.onRestored(result.object, standing?.kind === "free" ? "deleted" : "changed");
    return { kind: "ensured" };
  }

  async #keepFixed(kind: OwnedKind, object: KubernetesObject, live: KubernetesObject): Promise<EnsureOutcome> {
    const fault = fixedFault(object, live);
    if (fault === undefined) return { kind: "ensured" };
    let result: ApiResult<KubernetesObject>;
    if (fault === "metadata") {
      result = await showAgain(kind, live.metadata, object, this.#parts.api);
    } else {
      const removed = await this.remove({ ...object, metadata: live.metadata });
      if (removed.kind !== "ensured") return removed;
      result = await this.#parts.api.apply(kind.resource, object);
    }
    if (result.kind !== "ok") return outcomeOf(result, object);
    kind.cache.overlay(result.object);
    this.#parts.onRestored(result.object, "changed");
    return { kind: "ensured" };
  }

  /** What the cache has of that name, if it is the fleet's: by its owner, or, where somebody took that away, because it is what was applied. */
  #ours(object: KubernetesObject, seen: KubernetesObject | undefined): KubernetesObject | undefined {
    if (seen === undefined || isOwnedAs(seen, object)) return seen;
    return this.#applied.get(idOf(object))?.uid === seen.metadata.uid ? seen : undefined;
  }

  /** Deletes one that is not wanted any more. */
  async remove(object: KubernetesObject): Promise<EnsureOutcome> {
    const kind = this.#kindOf(object);
    const { uid } = object.metadata;
    const result = await this.#parts.api.delete(kind.resource, keyOf(object), {
      ...(uid === undefined ? {} : { uid }),
      propagation: "Background",
    });
    this.#applied.delete(idOf(object));
    if (result.kind === "ok" && uid !== undefined) kind.cache.overlayDeleted(keyOf(object), uid);
    return result.kind === "notFound" || result.kind === "conflict" ? { kind: "ensured" } : outcomeOf(result, object);
  }

  /** Server-side apply leaves what another manager has added beside our fields, also in a list of ours: a port that was renumbered would stand there
   *  twice. */
  async #apply(kind: OwnedKind, object: KubernetesObject): Promise<ApiResult<KubernetesObject>> {
    const result = await this.#parts.api.apply(kind.resource, object);
    if (result.kind !== "ok") return result;
    const added = whatOthersAdded(object, result.object);
    if (added === undefined && !hasMore(object, result.object)) return result;
    const { name: _name, namespace: _namespace, ...metadata } = object.metadata;
    const rewritten = await this.#rewrite(kind, object, mergeFields({ ...object, metadata }, added ?? {}) as object);
    if (
      added !== undefined &&
      rewritten.kind === "ok" &&
      whatPutsBack(object, result.object, keptOf(object, rewritten.object)) !== undefined
    )
      this.#parts.onRestored(rewritten.object, "changed");
    return rewritten;
  }

  /** Fields are written as they should be, lists whole, and then applied, to be ours again. */
  async #rewrite({ resource }: OwnedKind, object: KubernetesObject, change: object): Promise<ApiResult<KubernetesObject>> {
    const written = await this.#parts.api.patch(resource, keyOf(object), change);
    if (written.kind === "unavailable" || written.kind === "refused") return written;
    // Not there any more, or changed meanwhile: applying makes it, or says why not.
    return await this.#parts.api.apply(resource, object);
  }

  #remember(id: string, wanted: string, object: KubernetesObject, written: KubernetesObject): void {
    const { uid = "", resourceVersion = "" } = written.metadata;
    this.#applied.set(id, { wanted, uid, resourceVersion, kept: keptOf(object, written) });
  }

  #kindOf({ kind, metadata }: KubernetesObject): OwnedKind {
    const known = this.#parts.kinds.get(kind);
    if (known === undefined) throw new Error(`${kind} ${metadata.name} is of a kind that is not owned`);
    return known;
  }
}

/** What puts it back; `undefined`: nobody changed it. */
function changeOf(object: KubernetesObject, live: KubernetesObject, applied: AppliedObject): object | undefined {
  const { uid, resourceVersion } = live.metadata;
  return uid === applied.uid && resourceVersion === applied.resourceVersion ? undefined : whatPutsBack(object, live, applied.kept);
}

function idOf({ kind, metadata }: KubernetesObject): string {
  return `${kind}/${metadata.namespace ?? ""}/${metadata.name}`;
}

function keyOf({ metadata }: KubernetesObject): { readonly namespace: string; readonly name: string } {
  return { namespace: metadata.namespace ?? "", name: metadata.name };
}
