import { createRegistry } from "@pushfleet/registry";
import { createLogger, systemClock } from "@pushfleet/service";
import { createGateway } from "../create-gateway.js";
import { connectRouters } from "../shell/router-link.js";
import type { Channel, FromWorker, ToWorker } from "./messages.js";
import { serveWorker } from "./serve-worker.js";

// One worker process of a gateway: started by the supervisor, which says everything else.

/** The supervisor is told what a signal wants, and tells us; a terminal sends Ctrl-C to both. */
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => {});

const channel: Channel<ToWorker, FromWorker> = {
  send: (message) => {
    if (process.connected) process.send?.(message);
  },
  onMessage: (listener) => process.on("message", listener),
  onGone: (listener) => process.once("disconnect", listener),
};

serveWorker({
  channel,
  clock: systemClock,
  exit: (code) => process.exit(code),
  start: async ({ config, worker, workers }, whole) => {
    const logger = createLogger("gateway").child({ worker });
    const parts = { clock: systemClock, logger };
    const registry = createRegistry(config.registry, parts);
    await registry.start();
    const router = connectRouters({ ...config.router, tls: config.grpc.tls, ...parts });
    const gateway = await createGateway(config, { ...parts, registry, router, workers, whole });
    return {
      gateway,
      release: async () => {
        router.stop();
        await registry.stop();
      },
    };
  },
});
