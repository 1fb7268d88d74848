import { parseServerFrame, type ServerFrame } from "./frames.js";
import type { ClientClock, WebSocketConstructor, WebSocketLike } from "./options.js";

/** One connection, from opening to closed. Knows frames and silence, nothing of reconnecting. */
export interface LinkEvents {
  open(link: Link): void;
  frame(link: Link, frame: ServerFrame): void;
  text(text: string): void;
  closed(link: Link, code: number, reason: string): void;
}

/** Without any frame for a heartbeat we `ping`; without an answer for this long the connection is dead. */
const pongTimeoutMs = 10_000;
/** From opening to hello. */
const helloTimeoutMs = 20_000;
const openState = 1;

export class Link {
  hello = false;
  /** A sync was sent and its last page has not come. */
  syncing = false;
  /** The last page of the first sync has come. */
  synced = false;
  /** The server sent `reconnect`. */
  leaving = false;
  resume: string | undefined;
  readonly #socket: WebSocketLike;
  readonly #clock: ClientClock;
  readonly #events: LinkEvents;
  #closed = false;
  #cancelTimer: () => void;
  #heartbeatMs = 30_000;
  #lastFrameMs: number;
  readonly #onTimer = (): void => this.#checkSilence();

  constructor(url: string, WebSocket: WebSocketConstructor, clock: ClientClock, events: LinkEvents) {
    this.#clock = clock;
    this.#events = events;
    this.#lastFrameMs = clock.nowMs();
    this.#cancelTimer = clock.after(helloTimeoutMs, () => this.#dead("no hello in time"));
    this.#socket = new WebSocket(url);
    this.#socket.onopen = () => events.open(this);
    this.#socket.onmessage = (event: { data: unknown }) => this.#message(String(event.data));
    this.#socket.onclose = (event: { code: number; reason: unknown }) => this.#ended(event.code, String(event.reason ?? ""));
    this.#socket.onerror = () => {}; // onclose follows with the code
  }

  /** False when the connection is not open: nothing was sent. */
  send(frame: Readonly<Record<string, unknown>>): boolean {
    if (this.#closed || this.#socket.readyState !== openState) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** Closes without telling `closed`: the one who closes knows. */
  close(code = 1000): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelTimer();
    this.#socket.close(code);
  }

  #message(text: string): void {
    if (this.#closed) return;
    this.#lastFrameMs = this.#clock.nowMs();
    this.#events.text(text);
    const frame = parseServerFrame(text);
    if (frame === undefined) return;
    if (frame.type === "hello") {
      this.hello = true;
      this.resume = frame.resume;
      this.#heartbeatMs = frame.heartbeat_ms;
      this.#watch(this.#heartbeatMs);
    }
    this.#events.frame(this, frame);
  }

  #watch(delayMs: number): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#clock.after(delayMs, this.#onTimer);
  }

  #checkSilence(): void {
    const silentMs = this.#clock.nowMs() - this.#lastFrameMs;
    if (silentMs >= this.#heartbeatMs + pongTimeoutMs) this.#dead("no answer to ping");
    else if (silentMs < this.#heartbeatMs) this.#watch(this.#heartbeatMs - silentMs);
    else {
      this.send({ type: "ping" });
      this.#watch(this.#heartbeatMs + pongTimeoutMs - silentMs);
    }
  }

  #dead(reason: string): void {
    if (this.#closed) return;
    this.#socket.close();
    this.#ended(1006, reason);
  }

  #ended(code: number, reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelTimer();
    this.#events.closed(this, code, reason);
  }
}
