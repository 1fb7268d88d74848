import type { Incarnation } from "@pushfleet/protocol";
import { limits } from "@pushfleet/protocol";
import { createMemoryRegistry } from "@pushfleet/registry";
import { callUnary, createGrpcClient, createLogger, gatewayService, ManualClock, systemClock, v1 } from "@pushfleet/service";
import { afterEach, describe, expect, test } from "vitest";
import { freePort } from "../../../test/peers/free-port.js";
import { waitFor } from "../../../test/peers/wait-for.js";
import { createGateway, type Gateway } from "../create-gateway.js";
import { ExampleClient, ExampleRouter, exampleConfig, signToken } from "../example-gateway.test-suite.js";
import type { FromWorker, ToWorker } from "./messages.js";
import { serveWorker } from "./serve-worker.js";
import { Supervisor } from "./supervisor.js";
import { type DrainedWorker, WholeDrain } from "./whole-drain.js";
import type { WorkerChannel } from "./worker-process.js";

const { STATE_SERVING, STATE_CORDONED, STATE_DRAINED } = v1.ServingState;
const logger = createLogger("gateway", "silent");

/** Worker processes that are none: each runs in this process, at the other end of a channel that loses and mixes up nothing. */
class ExampleWorkers {
  readonly registry = createMemoryRegistry({ clock: systemClock });
  readonly gateways: (Gateway | undefined)[] = [];
  starts = 0;
  readonly #kills: (() => void)[] = [];

  readonly start = (index: number): WorkerChannel => {
    this.starts += 1;
    const toWorker: ((message: ToWorker) => void)[] = [];
    const fromWorker: ((message: FromWorker) => void)[] = [];
    const gone: (() => void)[] = [];
    let isGone = false;
    const end = (): void => {
      if (isGone) return;
      isGone = true;
      this.gateways[index] = undefined;
      for (const listener of gone) listener();
    };
    const post = <Message>(listeners: readonly ((message: Message) => void)[], message: Message): void => {
      const copy = structuredClone(message);
      setImmediate(() => {
        if (!isGone) for (const listener of listeners) listener(copy);
      });
    };
    serveWorker({
      clock: systemClock,
      exit: end,
      channel: { send: (message) => post(fromWorker, message), onMessage: (listener) => toWorker.push(listener), onGone: () => {} },
      start: async ({ config, workers }, whole) => {
        const parts = { registry: this.registry, router: new ExampleRouter(), clock: systemClock, logger };
        const gateway = await createGateway(config, { ...parts, workers, whole });
        this.gateways[index] = gateway;
        return { gateway, release: async () => {} };
      },
    });
    const kill = (): void => {
      const gateway = this.gateways[index];
      void gateway?.stop({ kind: "close" }); // its sockets would go with the process
      end();
    };
    this.#kills[index] = kill;
    return {
      send: (message) => post(toWorker, message),
      onMessage: (listener) => fromWorker.push(listener),
      onGone: (listener) => gone.push(listener),
      kill,
    };
  };

  /** SIGKILL. */
  kill(index: number): void {
    this.#kills[index]?.();
  }
}

let supervisor: Supervisor;
let workers: ExampleWorkers;
const clients: ExampleClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.socket.terminate();
  await supervisor?.stop("close");
});

async function start(count: number, memory = () => ({ usedBytes: 0, limitBytes: undefined as number | undefined })): Promise<string> {
  workers = new ExampleWorkers();
  await workers.registry.start();
  const listen = { host: "127.0.0.1", port: await freePort() };
  const config = exampleConfig({ listen, limits: { maxConnections: 100 } });
  const { registry } = workers;
  supervisor = new Supervisor({ config, workers: count, registry, clock: systemClock, logger, startWorker: workers.start, memory });
  await supervisor.start();
  return `ws://127.0.0.1:${listen.port}/connect`;
}

async function connect(url: string, user: string): Promise<ExampleClient> {
  const client = new ExampleClient(`${url}?token=${signToken({ sub: user }, Date.now())}&device=phone`);
  clients.push(client);
  await client.frame("hello");
  return client;
}

/** Until each worker has one at least: the kernel deals connections out. */
async function connectToAll(url: string): Promise<void> {
  for (let i = 0; i < 200; i++) {
    await connect(url, `usr_${i}`);
    if (workers.gateways.every((gateway) => (gateway?.status().connections ?? 0) > 0)) return;
  }
  throw new Error("one worker got no connection");
}

const admin = async (path: string) => {
  const response = await fetch(`http://${supervisor.addresses.admin}${path}`);
  return { status: response.status, text: await response.text() };
};

