/** What this gateway's configuration and machine allow; `undefined`: no such limit is known. */
export interface CapacityFacts {
  readonly maxConnections: number;
  /** RLIMIT_NOFILE in force. */
  readonly nofile: number | undefined;
  /** Of the cgroup, or of the machine when it has none. */
  readonly memoryLimitBytes: number | undefined;
  readonly tls: boolean;
}

/** `binding` is the limit that `effectiveMaxConnections` comes from (`GatewayStatus.binding_limit`). */
export interface Capacity {
  readonly effectiveMaxConnections: number;
  readonly binding: "maxConnections" | "nofile" | "memory";
}

const kib = 1024;
const gib = 1024 * 1024 * kib;
/** Listeners, Redis, gRPC, logs. */
const filesReserved = 1024;
const runtimeBytes = 1 * gib;
const messagesBytes = 2 * gib;
/** Below 12 GiB runtime and messages get this share instead: they need less where there are fewer connections. */
const reservedShareMax = 0.25;
/** A process without a single connection. */
const runtimeBytesMin = 96 * kib * kib;
const memoryShare = 0.7;
/** Kernel and application; with TLS until measured. */
const bytesPerConnection = (12 + 2) * kib;
const bytesPerConnectionTls = 48 * kib;

/** The least of what the configuration, the file limit and the memory allow, for the whole gateway (all workers). */
export function capacity(facts: CapacityFacts): Capacity {
  const byFiles = facts.nofile === undefined ? Number.POSITIVE_INFINITY : connectionsByFiles(facts.nofile);
  const byMemory = facts.memoryLimitBytes === undefined ? Number.POSITIVE_INFINITY : connectionsByMemory(facts.memoryLimitBytes, facts.tls);
  if (facts.maxConnections <= Math.min(byFiles, byMemory)) {
    return { effectiveMaxConnections: facts.maxConnections, binding: "maxConnections" };
  }
  return byFiles <= byMemory
    ? { effectiveMaxConnections: byFiles, binding: "nofile" }
    : { effectiveMaxConnections: byMemory, binding: "memory" };
}

/** `nofile` − 1,024; half of it where that would leave less (a developer's shell with `ulimit -n 1024`). */
function connectionsByFiles(nofile: number): number {
  return Math.max(0, Math.floor(nofile - Math.min(filesReserved, nofile / 2)));
}

function connectionsByMemory(limitBytes: number, tls: boolean): number {
  const scaled = Math.max(limitBytes * reservedShareMax, runtimeBytesMin);
  const freeBytes = limitBytes - Math.min(runtimeBytes + messagesBytes, scaled);
  const each = tls ? bytesPerConnectionTls : bytesPerConnection;
  return Math.max(0, Math.floor((freeBytes * memoryShare) / each));
}
