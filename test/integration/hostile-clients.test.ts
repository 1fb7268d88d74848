import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { generateKeyPair, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { describeWithPeers } from "../peers/peer.js";
import { startProcess } from "../peers/process.js";
import { waitFor } from "../peers/wait-for.js";
import { Device, signToken } from "../support/device.js";
import type { GatewayProcess } from "../support/fleet-processes.js";
import { ProcessFleet } from "../support/process-fleet.js";

const secret = ProcessFleet.jwtSecret;

describeWithPeers(["redis-server"], "hostile clients of one gateway", () => {
  let fleet: ProcessFleet;
  let gateway: GatewayProcess;
  let bystander: Device;
  let published = 0;

  beforeAll(async () => {
    const auth = { hs256Secret: secret, audience: "push", maxLifetimeSeconds: 300 };
    fleet = await ProcessFleet.start({
      name: "hostile",
      gateways: ["gw-1"],
      gateway: { auth, heartbeat: { intervalMs: 1000, timeoutMs: 3000 } },
    });
    const [first] = fleet.gateways;
    if (first === undefined) throw new Error("no gateway");
    gateway = first;
    bystander = new Device({
      url: `ws://127.0.0.1:${gateway.clientPort}/connect`,
      user: "bystander",
      device: "d",
      token: await token({ sub: "bystander" }),
    });
    await waitFor(() => bystander.isLive, { what: "the bystander to connect" });
  }, 60_000);

  afterAll(async () => {
    bystander?.client.close();
    await fleet?.stop();
  });

  function token(claims: Record<string, unknown>, options: { seconds?: number } = {}): Promise<string> {
    const nowSeconds = Math.floor(Date.now() / 1000);
    const all = { aud: "push", iat: nowSeconds, exp: nowSeconds + (options.seconds ?? 300), ...claims };
    return new SignJWT(Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)))
      .setProtectedHeader({ alg: "HS256" })
      .sign(new TextEncoder().encode(secret));
  }

  const url = (query: string): string => `ws://127.0.0.1:${gateway.clientPort}/connect${query}`;

  /** The code that a connection is closed with, once it has been opened and `act` has been done to it. */
  async function closeCode(query: string, act: (socket: WebSocket) => void = () => {}): Promise<number> {
    const socket = new WebSocket(url(query));
    socket.on("error", () => {}); // the code says it
    socket.once("open", () => act(socket));
    return await new Promise((resolve) => socket.once("close", resolve));
  }

  /** The others notice nothing: they are still connected, and a notification still arrives. */
  async function othersNoticeNothing(): Promise<void> {
    const id = `still_${published++}`;
    expect((await fleet.publish([{ user_id: "bystander", notification_id: id, data: 1 }])).status).toBe(202);
    await waitFor(() => bystander.received.some((one) => one.id === id), { what: `${id} to reach the bystander` });
    expect(bystander.losses).toBe(0);
  }

  describe("a token", () => {
    const nowSeconds = Math.floor(Date.now() / 1000);
    const noSignature = (header: object, claims: object): string =>
      `${[header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".")}.`;

    test.each<readonly [string, () => Promise<string> | string]>([
      ["that has expired", () => token({ sub: "u", iat: nowSeconds - 400, exp: nowSeconds - 100 })],
      ["with alg none", () => noSignature({ alg: "none" }, { sub: "u", aud: "push", iat: nowSeconds, exp: nowSeconds + 100 })],
      [
        "signed with RS256",
        async () => {
          const { privateKey } = await generateKeyPair("RS256");
          return await new SignJWT({ aud: "push" })
            .setProtectedHeader({ alg: "RS256" })
            .setSubject("u")
            .setIssuedAt()
            .setExpirationTime("5m")
            .sign(privateKey);
        },
      ],
      ["for another audience", () => token({ sub: "u", aud: "other" })],
      ["without exp", () => token({ sub: "u", exp: undefined })],
      ["without sub", () => token({})],
      ["whose sub is no id", () => token({ sub: "a b" })],
      ["in the query that is valid for a day", () => token({ sub: "u" }, { seconds: 86_400 })],
      ["signed with another secret", () => signToken("u", "another-secret")],
      ["that is no token", () => "x.y.z"],
    ])("%s is refused with 4401", async (_, make) => {
      expect(await closeCode(`?token=${await make()}`)).toBe(4401);
      await othersNoticeNothing();
    });
  });

  test("a first frame other than auth closes with 4401 at once, silence with 4408 after 5 s", async () => {
    expect(await closeCode("", (socket) => socket.send('{"type":"ping"}'))).toBe(4401);
    const startedMs = performance.now();
    expect(await closeCode("")).toBe(4408);
    expect(performance.now() - startedMs).toBeGreaterThan(4_000);
  }, 30_000);

  describe("a frame", () => {
    const brackets = "[".repeat(100_000);
    test.each<readonly [string, number, string | Buffer]>([
      ["of 70 KB", 1009, JSON.stringify({ type: "event", name: "x", data: "x".repeat(70_000) })],
      ["of 100,000 brackets", 1009, brackets],
      ["of 60,000 brackets", 4400, brackets.slice(0, 60_000)],
      ["of 5 MB", 1006, "x".repeat(5_000_000)],
      ["that is no JSON", 4400, "{nope"],
      ["that is an array", 4400, "[]"],
      ["with only __proto__", 4400, '{"__proto__":{"type":"ping"}}'],
      ["of an unknown type", 4400, '{"type":"nope"}'],
      ["of binary", 1003, Buffer.from([1, 2, 3])],
    ])("%s closes with %i", async (_, code, frame) => {
      const query = `?token=${await token({ sub: "hostile" })}&device=h`;
      const seen = await closeCode(query, (socket) => socket.once("message", () => socket.send(frame)));
      expect(seen).toBe(code);
      await othersNoticeNothing();
    });

    test("of invalid UTF-8 cuts the connection", async () => {
      const socket = await rawUpgrade(`?token=${await token({ sub: "hostile" })}&device=h`);
      const bytes = Buffer.from([0xc3, 0x28]);
      socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | bytes.length, 0, 0, 0, 0]), bytes])); // masked with zeroes
      await new Promise((resolve) => socket.once("close", resolve));
      await othersNoticeNothing();
    });
  });

  test("a device id that is none closes with 4400; too many frames with 4429", async () => {
    expect(await closeCode(`?token=${await token({ sub: "u" })}&device=a%20b`)).toBe(4400);
    const flood = (socket: WebSocket): void => {
      for (let n = 0; n < 1000; n++) socket.send('{"type":"ping"}');
    };
    expect(await closeCode(`?token=${await token({ sub: "u" })}`, flood)).toBe(4429);
    await othersNoticeNothing();
  });

  test("a client that never answers pings is closed after the timeout", async () => {
    const socket = await rawUpgrade(`?token=${await token({ sub: "silent" })}&device=s`);
    const startedMs = performance.now();
    socket.resume();
    await new Promise((resolve) => socket.once("close", resolve));
    expect(performance.now() - startedMs).toBeGreaterThan(2_000);
    await othersNoticeNothing();
  }, 30_000);

  test("a client that does not read gets 4410 or a gap, and its memory is bounded", async () => {
    const socket = await rawUpgrade(`?token=${await token({ sub: "slow" })}&device=s`);
    socket.pause();
    const before = rssBytes(gateway.process.pid);
    for (let round = 0; round < 40; round++) {
      const notifications = Array.from({ length: 30 }, (_, n) => ({
        user_id: "slow",
        notification_id: `r${round}_${n}`,
        data: "x".repeat(30_000),
      }));
      expect((await fleet.publish(notifications)).status).toBe(202);
    }
    expect(rssBytes(gateway.process.pid) - before).toBeLessThan(150 * 1024 * 1024); // 36 MB were published
    await othersNoticeNothing();
    socket.destroy();
  }, 60_000);

  test("10,000 half-open handshakes from another process are cut in 12 s, the others notice nothing, and memory comes back", async () => {
    const before = rssBytes(gateway.process.pid);
    const attacker = await startProcess({
      name: "half-open",
      command: process.execPath,
      args: [fileURLToPath(new URL("../support/half-open.mjs", import.meta.url)), String(gateway.clientPort), "10000"],
      ready: (line) => line.startsWith("open "),
      readyDeadlineMs: 30_000,
    });
    await othersNoticeNothing();
    const report = await attacker.waitForLine((line) => line.startsWith("all cut "), {
      what: "the handshakes to be cut",
      deadlineMs: 20_000,
    });
    expect(Number(report.split(" ")[2])).toBeLessThanOrEqual(13_500); // uWebSockets.js looks every 4 s, and opening took a while
    await attacker.exited;
    await othersNoticeNothing();
    await waitFor(() => rssBytes(gateway.process.pid) < before + 40 * 1024 * 1024, {
      what: "memory to come back",
      deadlineMs: 30_000,
      intervalMs: 500,
    });
  }, 120_000);

  /** A WebSocket by hand: it answers nothing by itself. Resolves when the upgrade was answered. */
  async function rawUpgrade(query: string): Promise<Socket> {
    const socket = connect(gateway.clientPort, "127.0.0.1");
    socket.on("error", () => {}); // it may be cut with a reset
    socket.write(
      `GET /connect${query} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    await new Promise((resolve) => socket.once("data", resolve));
    return socket;
  }
});

function rssBytes(pid: number): number {
  const line = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(line) * 1024;
}
