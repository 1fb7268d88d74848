import { createRequire } from "node:module";
import { createRegistry } from "@pushfleet/registry";
import { type Logger, type RunningPart, runPart, systemClock } from "@pushfleet/service";
import { type GatewayConfig, gatewayFileRefinements, gatewaySchema, processRefinements } from "./configuration.js";
import { createGateway } from "./create-gateway.js";
import { memoryBytes, memoryLimit } from "./shell/machine.js";
import { connectRouters } from "./shell/router-link.js";
import { Supervisor } from "./supervisor/supervisor.js";
import { workerCount } from "./supervisor/worker-config.js";
import { forkWorker } from "./supervisor/worker-process.js";

const { version } = createRequire(import.meta.url)("../package.json") as { version: string };

/** The process `pushfleet-gateway`: one worker in it, or a supervisor of several. Returns its exit code. */
export function main(argv: readonly string[]): Promise<number> {
  return runPart(
    {
      command: "pushfleet-gateway",
      part: "gateway",
      environmentPrefix: "PUSHFLEET_GATEWAY_",
      schema: gatewaySchema,
      refinements: [...processRefinements, ...gatewayFileRefinements],
      version,
      start: (config, logger) => (workerCount(config) === 1 ? startAlone(config, logger) : startSupervised(config, logger)),
    },
    argv,
  );
}

async function startAlone(config: GatewayConfig, logger: Logger): Promise<RunningPart> {
  const parts = { clock: systemClock, logger };
  const registry = createRegistry(config.registry, parts);
  await registry.start();
  const router = connectRouters({ ...config.router, tls: config.grpc.tls, ...parts });
  const gateway = await createGateway(config, { ...parts, registry, router });
  return {
    addresses: gateway.addresses,
    stop: async () => {
      await gateway.stop({ kind: "drain" });
      router.stop();
      await registry.stop();
    },
  };
}

async function startSupervised(config: GatewayConfig, logger: Logger): Promise<RunningPart> {
  const parts = { clock: systemClock, logger };
  const registry = createRegistry(config.registry, parts);
  await registry.start();
  const limitBytes = memoryLimit();
  const supervisor = new Supervisor({
    ...parts,
    config,
    workers: workerCount(config),
    registry,
    startWorker: forkWorker,
    memory: () => ({ usedBytes: memoryBytes(), limitBytes }),
  });
  await supervisor.start();
  return {
    addresses: supervisor.addresses,
    stop: async () => {
      await supervisor.stop("drain");
      await registry.stop();
    },
  };
}
