import { limits } from "@pushfleet/protocol";
import type { Problem, StatusCondition } from "./fleet-conditions.js";

/** What a gateway says of the connections that it may hold. */
export interface GatewayLimit {
  readonly pod: string;
  readonly pool: string;
  readonly effectiveMaxConnections: number;
  /** `GatewayStatus.binding_limit`: which limit that comes from. */
  readonly bindingLimit: string;
}

export interface PoolLimit {
  readonly name: string;
  readonly hardConnections: number;
  readonly tuning: { readonly nofile: number };
}

/** What of the nodes' settings is known: open files by what the gateways themselves found; kernel settings by nobody yet. */
export function tuningVerified(gateways: readonly GatewayLimit[], pools: readonly PoolLimit[]): StatusCondition {
  const short = gateways.filter((one) => one.bindingLimit === "nofile");
  const [first] = short;
  if (first !== undefined) {
    const wanted = pools.find((pool) => pool.name === first.pool)?.tuning.nofile ?? 0;
    const message =
      `${namesOf(short)} may hold ${first.effectiveMaxConnections} connections only, because of their open-file limit: ` +
      `set LimitNOFILE=${wanted} in the [Service] section of containerd's systemd unit on their nodes and restart it, or lower pools[].hardConnections`;
    return { type: "TuningVerified", status: "False", reason: "OpenFilesTooFew", message };
  }
  const files = gateways.length === 0 ? "no gateway reports" : `open files are enough on all ${gateways.length} gateways that report`;
  const message = `${files}; no node agent reports the kernel settings of their nodes`;
  return { type: "TuningVerified", status: "Unknown", reason: "NotMeasured", message };
}

/** Gateways whose memory binds before the spec's number does. */
export function memoryWarnings(gateways: readonly GatewayLimit[], pools: readonly PoolLimit[]): readonly Problem[] {
  return pools.flatMap(({ name, hardConnections }) => {
    const bound = gateways.filter((one) => one.pool === name && one.bindingLimit === "memory");
    const [first] = bound;
    if (first === undefined) return [];
    const message =
      `gateways of pool ${name} may hold ${first.effectiveMaxConnections} connections by their memory limit, not hardConnections ${hardConnections}: ` +
      "raise gateway.resources.limits.memory or lower hardConnections";
    return [{ reason: "MemoryBinds", message }];
  });
}

function namesOf(gateways: readonly GatewayLimit[]): string {
  const names = gateways.slice(0, limits.podNamesTold).map((one) => one.pod);
  const more = gateways.length - names.length;
  return `${names.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
