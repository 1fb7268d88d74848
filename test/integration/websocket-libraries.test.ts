import { connect, type WebSocketConstructor } from "@pushfleet/client";
import { WebSocket as UndiciWebSocket } from "undici";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket as WsWebSocket } from "ws";
import { ExampleGateway } from "../../gateway/src/example-gateway.test-suite.js";
import { waitFor } from "../peers/wait-for.js";

/** What the interface of browsers has, and both libraries have. */
interface BrowserWebSocket {
  onmessage: ((event: { data: unknown }) => void) | null;
  close(): void;
}

/** undici's is the one that Node 22 and newer have built in. */
const libraries: readonly (readonly [string, unknown])[] = [
  ["ws", WsWebSocket],
  ["undici", UndiciWebSocket],
];

describe.each(libraries)("the WebSocket of %s", (name, library) => {
  let gateway: ExampleGateway;
  beforeAll(async () => {
    gateway = await ExampleGateway.start({ config: { heartbeat: { intervalMs: 100, timeoutMs: 400 } } });
  });
  afterAll(async () => await gateway?.stop());

  test("needs nothing but a URL with a token, and answers pings by itself", async () => {
    const WebSocket = library as new (url: string) => BrowserWebSocket;
    const socket = new WebSocket(`${gateway.url}?token=${gateway.token()}&device=${name}`);
    const frames: unknown[] = [];
    socket.onmessage = ({ data }) => frames.push(JSON.parse(String(data)));
    await waitFor(() => frames.length > 0, { what: "hello" });
    expect(frames[0]).toMatchObject({ type: "hello", device: name });
    const heartbeats = async (): Promise<number> => Number(await gateway.metric("pushfleet_gateway_heartbeats_total"));
    await waitFor(async () => (await heartbeats()) >= 10, { what: "a second of heartbeats" });
    expect(gateway.gateway.status().connections).toBe(1);
    expect(await gateway.metric("pushfleet_gateway_heartbeat_failures_total")).toBe("0");
    socket.close();
    await waitFor(() => gateway.gateway.status().connections === 0, { what: "the close" });
  });

  test("carries the SDK", async () => {
    const client = connect({ url: gateway.url, token: () => gateway.token(), WebSocket: library as WebSocketConstructor });
    await waitFor(() => client.state.kind === "live", { what: "the client to be live" });
    expect(client.ack(["n1"])).toBe(true);
    await waitFor(() => gateway.router.acks.some(({ notificationIds }) => notificationIds?.includes("n1") === true), { what: "the ack" });
    client.close();
  });
});
