import { createRequire } from "node:module";
import { createRegistry } from "@pushfleet/registry";
import { runPart, systemClock } from "@pushfleet/service";
import { gatewaySchema, processRefinements } from "./configuration.js";
import { createGateway } from "./create-gateway.js";
import { connectRouters } from "./shell/router-link.js";

const { version } = createRequire(import.meta.url)("../package.json") as { version: string };

/** The process `pushfleet-gateway`, with one worker. Returns its exit code. */
export function main(argv: readonly string[]): Promise<number> {
  return runPart(
    {
      command: "pushfleet-gateway",
      part: "gateway",
      environmentPrefix: "PUSHFLEET_GATEWAY_",
      schema: gatewaySchema,
      refinements: processRefinements,
      version,
      start: async (config, logger) => {
        const parts = { clock: systemClock, logger };
        if ((config.workers ?? 1) > 1) logger.warn({ workers: config.workers }, "this version runs one worker a process");
        const registry = createRegistry(config.registry, parts);
        await registry.start();
        const router = connectRouters(config.router.addresses, config.grpc.tls);
        const gateway = await createGateway(config, { ...parts, registry, router });
        return {
          addresses: gateway.addresses,
          stop: async () => {
            await gateway.stop({ kind: "drain" });
            router.stop();
            await registry.stop();
          },
        };
      },
    },
    argv,
  );
}
