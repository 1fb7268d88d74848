// One gateway worker as production runs it, with the registry in memory and no router to ask.
import { createGateway } from "@pushfleet/gateway";
import { createMemoryRegistry } from "@pushfleet/registry";
import { createLogger, systemClock } from "@pushfleet/service";
import { secret } from "../load/upgrade.mjs";
import { answerRequests } from "../processes.mjs";

/** Admission is not what is measured. */
const unlimited = 1_000_000;

/** Standard output is the report's. */
const logger = createLogger("gateway");
logger.level = "warn";

const registry = createMemoryRegistry({ clock: systemClock });
await registry.start();

const noRouter = async () => ({ kind: /** @type {const} */ ("unavailable"), cause: new Error("no router in this benchmark") });
const starting = createGateway(
  {
    id: "gw-bench",
    listen: { host: "127.0.0.1", port: 0, extraPorts: [], allowedOrigins: ["*"] },
    admin: { host: "127.0.0.1", port: 0 },
    grpc: { host: "127.0.0.1", port: 0 },
    workers: 1,
    auth: { hs256Secret: secret, maxLifetimeSeconds: 300 },
    registry: { kind: "memory" },
    router: { addresses: [] },
    limits: { maxConnections: 650_000, handshakesPerSecond: unlimited },
    heartbeat: { intervalMs: 30_000, timeoutMs: 90_000 },
    drain: { reconnectsPerSecond: 1000, deadlineMs: 1_500_000, stragglerGraceMs: 30_000 },
  },
  { registry, router: { acknowledge: noRouter, sync: noRouter, emit: noRouter }, clock: systemClock, logger },
);

const portOf = (/** @type {string} */ address) => Number(address.slice(address.lastIndexOf(":") + 1));

answerRequests({
  async addresses() {
    const { addresses } = await starting;
    return { port: portOf(addresses.client), grpc: addresses.grpc };
  },
  collect: () => globalThis.gc?.(),
  connections: async () => (await starting).status().connections,
});
