import { afterEach, expect, test } from "vitest";
import { type Client, connect } from "./index.js";
import type { ClientClock, WebSocketLike } from "./options.js";

/** Time that passes when the test says so; timers run in their order. */
class TestClock implements ClientClock {
  #nowMs = 0;
  #timers: { readonly atMs: number; readonly task: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }
  random(): number {
    return 0.5;
  }
  after(delayMs: number, task: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, task };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((one) => one !== timer);
    };
  }
  pass(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const [next] = this.#timers.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.#timers = this.#timers.filter((one) => one !== next);
      this.#nowMs = next.atMs;
      next.task();
    }
    this.#nowMs = endMs;
  }
}

const clock = new TestClock();

/** A server that answers after 10 ms, in memory. */
const sockets: AnsweringSocket[] = [];
class AnsweringSocket implements WebSocketLike {
  readonly readyState = 1;
  readonly sent: string[] = [];
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;

  constructor() {
    sockets.push(this);
  }
  send(text: string): void {
    const { type } = JSON.parse(text) as { type: string };
    this.sent.push(type);
    const page = { type: "sync_batch", notifications: [], reads: [], has_more: false, cursor: "c1" };
    clock.after(10, () => this.tell(type === "ping" ? { type: "pong" } : page));
  }
  close(): void {}
  tell(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) } as never);
  }
}

let client: Client | undefined;
afterEach(() => client?.close());

test("a day without notifications is one connection, and a ping every 30 s is all that is sent", async () => {
  client = connect({ url: "ws://push.example/connect", token: "t", WebSocket: AnsweringSocket, clock });
  await Promise.resolve();
  const [socket] = sockets;
  socket?.tell({ type: "hello", server: "gw", registered: true, resume: "r", heartbeat_ms: 30_000 });
  clock.pass(24 * 3600_000);
  expect(sockets).toHaveLength(1);
  expect(client.state.kind).toBe("live");
  const [first, ...pings] = socket?.sent ?? [];
  expect(first).toBe("sync");
  expect(new Set(pings)).toEqual(new Set(["ping"]));
  expect(pings.length).toBeLessThanOrEqual((24 * 3600) / 30);
});
