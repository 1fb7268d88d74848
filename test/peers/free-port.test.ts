import { createServer, type Server } from "node:net";
import { afterEach, expect, test } from "vitest";
import { freePort, freePorts, startOnFreePort } from "./free-port.js";

const servers: Server[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
});

function listen(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    servers.push(server);
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve(port));
  });
}

test("a free port can be bound, and is never given out twice by one process", async () => {
  const ports = await Promise.all(Array.from({ length: 50 }, () => freePort()));
  expect(new Set(ports).size).toBe(50);
  const [first] = await freePorts(1);
  await expect(listen(first)).resolves.toBe(first);
});

test("several free ports are consecutive and all of them can be bound", async () => {
  const ports = await freePorts(8);
  expect(ports).toEqual(ports.map((_, index) => ports[0] + index));
  await expect(Promise.all(ports.map(listen))).resolves.toEqual(ports);
});

test("a start that finds its port taken is tried again on another one", async () => {
  const tried: number[] = [];
  const port = await startOnFreePort(async (candidate) => {
    tried.push(candidate);
    if (tried.length === 1) await listen(candidate);
    return listen(candidate);
  });
  expect(tried).toHaveLength(2);
  expect(port).toBe(tried[1]);
});

test("a start that fails for another reason is not tried again", async () => {
  let starts = 0;
  const starting = startOnFreePort(async () => {
    starts += 1;
    throw new Error("bad configuration");
  });
  await expect(starting).rejects.toThrow("bad configuration");
  expect(starts).toBe(1);
});
