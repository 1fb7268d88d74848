import type { NotificationFrame, ServerFrame, SyncBatchFrame } from "./frames.js";
import { Link, type LinkEvents } from "./link.js";
import type { ClientClock, ClientState, ConnectOptions, WebSocketConstructor } from "./options.js";
import { Position } from "./position.js";
import { afterClose, reconnectDelayMs } from "./schedule.js";
import { Seen } from "./seen.js";

/** A sync that is not answered is asked again after this long. */
const syncTimeoutMs = 15_000;

export interface Client {
  readonly device: string;
  readonly state: ClientState;
  /** The saved cursor, to be presented as `lastSeen` by the next start. */
  readonly cursor: string | undefined;
  /** Tells the server, and so the user's other devices. False: not connected; call again when live. */
  ack(notificationIds: readonly string[], state?: "read" | "received"): boolean;
  /** Typing and the like. False: not connected, the event is not kept. */
  event(name: string, data: unknown): boolean;
  /** Asks for what was missed, as after a gap. */
  sync(): void;
  close(): void;
}

/** Connects, and stays connected: reconnects by the schedule, moves when the server asks (new connection first, the old one closed
 *  when the new one has synced), syncs, and hands each notification on once. */
export function connect(options: ConnectOptions): Client {
  return new PushClient(options);
}

