import { isMapping, limits } from "@pushfleet/protocol";
import type { Clock, Logger } from "@pushfleet/service";
import { type Counter, Registry } from "prom-client";
import { answerTooLong, malformed, unavailable, unwellResult, type Verb } from "./api-result.js";
import type { KubeConfigSource } from "./credentials.js";
import { startDeadline } from "./deadline.js";
import { sharedCounter } from "./metrics.js";
import { resourcePath } from "./resource-path.js";
import { apiVersionOf } from "./resources.js";
import { describeFailure, type HttpAnswer, type HttpRequest, readText, Transport } from "./transport.js";
import type {
  ApiResult,
  CallOptions,
  KubernetesApi,
  KubernetesObject,
  ListOptions,
  ObjectKey,
  ObjectList,
  Resource,
  WatchEvent,
  WatchOptions,
} from "./types.js";
import { parseJson } from "./watch-lines.js";
import { runWatch } from "./watch-request.js";

export interface KubernetesApiOptions {
  /** Loaded by the caller: server, certificates, tokens, plugins. */
  readonly kubeConfig: KubeConfigSource;
  /** Name under which the API server keeps which fields are ours; also the user agent. */
  readonly fieldManager: string;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly metrics?: Registry;
  /** What a request and its answer may take where the call does not say. Default `limits.kubernetesRequestMs`. */
  readonly requestMs?: number;
}

/** Throws where the KubeConfig is of no use (no cluster, a proxy); opens its connections with the first request. */
export function createKubernetesApi(options: KubernetesApiOptions): KubernetesApi {
  return new HttpKubernetesApi(options);
}

/** What a call adds to the request that every call makes. */
interface Call extends Pick<HttpRequest, "method" | "path"> {
  readonly verb?: Verb;
  readonly body?: object;
  readonly contentType?: string;
}

const json = "application/json";

class HttpKubernetesApi implements KubernetesApi {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #fieldManager: string;
  readonly #requestMs: number;
  readonly #requests: Counter<"code" | "method">;

