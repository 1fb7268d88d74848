import { availableParallelism } from "node:os";
import type { GatewayConfig } from "../configuration.js";

/** Default: one a core. */
export function workerCount(config: GatewayConfig): number {
  return config.workers ?? availableParallelism();
}

/** What worker `index` of `workers` is configured with: its share of the limits, and its gRPC port (the first one's + its index). The client ports
 *  are shared; the supervisor has the admin port. */
export function workerConfig(config: GatewayConfig, index: number, workers: number): GatewayConfig {
  const { admin: _, ...rest } = config;
  const { grpc, limits, drain } = config;
  return {
    ...rest,
    workers: 1,
    grpc: { ...grpc, port: grpc.port === 0 ? 0 : grpc.port + index },
    limits: {
      maxConnections: Math.max(1, Math.floor(limits.maxConnections / workers)),
      handshakesPerSecond: Math.max(1, Math.floor(limits.handshakesPerSecond / workers)),
    },
    drain: { ...drain, reconnectsPerSecond: drain.reconnectsPerSecond / workers },
  };
}