class PushClient implements Client {
  readonly device: string;
  state: ClientState = { kind: "connecting", attempt: 0, inMs: 0 };
  readonly #options: ConnectOptions;
  readonly #clock: ClientClock;
  readonly #WebSocket: WebSocketConstructor;
  readonly #position: Position;
  readonly #seen = new Seen();
  /** The connection in use. */
  #current: Link | undefined;
  /** The one that will take its place. */
  #next: Link | undefined;
  #opening = false;
  #attempt = 0;
  #unauthenticated = 0;
  #resume: string | undefined;
  #downSinceMs: number | undefined;
  #movingSinceMs: number | undefined;
  #cancelRetry: (() => void) | undefined;
  #cancelSyncTimer: (() => void) | undefined;
  #closed = false;
  readonly #events: LinkEvents = {
    open: (link) => this.#opened(link),
    frame: (link, frame) => this.#frame(link, frame),
    text: (text) => this.#options.onFrame?.(text),
    closed: (link, code, reason) => this.#lost(link, code, reason),
  };

  constructor(options: ConnectOptions) {
    const WebSocket = options.WebSocket ?? (globalThis as { WebSocket?: WebSocketConstructor }).WebSocket;
    if (WebSocket === undefined)
      throw new Error("no WebSocket in this runtime: give one as options.WebSocket, such as that of the ws package");
    this.#WebSocket = WebSocket;
    this.#options = options;
    this.#clock = options.clock ?? machineClock;
    this.#position = new Position(options.lastSeen);
    this.device = options.device ?? crypto.randomUUID();
    void this.#open();
  }

  get cursor(): string | undefined {
    return this.#position.saved;
  }

  ack(notificationIds: readonly string[], state: "read" | "received" = "read"): boolean {
    const sent = this.#send({ type: "ack", notification_ids: notificationIds, state });
    if (sent && state === "read") this.#seen.markRead(notificationIds); // the next sync names them too: the application knows
    return sent;
  }

  event(name: string, data: unknown): boolean {
    return this.#send({ type: "event", name, data });
  }

  sync(): void {
    if (this.#current?.hello === true && !this.#current.syncing) this.#sync(this.#current);
  }

  close(): void {
    this.#end("closed by the client");
  }

  #send(frame: Readonly<Record<string, unknown>>): boolean {
    const link = this.#current?.hello === true ? this.#current : this.#next;
    return link?.hello === true && link.send(frame);
  }

  async #open(): Promise<void> {
    if (this.#closed || this.#opening || this.#next !== undefined) return;
    this.#opening = true;
    let token: string;
    try {
      token = typeof this.#options.token === "string" ? this.#options.token : await this.#options.token();
    } catch {
      this.#opening = false;
      this.#retry(undefined); // the application's token source is away: by the schedule, as for a lost connection
      return;
    }
    this.#opening = false;
    if (this.#closed) return;
    const link = new Link(this.#url(token), this.#WebSocket, this.#clock, this.#events);
    this.#tokens.set(link, token);
    this.#next = link;
  }

  readonly #tokens = new WeakMap<Link, string>();

  #url(token: string): string {
    const url = new URL(this.#options.url);
    url.searchParams.set("device", this.device);
    if (this.#options.auth !== "message") url.searchParams.set("token", token);
    if (this.#resume !== undefined) url.searchParams.set("resume", this.#resume);
    if (this.#downSinceMs !== undefined) url.searchParams.set("down_ms", String(Math.round(this.#clock.nowMs() - this.#downSinceMs)));
    return url.toString();
  }

  #opened(link: Link): void {
    if (this.#options.auth === "message") link.send({ type: "auth", token: this.#tokens.get(link), device: this.device });
  }

  #frame(link: Link, frame: ServerFrame): void {
    switch (frame.type) {
      case "hello":
        return this.#hello(link, frame.server, frame.registered);
      case "notification":
        this.#markRead(this.#notification(frame));
        return this.#move(() => this.#position.live(frame.cursor, link.synced && !link.syncing));
      case "mark_read":
        this.#markRead(frame.notification_ids);
        return this.#move(() => this.#position.live(frame.cursor, link.synced && !link.syncing));
      case "sync_batch":
        return this.#page(link, frame);
      case "gap":
        if (this.#position.gap(frame.after, link.syncing) === "sync_now") this.#sync(link);
        return;
      case "reconnect":
        return this.#handOver(link);
      case "auth_expiring":
        void this.#refreshToken(link);
        return;
      case "error":
        return this.#error(link, frame.code, frame.retry_after_ms);
      case "pong":
        return;
    }
  }

  #hello(link: Link, server: string, registered: boolean): void {
    this.#attempt = 0;
    this.#unauthenticated = 0;
    this.#resume = link.resume;
    this.#become({ kind: "live", server, registered });
    this.#sync(link);
  }

  #sync(link: Link): void {
    const lastSeen = this.#position.saved;
    if (!link.send(lastSeen === undefined ? { type: "sync" } : { type: "sync", last_seen: lastSeen })) return;
    link.syncing = true;
    this.#syncLater(link, syncTimeoutMs);
  }

  #syncLater(link: Link, delayMs: number): void {
    this.#cancelSyncTimer?.();
    this.#cancelSyncTimer = this.#clock.after(delayMs, () => this.#sync(link));
  }

  #page(link: Link, frame: SyncBatchFrame): void {
    this.#markRead([...frame.notifications.flatMap((notification) => this.#notification(notification)), ...frame.reads]);
    let then: "go_on" | "done" | "sync_again" = "done";
    this.#move(() => {
      then = this.#position.page(frame.cursor, frame.has_more);
    });
    this.#afterPage(link, then);
  }

  #afterPage(link: Link, then: "go_on" | "done" | "sync_again"): void {
    switch (then) {
      case "go_on":
        return this.#syncLater(link, syncTimeoutMs);
      case "sync_again":
        return this.#sync(link);
      case "done":
        this.#cancelSyncTimer?.();
        link.syncing = false;
        link.synced = true;
        if (link === this.#next) this.#takeOver(link);
    }
  }

  /** The new connection has synced: it is the one in use, and the old one is not needed any more. */
  #takeOver(link: Link): void {
    const old = this.#current;
    this.#current = link;
    this.#next = undefined;
    old?.close();
    const sinceMs = this.#movingSinceMs ?? this.#downSinceMs;
    if (sinceMs !== undefined) {
      this.#options.onReconnected?.(this.#clock.nowMs() - sinceMs, this.#movingSinceMs === undefined ? "lost" : "hand_over");
    }
    this.#movingSinceMs = undefined;
    this.#downSinceMs = undefined;
    if (link.leaving) this.#handOver(link);
  }

  /** The server wants this connection gone: open another now, keep this one until that has synced. One that has not taken over yet
   *  does so first. */
  #handOver(link: Link): void {
    link.leaving = true;
    if (link !== this.#current || this.#movingSinceMs !== undefined) return;
    this.#movingSinceMs = this.#clock.nowMs();
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    void this.#open();
  }

  async #refreshToken(link: Link): Promise<void> {
    if (typeof this.#options.token === "string") return;
    try {
      link.send({ type: "auth", token: await this.#options.token() });
    } catch {
      // no fresh token now: the server closes with 4401 at expiry and the next connection asks again
    }
  }

  #error(link: Link, code: string, retryAfterMs: number | undefined): void {
    if (!link.syncing) return;
    if (code === "bad_cursor") {
      this.#position.forget();
      this.#sync(link);
    } else if (code === "store_unavailable" || code === "busy" || code === "rate_limited") {
      this.#syncLater(link, retryAfterMs ?? reconnectDelayMs(2, this.#clock.random()));
    }
  }

  /** Hands on what is new. Returns the read marks that the frame carries for what was handed on before. */
  #notification(frame: Omit<NotificationFrame, "type">): readonly string[] {
    const arrived = this.#seen.arrive(frame.notification_id, frame.read === true);
    if (arrived.kind === "seen") return frame.read === true ? [frame.notification_id] : [];
    this.#options.onNotification?.({
      notificationId: frame.notification_id,
      cursor: frame.cursor,
      data: frame.data,
      createdAtMs: frame.created_at,
      read: arrived.read,
    });
    return [];
  }

  #markRead(notificationIds: readonly string[]): void {
    const known = this.#seen.markRead(notificationIds);
    if (known.length > 0) this.#options.onMarkRead?.(known);
  }

  #move(change: () => void): void {
    const before = this.#position.saved;
    change();
    const after = this.#position.saved;
    if (after !== undefined && after !== before) this.#options.onCursor?.(after);
  }

  #lost(link: Link, code: number, reason: string): void {
    if (link.syncing) this.#position.interrupted();
    if (link === this.#current) this.#lostCurrent(code, reason);
    else if (link === this.#next) this.#lostNext(code, reason);
  }

  /** While a new connection is on its way the old one's end changes nothing: that one carries on. */
  #lostCurrent(code: number, reason: string): void {
    this.#current = undefined;
    this.#downSinceMs ??= this.#clock.nowMs();
    if (this.#next !== undefined || this.#opening || this.#cancelRetry !== undefined) {
      if (code === 4403) this.#end("revoked");
      return;
    }
    this.#decide(code, reason);
  }

  #lostNext(code: number, reason: string): void {
    const wasHello = this.#next?.hello === true;
    this.#next = undefined;
    if (this.#current === undefined && wasHello) this.#downSinceMs ??= this.#clock.nowMs();
    this.#decide(code, reason);
  }

  #decide(code: number, reason: string): void {
    const decision = afterClose(code, reason);
    switch (decision.kind) {
      case "never":
        return this.#end(decision.why);
      case "fresh_token":
        if (typeof this.#options.token === "string") return this.#end(`unauthenticated: ${reason}`);
        this.#unauthenticated++;
        return this.#retry(this.#unauthenticated === 1 ? 0 : undefined);
      case "retry":
        return this.#retry(decision.hintMs);
    }
  }

  #retry(hintMs: number | undefined): void {
    if (this.#closed) return;
    const inMs = reconnectDelayMs(this.#attempt, this.#clock.random(), hintMs);
    this.#attempt++;
    if (this.#current === undefined) this.#become({ kind: "connecting", attempt: this.#attempt, inMs });
    this.#cancelRetry?.();
    this.#cancelRetry = this.#clock.after(inMs, () => {
      this.#cancelRetry = undefined;
      void this.#open();
    });
  }

  #end(why: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelRetry?.();
    this.#cancelSyncTimer?.();
    this.#next?.close();
    this.#current?.close();
    this.#become({ kind: "closed", why });
  }

  #become(state: ClientState): void {
    this.state = state;
    this.#options.onState?.(state);
  }
}

const machineClock: ClientClock = {
  nowMs: () => Date.now(),
  after(delayMs, task) {
    const timer = setTimeout(task, delayMs);
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
};
