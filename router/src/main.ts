import { createRequire } from "node:module";
import { createRegistry } from "@pushfleet/registry";
import { runPart, systemClock } from "@pushfleet/service";
import { routerFileRefinements, routerProcessRefinements, routerSchema } from "./configuration.js";
import { createRouter, createStore } from "./create-router.js";

const { version } = createRequire(import.meta.url)("../package.json") as { version: string };

/** The process `pushfleet-router`. Returns its exit code. */
export function main(argv: readonly string[]): Promise<number> {
  return runPart(
    {
      command: "pushfleet-router",
      part: "router",
      environmentPrefix: "PUSHFLEET_ROUTER_",
      schema: routerSchema,
      refinements: [...routerProcessRefinements, ...routerFileRefinements],
      version,
      start: async (config, logger) => {
        const parts = { clock: systemClock, logger };
        const registry = createRegistry(config.registry, parts);
        await registry.start();
        const router = await createRouter(config, { ...parts, registry, store: createStore(config.store, parts) });
        return {
          addresses: router.addresses,
          stop: async () => {
            await router.stop();
            await registry.stop();
          },
        };
      },
    },
    argv,
  );
}
