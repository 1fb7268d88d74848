import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface StoredObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly namespace: string;
    readonly name: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly managedFields: readonly unknown[];
  };
}

/** What the server does with the next list or watch instead of what it should. Counts are of events, bytes of the body. */
export type Trick =
  | { readonly kind: "cut"; readonly bytes: number }
  | { readonly kind: "end"; readonly events: number }
  | { readonly kind: "status"; readonly status: 410 | 429 | 500 | 503 }
  /** A 410 within the stream of a watch, or in the middle of a list. */
  | { readonly kind: "expire"; readonly events: number }
  | { readonly kind: "garbage"; readonly events: number }
  /** Old events again, in any order, and each new one twice. */
  | { readonly kind: "repeat"; readonly seed: number }
  | { readonly kind: "silence"; readonly head: boolean }
  | { readonly kind: "none" };

interface Watch {
  readonly response: ServerResponse;
  readonly trick: Trick;
  /** In the history. */
  at: number;
  events: number;
  bytes: number;
}

const trickMs = 20;

/** Serves one kind of object, pods in namespace `a`, as an API server does: paged lists, watches with bookmarks, a history. With tricks. */
export class HostileApiServer {
  readonly truth = new Map<string, StoredObject>();
  /** One for each request for a page, one for each watch, then none. */
  readonly tricks: { readonly list: Trick[]; readonly watch: Trick[] } = { list: [], watch: [] };
  requests = 0;
  readonly #history: { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly object: StoredObject }[] = [];
  readonly #watches = new Set<Watch>();
  /** Lists under way: what their tokens stand for. */
  readonly #snapshots = new Map<string, { readonly items: readonly StoredObject[]; readonly version: number }>();
  readonly #server = createServer((request, response) => this.#answer(new URL(request.url ?? "", "http://a"), response));

  async start(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  get #version(): number {
    return this.#history.length + 1;
  }

  write(name: string): void {
    const before = this.truth.get(name);
    const version = this.#version + 1;
    const metadata = {
      namespace: "a",
      name,
      uid: before?.metadata.uid ?? `u${version}`,
      resourceVersion: String(version),
      managedFields: [{}],
    };
    const object = { apiVersion: "v1", kind: "Pod", metadata };
    this.truth.set(name, object);
    this.#record(before === undefined ? "ADDED" : "MODIFIED", object);
  }

  delete(name: string): void {
    const before = this.truth.get(name);
    if (before === undefined) return;
    this.truth.delete(name);
    this.#record("DELETED", { ...before, metadata: { ...before.metadata, resourceVersion: String(this.#version + 1) } });
  }

  #record(type: "ADDED" | "MODIFIED" | "DELETED", object: StoredObject): void {
    this.#history.push({ type, object });
    for (const watch of this.#watches) this.#push(watch);
  }

  #answer(url: URL, response: ServerResponse): void {
    this.requests += 1;
    const watching = url.searchParams.get("watch") === "true";
    const trick = this.tricks[watching ? "watch" : "list"].shift() ?? { kind: "none" };
    if (trick.kind === "status") {
      const body = { kind: "Status", code: trick.status, reason: trick.status === 410 ? "Expired" : "Busy", message: "a trick" };
      response.writeHead(trick.status, trick.status === 429 ? { "retry-after": "1" } : {}).end(JSON.stringify(body));
    } else if (trick.kind === "silence" && !trick.head) {
      response.once("close", () => undefined);
    } else if (watching) this.#watch(url, response, trick);
    else this.#list(url, response, trick);
  }

  #list(url: URL, response: ServerResponse, trick: Trick): void {
    const [token = "", offsetText = "0"] = (url.searchParams.get("continue") ?? "").split("/");
    const fresh = { items: [...this.truth.values()], version: this.#version };
    const snapshot = token === "" ? fresh : this.#snapshots.get(token);
    if (snapshot === undefined || (trick.kind === "expire" && token !== "")) {
      response.writeHead(410).end(JSON.stringify({ kind: "Status", code: 410, reason: "Expired" }));
      return;
    }
    const offset = Number(offsetText);
    const pageLength = 2;
    const more = offset + pageLength < snapshot.items.length;
    const id = token === "" ? `t${this.requests}` : token;
    this.#snapshots.set(id, snapshot);
    const metadata = { resourceVersion: String(snapshot.version), ...(more ? { continue: `${id}/${offset + pageLength}` } : {}) };
    const text = JSON.stringify({ kind: "PodList", metadata, items: snapshot.items.slice(offset, offset + pageLength) });
    response.writeHead(200);
    if (trick.kind === "cut") response.write(text.slice(0, trick.bytes), () => response.destroy());
    else if (trick.kind === "garbage") response.end(text.slice(1));
    else if (trick.kind === "silence") response.write(text.slice(0, 10));
    else response.end(text);
  }

  #watch(url: URL, response: ServerResponse, trick: Trick): void {
    const from = Number(url.searchParams.get("resourceVersion"));
    response.writeHead(200);
    response.flushHeaders();
    const watch: Watch = { response, trick, at: from - 1, events: 0, bytes: 0 };
    this.#watches.add(watch);
    // What a trick waits for may never come: it is played anyway.
    const late = trick.kind === "none" || trick.kind === "silence" ? undefined : setTimeout(() => this.#spoil(watch), trickMs);
    response.once("close", () => {
      clearTimeout(late);
      this.#watches.delete(watch);
    });
    if (trick.kind === "repeat") {
      const old = this.#history.slice(0, watch.at).map((event, index) => ({ event, order: (index * 7919 + trick.seed) % 101 }));
      for (const { event } of old.sort((a, b) => a.order - b.order)) this.#send(watch, event);
    }
    this.#push(watch);
    const bookmark = { type: "BOOKMARK", object: { kind: "Pod", metadata: { resourceVersion: String(Math.max(from, this.#version)) } } };
    if (trick.kind === "none" || trick.kind === "repeat") this.#send(watch, bookmark);
  }

  /** Sends what the watch has not had, as its trick has it. */
  #push(watch: Watch): void {
    const { response, trick } = watch;
    while (!response.writableEnded && !response.destroyed && trick.kind !== "silence") {
      if ("events" in trick && watch.events >= trick.events) return this.#spoil(watch);
      const event = this.#history[watch.at];
      if (event === undefined) return;
      watch.at += 1;
      watch.events += 1;
      this.#send(watch, event);
      if (trick.kind === "repeat") this.#send(watch, event);
    }
  }

  #spoil({ response, trick }: Watch): void {
    if (trick.kind === "expire") response.end('{"type":"ERROR","object":{"code":410,"reason":"Expired"}}\n');
    else if (trick.kind === "garbage") response.write('{"type":"ADDED","object":{"metadata":\n');
    else if (trick.kind === "cut") response.destroy();
    else response.end();
  }

  #send(watch: Watch, event: object): void {
    const { response, trick } = watch;
    const bytes = Buffer.from(`${JSON.stringify(event)}\n`);
    const left = trick.kind === "cut" ? trick.bytes - watch.bytes : bytes.length;
    watch.bytes += bytes.length;
    if (response.destroyed || left < 0) return;
    if (left >= bytes.length) response.write(bytes);
    else response.write(bytes.subarray(0, left), () => setImmediate(() => response.destroy()));
  }
}
