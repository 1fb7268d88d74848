import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { freePorts } from "../peers/free-port.js";
import { type RunningProcess, startProcess } from "../peers/process.js";

/** What the parts of one fleet share. */
export interface FleetPlace {
  /** Where their configuration files go. */
  readonly folder: string;
  readonly redisUrl: string;
  readonly keyPrefix: string;
  readonly jwtSecret: string;
  readonly routerGrpc: string;
}

export interface GatewayProcess {
  readonly id: string;
  readonly process: RunningProcess;
  readonly clientPort: number;
  readonly adminPort: number;
}

export interface RouterProcess {
  readonly process: RunningProcess;
  readonly httpPort: number;
  readonly adminPort: number;
}

const binary = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** Every part logs one JSON line that says it is ready. */
const isReady = (line: string): boolean => line.includes('"msg":"ready"');

function startPart(options: {
  readonly name: string;
  readonly path: string;
  readonly folder: string;
  readonly configuration: object;
}): Promise<RunningProcess> {
  const file = join(options.folder, `${options.name}.yaml`);
  writeFileSync(file, stringify(options.configuration));
  return startProcess({
    name: options.name,
    command: process.execPath,
    args: [binary(options.path), "-c", file],
    ready: isReady,
    readyDeadlineMs: 20_000,
  });
}

/** `pushfleet-gateway -c` as a process of its own; `changes` are merged over the top level of its configuration. */
export async function startGatewayProcess(place: FleetPlace, id: string, changes: object = {}): Promise<GatewayProcess> {
  const [clientPort, adminPort = 0, grpcPort] = await freePorts(3);
  const configuration = {
    id,
    listen: { host: "127.0.0.1", port: clientPort },
    admin: { host: "127.0.0.1", port: adminPort },
    grpc: { host: "127.0.0.1", port: grpcPort },
    workers: 1,
    auth: { hs256Secret: place.jwtSecret, maxLifetimeSeconds: 3600 },
    registry: { kind: "redis", url: place.redisUrl, keyPrefix: place.keyPrefix },
    router: { addresses: [place.routerGrpc] },
    drain: { reconnectsPerSecond: 200, deadlineMs: 30_000, stragglerGraceMs: 5_000 },
    ...changes,
  };
  const running = await startPart({ name: id, path: "gateway/bin/pushfleet-gateway.js", folder: place.folder, configuration });
  return { id, process: running, clientPort, adminPort };
}

/** `pushfleet-router -c` as a process of its own, with the memory store. */
export async function startRouterProcess(place: FleetPlace, changes: object = {}): Promise<RouterProcess> {
  const [httpPort, adminPort = 0] = await freePorts(2);
  const configuration = {
    http: { host: "127.0.0.1", port: httpPort },
    admin: { host: "127.0.0.1", port: adminPort },
    grpc: { host: "127.0.0.1", port: Number(place.routerGrpc.split(":")[1]) },
    registry: { kind: "redis", url: place.redisUrl, keyPrefix: place.keyPrefix },
    store: { kind: "memory", allowVolatile: true },
    ...changes,
  };
  const running = await startPart({ name: "router", path: "router/bin/pushfleet-router.js", folder: place.folder, configuration });
  return { process: running, httpPort, adminPort };
}