  constructor(options: KubernetesApiOptions) {
    const { kubeConfig, fieldManager, logger, clock, metrics = new Registry(), requestMs = limits.kubernetesRequestMs } = options;
    this.#transport = new Transport({ kubeConfig, userAgent: fieldManager, logger, clock });
    this.#clock = clock;
    this.#fieldManager = fieldManager;
    this.#requestMs = requestMs;
    this.#requests = sharedCounter(metrics, {
      name: "rest_client_requests_total",
      help: "Requests to the API server by status code and method; <error>: no answer",
      labelNames: ["code", "method"],
    });
  }

  async get<T extends KubernetesObject>(resource: Resource<T>, key: ObjectKey, options: CallOptions = {}): Promise<ApiResult<T>> {
    return objectOf(await this.#call({ method: "GET", path: resourcePath(resource, key) }, options));
  }

  async list<T extends KubernetesObject>(resource: Resource<T>, options: ListOptions = {}): Promise<ApiResult<ObjectList<T>>> {
    const { namespace, labelSelector, limit, continueToken, resourceVersion } = options;
    const query = { labelSelector, limit, continue: continueToken, resourceVersion };
    return listOf(resource, await this.#call({ method: "GET", path: resourcePath(resource, { namespace, query }) }, options));
  }

  async create<T extends KubernetesObject>(resource: Resource<T>, object: T, options: CallOptions = {}): Promise<ApiResult<T>> {
    const { namespace } = object.metadata;
    const path = resourcePath(resource, { namespace, query: { fieldManager: this.#fieldManager } });
    return objectOf(await this.#call({ method: "POST", path, body: object, contentType: json, verb: "create" }, options));
  }

  async apply<T extends KubernetesObject>(
    resource: Resource<T>,
    object: T,
    options: CallOptions & { readonly subresource?: "status"; readonly dryRun?: boolean } = {},
  ): Promise<ApiResult<T>> {
    const { namespace, name } = object.metadata;
    const { subresource, dryRun = false } = options;
    const query = { fieldManager: this.#fieldManager, force: true, dryRun: dryRun ? "All" : undefined };
    const path = resourcePath(resource, { namespace, name, subresource, query });
    return objectOf(await this.#call({ method: "PATCH", path, body: object, contentType: "application/apply-patch+yaml" }, options));
  }

  async replace<T extends KubernetesObject>(resource: Resource<T>, object: T, options: CallOptions = {}): Promise<ApiResult<T>> {
    const { namespace, name } = object.metadata;
    const path = resourcePath(resource, { namespace, name, query: { fieldManager: this.#fieldManager } });
    return objectOf(await this.#call({ method: "PUT", path, body: object, contentType: json }, options));
  }

  async patch<T extends KubernetesObject>(
    resource: Resource<T>,
    key: ObjectKey,
    patch: object,
    options: CallOptions & { readonly subresource?: "status"; readonly strategic?: boolean } = {},
  ): Promise<ApiResult<T>> {
    const { subresource, strategic = false } = options;
    const path = resourcePath(resource, { ...key, subresource, query: { fieldManager: this.#fieldManager } });
    const contentType = strategic ? "application/strategic-merge-patch+json" : "application/merge-patch+json";
    return objectOf(await this.#call({ method: "PATCH", path, body: patch, contentType }, options));
  }

  async delete(resource: Resource, key: ObjectKey, options: Parameters<KubernetesApi["delete"]>[2] = {}): Promise<ApiResult<unknown>> {
    const { uid, resourceVersion, gracePeriodSeconds, propagation } = options;
    const preconditions = uid === undefined && resourceVersion === undefined ? undefined : { uid, resourceVersion };
    const body = { apiVersion: "v1", kind: "DeleteOptions", preconditions, gracePeriodSeconds, propagationPolicy: propagation };
    return await this.#call({ method: "DELETE", path: resourcePath(resource, key), body, contentType: json }, options);
  }

  async watch<T extends KubernetesObject>(
    resource: Resource<T>,
    options: WatchOptions,
    onEvent: (event: WatchEvent<T>) => void,
  ): Promise<ApiResult<"ended">> {
    const { namespace, labelSelector, resourceVersion, timeoutSeconds } = options;
    const query = { watch: true, allowWatchBookmarks: true, labelSelector, resourceVersion, timeoutSeconds };
    const call: Call = { method: "GET", path: resourcePath(resource, { namespace, query }) };
    const begin = (signal: AbortSignal) => this.#exchange(call, "watch", signal, async (answer) => answer);
    return await runWatch({ options, clock: this.#clock, begin, onEvent });
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }

  async #call(call: Call, { signal, timeoutMs = this.#requestMs }: CallOptions): Promise<ApiResult<unknown>> {
    const deadline = startDeadline(this.#clock, timeoutMs, signal);
    try {
      return await this.#exchange(call, "request", deadline.signal, bodyOf);
    } finally {
      deadline.release();
      if (deadline.timedOut) this.#transport.reconnect();
    }
  }

  /** Sends it and gives a 2xx answer to `read`; everything else becomes what it means. Never rejects. */
  async #exchange<R>(
    { method, path, verb = "other", body, contentType }: Call,
    kind: "request" | "watch",
    signal: AbortSignal,
    read: (answer: HttpAnswer) => Promise<R>,
  ): Promise<R | ApiResult<never>> {
    let counted = false;
    const count = (code: string) => {
      if (!counted) this.#requests.inc({ code, method });
      counted = true;
    };
    const written = body === undefined || contentType === undefined ? {} : { body: JSON.stringify(body), contentType };
    try {
      const answer = await this.#transport.send({ method, path, signal, ...written }, kind);
      count(String(answer.status));
      if (answer.status >= 200 && answer.status < 300) return await read(answer);
      const text = await readText(answer.body, limits.kubernetesBodyBytesMax);
      const status = text === "tooLong" ? undefined : parseJson(text.text);
      return unwellResult({ ...answer, body: status }, verb, this.#clock.nowMs());
    } catch (cause) {
      count("<error>");
      return unavailable(describeFailure(signal.aborted ? signal.reason : cause));
    }
  }
}

async function bodyOf({ status, body }: HttpAnswer): Promise<ApiResult<unknown>> {
  const read = await readText(body, limits.kubernetesBodyBytesMax);
  if (read === "tooLong") {
    return { kind: "refused", status, reason: answerTooLong, message: `the answer is longer than ${limits.kubernetesBodyBytesMax} bytes` };
  }
  const object = parseJson(read.text);
  return isMapping(object) ? { kind: "ok", object } : malformed("the answer is no JSON object");
}

function objectOf<T extends KubernetesObject>(result: ApiResult<unknown>): ApiResult<T> {
  if (result.kind !== "ok") return result;
  const { object } = result;
  if (!isMapping(object) || !isMapping(object["metadata"])) return malformed("the answer is no Kubernetes object");
  return { kind: "ok", object: object as unknown as T };
}

function listOf<T extends KubernetesObject>(resource: Resource<T>, result: ApiResult<unknown>): ApiResult<ObjectList<T>> {
  if (result.kind !== "ok") return result;
  const list = isMapping(result.object) ? result.object : {};
  const { metadata, items } = list;
  const listed = items ?? [];
  if (!isMapping(metadata) || typeof metadata["resourceVersion"] !== "string" || !Array.isArray(listed) || !listed.every(isListed)) {
    return malformed("the answer is no list");
  }
  const { resourceVersion, continue: token } = metadata;
  // Items of built-in kinds come without them.
  const typed = listed.map((item) => ({ apiVersion: apiVersionOf(resource), kind: resource.kind, ...item }) as unknown as T);
  const next = typeof token === "string" && token !== "" ? { continue: token } : {};
  return { kind: "ok", object: { metadata: { resourceVersion, ...next }, items: typed } };
}

function isListed(item: unknown): boolean {
  return isMapping(item) && isMapping(item["metadata"]) && typeof item["metadata"]["name"] === "string";
}
