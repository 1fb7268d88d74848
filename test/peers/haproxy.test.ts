import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { checkHaproxyConfig, type HaproxyServer, startHaproxy } from "./haproxy.js";
import { describeWithPeers } from "./peer.js";
import { isProcessAlive } from "./process-alive.js";
import { waitFor } from "./wait-for.js";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A TCP server that sends its name to each connection. Returns its port. */
async function startBackend(name: string): Promise<number> {
  const server = createServer((socket) => socket.on("error", () => {}).write(name));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** Connects and returns the socket with the name of the backend it came to. */
async function open(port: number): Promise<{ readonly socket: Socket; readonly backend: string }> {
  const socket = connect(port, "127.0.0.1");
  cleanups.push(() => socket.destroy());
  const [data] = await once(socket, "data");
  return { socket, backend: String(data) };
}

const buildConfig = (port: number, backends: readonly number[], balance = "leastconn"): string => `
defaults
  mode tcp
  timeout connect 2s
  timeout client 30s
  timeout server 30s
listen clients
  bind 127.0.0.1:${port}
  balance ${balance}
${backends.map((backend) => `  server b${backend} 127.0.0.1:${backend}`).join("\n")}
`;

describeWithPeers(["haproxy"], "an HAProxy of our own", () => {
  async function start(backends: readonly number[]): Promise<HaproxyServer> {
    const haproxy = await startHaproxy((port) => buildConfig(port, backends));
    cleanups.push(() => haproxy.stop());
    return haproxy;
  }

  test("forwards TCP to the backend with the least connections", async () => {
    const haproxy = await start([await startBackend("one"), await startBackend("two")]);
    const opened = [await open(haproxy.port), await open(haproxy.port), await open(haproxy.port), await open(haproxy.port)];
    expect(opened.map(({ backend }) => backend).sort()).toEqual(["one", "one", "two", "two"]);
  });

  test("a new configuration moves new connections and keeps old ones open", async () => {
    const [one, two] = [await startBackend("one"), await startBackend("two")];
    const haproxy = await start([one]);
    const old = await open(haproxy.port);
    await haproxy.reload((port) => buildConfig(port, [two]));
    await expect(open(haproxy.port)).resolves.toMatchObject({ backend: "two" });
    expect([old.backend, old.socket.readyState]).toEqual(["one", "open"]);
  });

  test("a broken configuration is an error with HAProxy's words and line number", async () => {
    const broken = (port: number): string => buildConfig(port, [], "leestconn");
    await expect(startHaproxy(broken)).rejects.toThrow(/refuses this configuration:\n\[ALERT\].*haproxy\.cfg:9.*leastconn/s);
    await expect(checkHaproxyConfig(broken(1))).resolves.toMatchObject({ kind: "invalid" });
    await expect(checkHaproxyConfig(buildConfig(1, [2]))).resolves.toEqual({ kind: "valid" });
  });

  test("a reload with a broken configuration is an error, and the old one stays", async () => {
    const haproxy = await start([await startBackend("one")]);
    await expect(haproxy.reload((port) => buildConfig(port, [], "leestconn"))).rejects.toThrow("refuses this configuration");
    await expect(open(haproxy.port)).resolves.toMatchObject({ backend: "one" });
  });

  test("a port that is taken is an error, not shared", async () => {
    const haproxy = await start([await startBackend("one")]);
    await expect(startHaproxy(() => buildConfig(haproxy.port, [1]))).rejects.toThrow(/cannot bind socket/i);
  });

  test("leaves no process when it is stopped, its worker included", async () => {
    const haproxy = await start([await startBackend("one")]);
    const worker = Number(/New worker \((\d+)\)/.exec(haproxy.process.lines().join("\n"))?.[1]);
    expect(isProcessAlive(worker)).toBe(true);
    await haproxy.stop();
    expect(isProcessAlive(haproxy.pid)).toBe(false);
    await waitFor(() => !isProcessAlive(worker), { what: "the worker's end" });
  });
});
