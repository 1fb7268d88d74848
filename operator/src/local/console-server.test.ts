import { request } from "node:http";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type ConsoleServer, startConsoleServer } from "./console-server.js";

let server: ConsoleServer;
const left: string[] = [];

beforeEach(async () => {
  const source = {
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

test("refuses names that are not loopback, pages of other origins, other methods and other paths", async () => {
  expect((await ask("/api/fleet", { headers: { host: "evil.example" } }))[0]).toBe(403);
  expect((await ask("/api/fleet", { headers: { origin: "https://evil.example" } }))[0]).toBe(403);
  expect((await ask("/api/fleet", { method: "DELETE" }))[0]).toBe(405);
  expect((await ask("/other"))[0]).toBe(404);
});
