import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { v1 } from "@pushfleet/service";
import { afterEach, describe, expect, test } from "vitest";
import { waitFor } from "../../../test/peers/wait-for.js";
import { ExampleGateway } from "../example-gateway.test-suite.js";

let example: ExampleGateway;
let bare: Socket | undefined;
afterEach(async () => {
  bare?.destroy();
  await example?.stop();
});

const start = async (): Promise<ExampleGateway> => {
  example = await ExampleGateway.start();
  return example;
};

interface WireFrame {
  readonly opcode: number;
  readonly isMasked: boolean;
  readonly headerBytes: number;
  readonly text: string;
}

/** RFC 6455 by hand, so that each byte is counted. Understands what a gateway sends: whole frames below 64 KiB. */
class BareClient {
  readonly frames: WireFrame[] = [];
  #received = Buffer.alloc(0);
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (bytes: Buffer) => {
      this.#received = Buffer.concat([this.#received, bytes]);
      this.#read();
    });
  }

  /** Returns how many bytes stand in front of the payload and how many the payload has. */
  send(opcode: number, payload: Buffer): { readonly overheadBytes: number } {
    const mask = randomBytes(4);
    const length =
      payload.length < 126 ? Buffer.of(0x80 | payload.length) : Buffer.of(0x80 | 126, payload.length >> 8, payload.length & 255);
    const head = Buffer.concat([Buffer.of(0x80 | opcode), length, mask]);
    this.#socket.write(Buffer.concat([head, payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0))]));
    return { overheadBytes: head.length };
  }

  sendText(frame: object): { readonly overheadBytes: number } {
    return this.send(1, Buffer.from(JSON.stringify(frame)));
  }

  async frame(type: string): Promise<WireFrame> {
    return await waitFor(() => this.frames.find(({ text }) => text.startsWith(`{"type":"${type}"`)), { what: type });
  }

  #read(): void {
    for (;;) {
      const [first, second] = this.#received;
      if (first === undefined || second === undefined) return;
      const headerBytes = (second & 127) === 126 ? 4 : 2;
      if (this.#received.length < headerBytes) return;
      const length = headerBytes === 4 ? this.#received.readUInt16BE(2) : second & 127;
      if (this.#received.length < headerBytes + length) return;
      const text = String(this.#received.subarray(headerBytes, headerBytes + length));
      this.frames.push({ opcode: first & 15, isMasked: (second & 128) !== 0, headerBytes, text });
      this.#received = this.#received.subarray(headerBytes + length);
    }
  }
}

/** A socket after its upgrade, and what the upgrade was answered. */
async function upgrade(): Promise<{ readonly client: BareClient; readonly answer: string }> {
  const [host, port] = example.gateway.addresses.client.split(":");
  bare = connect(Number(port), host);
  const key = "dGhlIHNhbXBsZSBub25jZQ==";
  const lines = [`GET /connect?token=${example.token()}&device=phone HTTP/1.1`, "Host: x", "Connection: Upgrade", "Upgrade: websocket"];
  bare.write(`${[...lines, "Sec-WebSocket-Version: 13", `Sec-WebSocket-Key: ${key}`].join("\r\n")}\r\n\r\n`);
  const [bytes] = (await once(bare, "data")) as [Buffer];
  const end = bytes.indexOf("\r\n\r\n") + 4;
  const client = new BareClient(bare);
  bare.emit("data", bytes.subarray(end)); // hello may have come in the same piece
  return { client, answer: String(bytes.subarray(0, end)) };
}

async function notify(data: string): Promise<void> {
  const entry = (await example.entryOf("usr_42", "phone"))?.entry;
  const frame = Buffer.from(`{"type":"notification","notification_id":"n1","cursor":"c1_1700000000000_000001","data":${data}}`);
  const target = { connection: entry?.connection ?? "", user: "usr_42", device: "phone" };
  const outcomes = await example.deliveries().send({ deliveries: [{ frame, targets: [target] }] });
  expect(outcomes).toEqual([v1.Outcome.OUTCOME_WRITTEN]);
}

describe("on the wire", () => {
  test("an HTTP upgrade turns one TCP connection into frames both ways, with 2 to 6 bytes in front of a short one", async () => {
    await start();
    const { client, answer } = await upgrade();
    expect(answer).toMatch(/^HTTP\/1\.1 101 /);
    expect(answer).toContain("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="); // RFC 6455 §1.3
    await client.frame("hello");
    await notify('"short"');
    await client.frame("notification");
    expect(client.sendText({ type: "ack", notification_id: "n1" })).toEqual({ overheadBytes: 6 });
    expect(client.sendText({ type: "ping" })).toEqual({ overheadBytes: 6 });
    expect(await client.frame("pong")).toMatchObject({ headerBytes: 2, isMasked: false });
    await waitFor(() => example.router.acks.length === 1, { what: "the ack" });
    for (const { headerBytes, text } of client.frames) expect([text, headerBytes]).toEqual([text, text.length < 126 ? 2 : 4]);
  });

  test("every frame of a gateway is JSON text; a binary one from a client is understood as that, and refused with 1003", async () => {
    await start();
    const { client } = await upgrade();
    await client.frame("hello");
    await notify("[1]");
    await client.frame("notification");
    client.sendText({ type: "ping" });
    await client.frame("pong");
    expect(client.frames.map(({ opcode }) => opcode)).toEqual(client.frames.map(() => 1));
    client.send(2, Buffer.from([1, 2, 3]));
    const closing = await waitFor(() => client.frames.find(({ opcode }) => opcode === 8), { what: "a close frame" });
    expect(Buffer.from(closing.text.slice(2)).toString()).toBe("binary frames are not accepted");
    expect(await example.metric('pushfleet_gateway_closes_total{code="1003"}')).toBe("1");
  });

  test("without the upgrade, as through a proxy that drops it, /connect says 426 at once", async () => {
    await start();
    const response = await fetch(`${example.http}/connect?token=${example.token()}`);
    expect([response.status, response.headers.get("upgrade")]).toEqual([426, "websocket"]);
    expect(await response.json()).toMatchObject({ error: { message: expect.stringContaining("expected a WebSocket upgrade") } });
  });

  test.each(["/connect", "/poll", "/notifications", "/"])("no request waits for a notification (long polling): GET %s", async (path) => {
    await start();
    const response = await fetch(`${example.http}${path}?token=${example.token()}&timeout=30`, { signal: AbortSignal.timeout(5000) });
    expect(response.status).toBeGreaterThanOrEqual(400);
    await response.text();
    expect(example.gateway.status().connections).toBe(0);
  });
});
