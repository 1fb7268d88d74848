import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import { freePort } from "../peers/free-port.js";
import { describeWithPeers } from "../peers/peer.js";
import { type RedisServer, startRedis } from "../peers/redis.js";
import { type TemporaryFolder, temporaryFolder } from "../peers/temporary-folder.js";
import { waitFor } from "../peers/wait-for.js";
import { signToken } from "../support/device.js";
import { type GatewayProcess, startGatewayProcess } from "../support/fleet-processes.js";

const jwtSecret = "integration-secret-of-32-bytes-or-more";

describeWithPeers(["redis-server"], "a gateway process", () => {
  let folder: TemporaryFolder;
  let redis: RedisServer;
  let gateway: GatewayProcess;

  beforeAll(async () => {
    folder = await temporaryFolder("descriptors");
    redis = await startRedis();
    const place = { folder: folder.path, redisUrl: redis.url, keyPrefix: "fds:", jwtSecret, routerGrpc: `127.0.0.1:${await freePort()}` };
    gateway = await startGatewayProcess(place, "gw-1");
  });
  afterAll(async () => {
    await gateway?.process.kill();
    await redis?.stop();
    await folder?.remove();
  });

  const metric = async (name: string): Promise<number> => {
    const text = await (await fetch(`http://127.0.0.1:${gateway.adminPort}/metrics`)).text();
    return Number(new RegExp(`^pushfleet_gateway_${name} (\\S+)$`, "m").exec(text)?.[1]);
  };

  test("spends exactly one file descriptor on a connection, and gets it back", async () => {
    const count = 200;
    await metric("open_fds"); // the descriptor of this keep-alive connection is there from now on
    const before = await metric("open_fds");
    const sockets: WebSocket[] = [];
    for (let n = 0; n < count; n += 1) {
      const token = await signToken(`usr_${n}`, jwtSecret);
      const socket = new WebSocket(`ws://127.0.0.1:${gateway.clientPort}/connect?token=${token}`);
      await once(socket, "message");
      sockets.push(socket);
    }
    await waitFor(async () => (await metric("open_fds")) - before === count, { what: `${count} descriptors more` });
    for (const socket of sockets) socket.terminate();
    await waitFor(async () => (await metric("open_fds")) === before, { what: "the descriptors to come back" });
    expect(await metric("max_fds")).toBeGreaterThan(count);
  });
});
