import { request } from "node:http";
import { limits } from "@pushfleet/protocol";
import { createMemoryRegistry, type Registry } from "@pushfleet/registry";
import { createLogger, ManualClock } from "@pushfleet/service";
import { waitFor } from "../../test/peers/wait-for.js";
import type { Store } from "./core/store.js";
import { createRouter, createStore, type Router } from "./create-router.js";
import { FakeGateway } from "./fake-gateway.test-support.js";

export interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, unknown>>;
}

export interface PostOptions {
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** POSTs to "host:port". */
export function post(address: string, body: string | Buffer, options: PostOptions = {}): Promise<Answer> {
  const [host, port] = address.split(":");
  return new Promise((resolve, reject) => {
    const outgoing = request({ host, port, method: "POST", path: "/v1/notifications", ...options }, async (response) => {
      let text = "";
      for await (const chunk of response) text += String(chunk);
      resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as Answer["body"], headers: response.headers });
    });
    outgoing.once("error", reject).end(body);
  });
}

/** Nothing has to be in time any more. */
const stopStepMs = 100;

/** A router with memory registry and store on a clock of the test, its HTTP and gRPC real. What it asks of store and registry is logged, and a test
 *  may answer in their place. */
export class RouterWorld {
  readonly clock = new ManualClock();
  readonly log: string[] = [];
  /** In place of the store's append, once each. */
  readonly appends: Store["append"][] = [];
  /** In place of the registry's lookUp, once each. */
  readonly lookUps: Registry["lookUp"][] = [];
  readonly gateways: FakeGateway[] = [];
  readonly registry: Registry = this.#logRegistry(createMemoryRegistry({ clock: this.clock }));
  readonly #store: Store = this.#logStore(createStore({ kind: "memory", allowVolatile: true }, { clock: this.clock }));
  #router: Router | undefined;

  get router(): Router {
    if (this.#router === undefined) throw new Error("the world is not started");
    return this.#router;
  }

  async start(): Promise<this> {
    const listen = { host: "127.0.0.1", port: 0 };
    const store = { kind: "memory", allowVolatile: true } as const;
    const config = { http: listen, admin: listen, grpc: listen, registry: { kind: "memory" as const }, store };
    const logger = createLogger("router", "silent");
    const parts = { registry: this.registry, store: this.#store, clock: this.clock, logger, random: () => 1 };
    this.#router = await createRouter(config, parts);
    return this;
  }

  async addGateway(): Promise<FakeGateway> {
    const gateway = await new FakeGateway().start(this.registry);
    this.gateways.push(gateway);
    return gateway;
  }

  publish(user: string, id: string, more: Readonly<Record<string, unknown>> = {}): Promise<Answer> {
    return this.publishText(JSON.stringify({ user_id: user, notification_id: id, data: 1, ...more }));
  }

  publishText(body: string): Promise<Answer> {
    return post(this.router.addresses.http, body);
  }

  publishList(notifications: readonly object[]): Promise<Answer> {
    return post(this.router.addresses.http, JSON.stringify({ notifications }));
  }

  /** Time goes on, slower than the machine's, so that only what a test advances by itself runs into timeouts. */
  until<T>(condition: () => T | Promise<T>, what: string, stepMs: number = limits.coalesceMs) {
    const look = (): T | Promise<T> => {
      this.clock.advance(stepMs);
      return condition();
    };
    return waitFor(look, { what });
  }

  /** What `promise` gives, while time goes on. */
  async settled<T>(promise: Promise<T>, what: string, stepMs?: number): Promise<T> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    promise.then(settle, settle);
    await this.until(() => isSettled, what, stepMs);
    return await promise;
  }

  /** What a refresh of the lease gives: from where the worker sends `gap`, if anything. */
  async resyncAfter(gateway: FakeGateway): Promise<string | undefined> {
    const refreshed = await this.registry.refreshLease(gateway.incarnation);
    return refreshed.kind === "refreshed" ? refreshed.resyncAfter : refreshed.kind;
  }

  async syncText(user: string): Promise<string> {
    const synced = await this.router.link.sync({ user, lastSeen: "", page: "" });
    return synced.kind === "ok" ? Buffer.from(synced.reply.frame ?? []).toString() : synced.kind;
  }

  async stopRouter(): Promise<void> {
    const router = this.#router;
    this.#router = undefined;
    if (router !== undefined) await this.settled(router.stop(), "the router to stop", stopStepMs);
  }

  async stop(): Promise<void> {
    await this.stopRouter();
    for (const gateway of this.gateways) gateway.stop();
  }

  #logStore(store: Store): Store {
    return {
      start: () => store.start(),
      append: async (records) => {
        for (const { notificationId, cursor } of records) this.log.push(`append ${notificationId} ${cursor}`);
        return await (this.appends.shift() ?? ((all) => store.append(all)))(records);
      },
      markRead: (mark) => store.markRead(mark),
      readPage: (page) => store.readPage(page),
      readNewestUnread: (user, max) => store.readNewestUnread(user, max),
      stop: () => store.stop(),
    };
  }

  #logRegistry(registry: Registry): Registry {
    return {
      start: () => registry.start(),
      acquireLease: (lease) => registry.acquireLease(lease),
      refreshLease: (incarnation) => registry.refreshLease(incarnation),
      releaseLease: (incarnation) => registry.releaseLease(incarnation),
      register: (registration) => registry.register(registration),
      unregister: (unregistration) => registry.unregister(unregistration),
      lookUp: async (users) => {
        this.log.push(`look up ${users.join(" ")}`);
        return await (this.lookUps.shift() ?? ((all) => registry.lookUp(all)))(users);
      },
      requestResync: (incarnation, after) => registry.requestResync(incarnation, after),
      readLease: (incarnation) => registry.readLease(incarnation),
      revoke: (revocation) => registry.revoke(revocation),
      onReconnected: (listener) => registry.onReconnected(listener),
      stop: () => registry.stop(),
    };
  }
}
