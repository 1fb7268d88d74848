import { request } from "node:http";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type ConsoleServer, type ConsoleSource, startConsoleServer } from "./console-server.js";

let server: ConsoleServer;
let source: { -readonly [K in keyof ConsoleSource]: ConsoleSource[K] };
const left: string[] = [];

beforeEach(async () => {
  source = {
    fleet: () => ({ name: "demo" }),
    events: () => [{ name: "typing" }],
    metrics: async () => "# HELP a a\n",
    leave: (gateway: string) => gateway === "demo-default-0-x" && left.push(gateway) > 0,
  };
  server = await startConsoleServer({ host: "127.0.0.1", port: 0, source });
});
afterEach(() => server.stop());

async function ask(path: string, options: { method?: string; headers?: Record<string, string> } = {}): Promise<readonly [number, unknown]> {
  return await new Promise((resolve, reject) => {
    const [host, port] = server.address.split(":");
    const outgoing = request({ host, port, path, ...options }, async (response) => {
      let text = "";
      for await (const chunk of response) text += String(chunk);
      resolve([response.statusCode ?? 0, text.startsWith("{") ? JSON.parse(text) : text]);
    });
    outgoing.once("error", reject).end();
  });
}

test("shows the fleet, the last client events and the metrics", async () => {
  expect(await ask("/api/fleet")).toEqual([200, { name: "demo" }]);
  expect(await ask("/api/events")).toEqual([200, { events: [{ name: "typing" }] }]);
  expect(await ask("/metrics")).toEqual([200, "# HELP a a\n"]);
});

test("asks a gateway to leave, and says when there is none of that name", async () => {
  expect((await ask("/api/gateways/demo-default-0-x/leave", { method: "POST" }))[0]).toBe(202);
  expect(left).toEqual(["demo-default-0-x"]);
  expect(await ask("/api/gateways/nobody/leave", { method: "POST" })).toMatchObject([404, { error: { code: "not_found" } }]);
});

test("refuses names that are not loopback and pages of other origins", async () => {
  expect((await ask("/api/fleet", { headers: { host: "evil.example" } }))[0]).toBe(403);
  expect((await ask("/api/fleet", { headers: { origin: "https://evil.example" } }))[0]).toBe(403);
});

test.each([
  ["GET", "/other", 404, "expected GET /api/fleet, /api/events or /metrics, or POST /api/gateways/NAME/leave"],
  ["POST", "/other", 404, "expected GET /api/fleet, /api/events or /metrics, or POST /api/gateways/NAME/leave"],
  ["GET", "/", 404, "expected GET /api/fleet"],
  ["DELETE", "/api/fleet", 405, "DELETE /api/fleet: expected GET, HEAD"],
  ["GET", "/api/gateways/demo-default-0-x/leave", 405, "expected POST"],
  ["POST", "/api/gateways/Not%20One/leave", 404, "no gateway Not%20One, expected a name of GET /api/fleet"],
])("%s %s is answered %i with what would be right", async (method, path, status, message) => {
  expect(await ask(path, { method })).toMatchObject([
    status,
    { error: { code: expect.any(String), message: expect.stringContaining(message) } },
  ]);
});

test("HEAD is GET without the body, and a query changes nothing", async () => {
  expect(await ask("/api/fleet", { method: "HEAD" })).toEqual([200, ""]);
  expect((await ask("/api/fleet?pretty"))[0]).toBe(200);
});

test("a failure while answering is told as JSON", async () => {
  source.metrics = () => Promise.reject(new Error("no figures"));
  expect(await ask("/metrics")).toMatchObject([500, { error: { code: "failed", message: expect.stringContaining("no figures") } }]);
});