describe("a gateway of two workers", () => {
  test("shares its port, and its sums are those of the gateway", async () => {
    const url = await start(2);
    await connectToAll(url);
    const count = clients.length;
    await waitFor(() => supervisor.status().connections === count, { what: "the reports" });
    expect(supervisor.status()).toMatchObject({ gateway: "gw-1", state: STATE_SERVING, ready: true, effectiveMaxConnections: 100 });
    const { text } = await admin("/metrics");
    expect(text).toContain(`pushfleet_gateway_connections ${count}\n`);
    expect(text).toContain(`pushfleet_gateway_handshakes_total{result="accepted"} ${count}\n`);
    expect(text).toContain("pushfleet_delivery_seconds_count 0");
    expect(await admin("/readyz")).toEqual({ status: 200, text: "ready\n" });
    expect(new Set(supervisor.addresses.grpc).size).toBe(2);
  });

  test("starts a worker again when it dies, and ends its lease at once", async () => {
    const url = await start(2);
    await connect(url, "usr_42");
    await waitFor(() => supervisor.status().connections === 1, { what: "the report" });
    const [dead] = workers.gateways;
    const incarnation = dead?.status().incarnation as Incarnation;
    workers.kill(0);
    await waitFor(
      async () => {
        const read = await workers.registry.readLease(incarnation);
        return read.kind === "lease" && read.lease === undefined;
      },
      { what: "the lease to end" },
    );
    await waitFor(() => workers.starts === 3 && workers.gateways[0] !== undefined, { what: "the new worker" });
    await waitFor(async () => (await admin("/readyz")).status === 200, { what: "the gateway to be ready" });
    await connectToAll(url);
  });

  test("is drained as one, whichever worker is told", async () => {
    const url = await start(2);
    await connectToAll(url);
    const [, second] = supervisor.addresses.grpc;
    const channel = createGrpcClient(second ?? "", undefined);
    const grant = { reconnectsPerSecond: 0, deadlineMs: Date.now() + 60_000, epoch: 3, stragglerGraceMs: 1000 };
    const reply = await callUnary(channel, gatewayService.drain, new v1.DrainRequest({ grant, reason: "test" }), 5000);
    expect(reply).toMatchObject({ accepted: true, epoch: 3 });
    await waitFor(() => supervisor.status().state === STATE_CORDONED, { what: "the cordon" });
    expect(workers.gateways.map((gateway) => gateway?.status().state)).toEqual([STATE_CORDONED, STATE_CORDONED]);
    expect((await admin("/readyz")).status).toBe(503);
    const old = await callUnary(channel, gatewayService.drain, new v1.DrainRequest({ grant: { ...grant, epoch: 2 } }), 5000);
    expect(old).toMatchObject({ accepted: false, epoch: 3 });
    for (const client of clients.splice(0)) client.socket.close();
    await callUnary(channel, gatewayService.drain, new v1.DrainRequest({ grant: { ...grant, reconnectsPerSecond: 10 } }), 5000);
    await waitFor(() => supervisor.status().state === STATE_DRAINED, { what: "both to be drained" });
    const aborted = await callUnary(channel, gatewayService.abortDrain, new v1.AbortDrainRequest({ epoch: 3 }), 5000);
    expect(aborted).toMatchObject({ accepted: true });
    await waitFor(() => supervisor.status().ready === true, { what: "the gateway to serve again" });
    channel.close();
  });

  test("restarts the worker with most memory before the container has none left", async () => {
    let usedBytes = 0;
    const url = await start(2, () => ({ usedBytes, limitBytes: 1000 }));
    await connectToAll(url);
    usedBytes = 960;
    await waitFor(() => workers.starts === 3, { what: "a worker to be restarted" });
    usedBytes = 0;
    const codes = await Promise.all(clients.map((client) => Promise.race([client.closed, Promise.resolve(undefined)])));
    expect(codes.filter((closed) => closed !== undefined).every((closed) => closed?.code === 1001)).toBe(true);
    await waitFor(() => supervisor.status().ready === true, { what: "both to run" });
    expect(workers.starts).toBe(3);
  });
});

test("a supervisor whose worker cannot start says why, and leaves none running", async () => {
  workers = new ExampleWorkers();
  const config = exampleConfig({ auth: { hs256SecretFile: "/no/such/file" } });
  const memory = () => ({ usedBytes: 0, limitBytes: undefined });
  const { registry } = workers;
  supervisor = new Supervisor({ config, workers: 2, registry, clock: systemClock, logger, startWorker: workers.start, memory });
  await expect(supervisor.start()).rejects.toThrow(/worker 0 could not start: .*hs256SecretFile/);
  expect(workers.starts).toBe(1);
});

describe("the grant of a gateway", () => {
  interface Told extends DrainedWorker {
    connections: number;
    rate: number | undefined;
  }
  const worker = (connections: number): Told => ({
    connections,
    rate: undefined,
    async drain(grant) {
      this.rate = grant.reconnectsPerSecond ?? 0;
      return { accepted: true, epoch: grant.epoch ?? 0, message: "" };
    },
    abortDrain: async (epoch) => ({ accepted: true, epoch, message: "" }),
  });
  const grant = { reconnectsPerSecond: 10, deadlineMs: 1, epoch: 1, stragglerGraceMs: 0 };

  test("is split by connections, and moves from worker to worker only after a window", async () => {
    const clock = new ManualClock();
    const [a, b] = [worker(80), worker(20)];
    const drain = new WholeDrain(clock, () => [a, b]);
    await drain.grant(grant, "");
    expect([a.rate, b.rate]).toEqual([8, 2]);
    [a.connections, b.connections] = [20, 20];
    await drain.grant(grant, "");
    expect([a.rate, b.rate]).toEqual([5, 2]);
    clock.advance(limits.drainWindowMs);
    expect([a.rate, b.rate]).toEqual([5, 5]);
  });

  test("is told to a worker with nothing to move, which is then drained", async () => {
    const [a, b] = [worker(10), worker(0)];
    await new WholeDrain(new ManualClock(), () => [a, b]).grant(grant, "");
    expect(a.rate).toBe(10);
    expect(b.rate).toBeGreaterThan(0);
    expect(b.rate).toBeLessThan(0.01);
  });

  test("reaches a worker that was started during the drain as a cordon, then as a share", async () => {
    const clock = new ManualClock();
    const all = [worker(10)];
    const drain = new WholeDrain(clock, () => all);
    await drain.grant(grant, "");
    const late = worker(10);
    all.push(late);
    await drain.join(late);
    expect(late.rate).toBe(0);
    await drain.grant(grant, "");
    expect(all.map(({ rate }) => rate)).toEqual([5, 0]);
    clock.advance(limits.drainWindowMs);
    expect(all.map(({ rate }) => rate)).toEqual([5, 5]);
  });
});
