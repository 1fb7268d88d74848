import { createHmac } from "node:crypto";
import type { ClientDuplexStream, Client as GrpcClient } from "@grpc/grpc-js";
import type { DeviceId, UserId } from "@pushfleet/protocol";
import { createMemoryRegistry, type Registry } from "@pushfleet/registry";
import {
  type Clock,
  createGrpcClient,
  createLogger,
  gatewayService,
  type Linked,
  ManualClock,
  type RouterLink,
  systemClock,
  v1,
  validateConfiguration,
} from "@pushfleet/service";
import { type RawData, WebSocket } from "ws";
import { waitFor } from "../../test/peers/wait-for.js";
import { type GatewayConfig, gatewayRefinements, gatewaySchema } from "./configuration.js";
import { createGateway, type Gateway } from "./create-gateway.js";

export const secret = "a-secret-for-tests";

/** A compact JWS, whatever the claims; HS256. `nowMs` is where `iat` and `exp` start from. */
export function signToken(claims: Readonly<Record<string, unknown>>, nowMs: number, key = secret): string {
  const iat = Math.floor(nowMs / 1000);
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ alg: "HS256" })}.${part({ iat, exp: iat + 300, ...claims })}`;
  return `${signed}.${createHmac("sha256", key).update(signed).digest("base64url")}`;
}

/** A router that does what the test says, and remembers what it was asked. */
export class ExampleRouter implements RouterLink {
  readonly acks: v1.IAck[] = [];
  readonly events: v1.IClientEvent[] = [];
  readonly syncs: v1.ISyncRequest[] = [];
  isAway = false;
  /** Pages by the request's `page`; "" is the first. */
  pages: Readonly<Record<string, v1.ISyncReply | "bad_cursor">> = {};

  async acknowledge(request: v1.IAcknowledgeRequest): Promise<Linked<v1.IAcknowledgeReply>> {
    if (this.isAway) return away;
    this.acks.push(...(request.acks ?? []));
    return { kind: "ok", reply: {} };
  }

  async emit(request: v1.IEmitRequest): Promise<Linked<v1.IEmitReply>> {
    if (this.isAway) return away;
    this.events.push(...(request.events ?? []));
    return { kind: "ok", reply: {} };
  }

  async sync(request: v1.ISyncRequest): Promise<Linked<v1.ISyncReply>> {
    this.syncs.push(request);
    if (this.isAway) return away;
    const page = this.pages[request.page ?? ""] ?? { frame: Buffer.from(syncBatch("empty", false)), hasMore: false };
    return page === "bad_cursor" ? { kind: "refused", code: "bad_cursor", message: "no such cursor" } : { kind: "ok", reply: page };
  }
}

const away = { kind: "unavailable", cause: new Error("the router is away") } as const;

export function syncBatch(name: string, hasMore: boolean): string {
  return JSON.stringify({ type: "sync_batch", name, notifications: [], reads: [], has_more: hasMore });
}

export type Frame = Readonly<Record<string, unknown>> & { readonly type: string };

export interface ExampleClientOptions {
  readonly headers?: Record<string, string>;
  readonly autoPong?: boolean;
  /** PEM of the authority to trust. */
  readonly ca?: string;
}

/** A client as hostile or as kind as the test wants it, on the `ws` package. */
export class ExampleClient {
  readonly socket: WebSocket;
  readonly frames: Frame[] = [];
  readonly texts: string[] = [];
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  pings = 0;

  constructor(url: string, options: ExampleClientOptions = {}) {
    this.socket = new WebSocket(url, { ...options, perMessageDeflate: false });
    this.socket.on("message", (data: RawData) => {
      this.texts.push(String(data));
      this.frames.push(JSON.parse(String(data)) as Frame);
    });
    this.socket.on("ping", () => {
      this.pings += 1;
    });
    this.socket.on("error", () => {}); // the close says it
    this.closed = new Promise((resolve) => {
      this.socket.on("close", (code, reason) => resolve({ code, reason: String(reason) }));
    });
  }

  get opened(): Promise<void> {
    if (this.socket.readyState === WebSocket.OPEN) return Promise.resolve();
    return new Promise((resolve) => this.socket.once("open", () => resolve()));
  }

  send(frame: unknown): void {
    this.socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
  }

  of(type: string): readonly Frame[] {
    return this.frames.filter((frame) => frame.type === type);
  }

  /** The `count`th frame of a type, once it is there. */
  async frame(type: string, count = 1): Promise<Frame> {
    return await waitFor(() => this.of(type)[count - 1], { what: `${type} number ${count}` });
  }
}

export interface ExampleOptions {
  readonly config?: Readonly<Record<string, unknown>>;
  readonly registry?: Registry;
  readonly router?: ExampleRouter;
  readonly clock?: Clock;
}

/** A gateway on free ports with a registry in memory, a router that answers everything, and clients for it. */
export class ExampleGateway {
  readonly gateway: Gateway;
  readonly registry: Registry;
  readonly router: ExampleRouter;
  readonly clock: Clock;
  readonly #clients: ExampleClient[] = [];
  readonly #channels: GrpcClient[] = [];

  private constructor(gateway: Gateway, registry: Registry, router: ExampleRouter, clock: Clock) {
    this.gateway = gateway;
    this.registry = registry;
    this.router = router;
    this.clock = clock;
  }

  static async start(options: ExampleOptions = {}): Promise<ExampleGateway> {
    const clock = options.clock ?? systemClock;
    const registry = options.registry ?? createMemoryRegistry({ clock });
    if (options.registry === undefined) await registry.start();
    const router = options.router ?? new ExampleRouter();
    const logger = createLogger("gateway", "silent");
    const gateway = await createGateway(exampleConfig(options.config), { registry, router, clock, logger });
    return new ExampleGateway(gateway, registry, router, clock);
  }

  get url(): string {
    return `ws://${this.gateway.addresses.client}/connect`;
  }

  get http(): string {
    return `http://${this.gateway.addresses.client}`;
  }

  token(claims: Readonly<Record<string, unknown>> = {}): string {
    return signToken({ sub: "usr_42", ...claims }, this.clock.nowMs());
  }

  /** A socket; nothing is said yet. */
  open(query = "", options: ExampleClientOptions = {}): ExampleClient {
    const client = new ExampleClient(`${this.url}${query}`, options);
    this.#clients.push(client);
    return client;
  }

  /** A client that has its hello. */
  async connect(user = "usr_42", device = "phone", query = ""): Promise<ExampleClient> {
    const client = this.open(`?token=${this.token({ sub: user })}&device=${device}${query}`);
    await client.frame("hello");
    return client;
  }

  /** Lets time pass; the gateway must have a ManualClock. Sockets and promises have their turn before and after. */
  async advance(ms: number, stepMs = ms): Promise<void> {
    if (!(this.clock instanceof ManualClock)) throw new Error("expected a manual clock");
    for (let passed = 0; passed < ms; passed += stepMs) {
      await turn();
      this.clock.advance(Math.min(stepMs, ms - passed));
    }
    await turn();
  }

  /** What a router has with a worker. */
  deliveries(): { send(batch: v1.IDeliverBatch): Promise<readonly v1.Outcome[]> } {
    const { path, requestSerialize, responseDeserialize } = gatewayService.deliver;
    const stream: ClientDuplexStream<v1.IDeliverBatch, v1.IOutcomeBatch> = this.channel().makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
    );
    const waiting = new Map<number, (outcomes: readonly v1.Outcome[]) => void>();
    stream.on("data", (batch: v1.OutcomeBatch) => waiting.get(batch.batchId)?.(batch.outcomes));
    stream.on("error", () => {}); // the gateway has stopped
    let id = 0;
    return {
      send: (batch) => {
        id += 1;
        const batchId = id;
        return new Promise((resolve) => {
          waiting.set(batchId, resolve);
          stream.write(new v1.DeliverBatch({ ...batch, batchId }));
        });
      },
    };
  }

  channel(): GrpcClient {
    const channel = createGrpcClient(this.gateway.addresses.grpc, undefined);
    this.#channels.push(channel);
    return channel;
  }

  /** Where the registry has a device. */
  async entryOf(user: string, device: string) {
    const [found] = await this.registry.lookUp([user as UserId]);
    return found?.kind === "located" ? found.devices.find((one) => one.device === (device as DeviceId)) : undefined;
  }

  async metric(name: string): Promise<string | undefined> {
    const lines = (await this.gateway.metrics.metrics()).split("\n");
    return lines.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1);
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.socket.terminate();
    for (const channel of this.#channels) channel.close();
    await this.gateway.stop({ kind: "close" });
  }
}

/** Frames on their way through loopback, and everything that follows from them. */
async function turn(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

export function exampleConfig(changes: Readonly<Record<string, unknown>> = {}): GatewayConfig {
  const free = () => ({ host: "127.0.0.1", port: 0 });
  const base = { id: "gw-1", listen: free(), admin: free(), grpc: free(), auth: { hs256Secret: secret }, registry: { kind: "memory" } };
  const configured = validateConfiguration(gatewaySchema, { ...base, ...changes }, gatewayRefinements);
  if (configured.kind === "faults") throw new Error(JSON.stringify(configured.faults));
  return configured.value;
}
