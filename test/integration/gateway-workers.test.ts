import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "../peers/free-port.js";
import { describeWithPeers } from "../peers/peer.js";
import { type RedisServer, startRedis } from "../peers/redis.js";
import { type TemporaryFolder, temporaryFolder } from "../peers/temporary-folder.js";
import { waitFor } from "../peers/wait-for.js";
import { Device, signToken } from "../support/device.js";
import { type GatewayProcess, type RouterProcess, startGatewayProcess, startRouterProcess } from "../support/fleet-processes.js";

const secret = "integration-secret-of-32-bytes-or-more";
const devicesCount = 24;

describeWithPeers(["redis-server"], "a gateway of three worker processes", () => {
  let folder: TemporaryFolder;
  let redis: RedisServer;
  let router: RouterProcess;
  let gateway: GatewayProcess;
  let devices: readonly Device[] = [];

  beforeAll(async () => {
    folder = await temporaryFolder("workers");
    redis = await startRedis();
    const place = {
      folder: folder.path,
      redisUrl: redis.url,
      keyPrefix: "workers:",
      jwtSecret: secret,
      routerGrpc: `127.0.0.1:${await freePort()}`,
    };
    router = await startRouterProcess(place);
    gateway = await startGatewayProcess(place, "gw-1", {
      workers: 3,
      drain: { reconnectsPerSecond: 200, deadlineMs: 3_000, stragglerGraceMs: 500 },
    });
    devices = await Promise.all(
      Array.from({ length: devicesCount }, async (_, index) => {
        const user = `usr_${index}`;
        return new Device({
          url: `ws://127.0.0.1:${gateway.clientPort}/connect`,
          user,
          device: "phone",
          token: await signToken(user, secret, 300),
        });
      }),
    );
    await waitFor(() => devices.every((device) => device.isLive), { what: "the devices to connect" });
  }, 60_000);

  afterAll(async () => {
    for (const device of devices) device.client.close();
    await Promise.all([gateway?.process.kill(), router?.process.kill()]);
    await redis?.stop();
    await folder?.remove();
  });

  const metric = async (name: string): Promise<number> => {
    const text = await (await fetch(`http://127.0.0.1:${gateway.adminPort}/metrics`)).text();
    return Number(new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1]);
  };

  /** Children of the supervisor, from /proc. */
  const workerPids = (): readonly number[] =>
    readFileSync(`/proc/${gateway.process.pid}/task/${gateway.process.pid}/children`, "utf8").trim().split(" ").map(Number);

  async function everyDeviceHears(id: string): Promise<void> {
    const response = await fetch(`http://127.0.0.1:${router.httpPort}/v1/notifications`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ user_ids: devices.map(({ user }) => user), notification_id: id, data: 1 }),
    });
    expect(response.status).toBe(202);
    await waitFor(() => devices.every((device) => device.received.some((one) => one.id === id)), { what: `${id} on every device` });
  }

  test("delivers to the connections of each, and sums its metrics", async () => {
    expect(workerPids()).toHaveLength(3);
    await everyDeviceHears("n1");
    await waitFor(async () => (await metric("pushfleet_gateway_connections")) === devicesCount, { what: "the sum" });
    expect(await metric("pushfleet_delivery_seconds_count")).toBe(devicesCount);
  });

  test("goes on when one is killed: another takes its place, and its clients come back", async () => {
    const [victim = 0] = workerPids();
    process.kill(victim, "SIGKILL");
    await waitFor(() => workerPids().length === 3 && !workerPids().includes(victim), { what: "the new worker" });
    await waitFor(async () => (await fetch(`http://127.0.0.1:${gateway.adminPort}/readyz`)).status === 200, { what: "readiness" });
    await waitFor(() => devices.every((device) => device.isLive), { what: "every device to be back", deadlineMs: 30_000 });
    await everyDeviceHears("n2");
  }, 60_000);

  test("hands everything over when it is told to stop, and ends with 0", async () => {
    const pids = workerPids();
    const ended = gateway.process.stop();
    await waitFor(() => pids.every((pid) => !isAlive(pid)), { what: "the workers to end", deadlineMs: 20_000 });
    expect(await ended).toMatchObject({ code: 0 });
  }, 30_000);
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false; // there is no such process
  }
}
