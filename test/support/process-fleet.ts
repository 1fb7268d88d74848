import { freePort } from "../peers/free-port.js";
import { type RedisServer, startRedis } from "../peers/redis.js";
import { type TemporaryFolder, temporaryFolder } from "../peers/temporary-folder.js";
import { type FleetPlace, type GatewayProcess, type RouterProcess, startGatewayProcess, startRouterProcess } from "./fleet-processes.js";

export interface ProcessFleetOptions {
  /** Of its folder, and of its keys in Redis. */
  readonly name: string;
  /** Ids, in the order in which they start. */
  readonly gateways: readonly string[];
  /** Merged over the top level of each gateway's configuration. */
  readonly gateway?: object;
  /** Merged over the top level of the router's. */
  readonly router?: object;
}

/** A router and gateways, each a process of its own, with a Redis of theirs: started together, and ended together. */
export class ProcessFleet {
  static readonly jwtSecret = "integration-secret-of-32-bytes-or-more";
  readonly place: FleetPlace;
  readonly redis: RedisServer;
  readonly #folder: TemporaryFolder;
  readonly #options: ProcessFleetOptions;
  readonly #gateways: GatewayProcess[] = [];
  #router: RouterProcess | undefined;

  static async start(options: ProcessFleetOptions): Promise<ProcessFleet> {
    const [folder, redis] = [await temporaryFolder(options.name), await startRedis()];
    const fleet = new ProcessFleet(options, folder, redis, `127.0.0.1:${await freePort()}`);
    try {
      await fleet.startRouter();
      for (const id of options.gateways) await fleet.startGateway(id);
      return fleet;
    } catch (error) {
      await fleet.stop();
      throw error;
    }
  }

  private constructor(options: ProcessFleetOptions, folder: TemporaryFolder, redis: RedisServer, routerGrpc: string) {
    const { jwtSecret } = ProcessFleet;
    this.place = { folder: folder.path, redisUrl: redis.url, keyPrefix: `default/${options.name}:`, jwtSecret, routerGrpc };
    this.redis = redis;
    this.#folder = folder;
    this.#options = options;
  }

  get router(): RouterProcess {
    if (this.#router === undefined) throw new Error("no router was started");
    return this.#router;
  }

  /** Those that were started, killed ones too. */
  get gateways(): readonly GatewayProcess[] {
    return this.#gateways;
  }

  /** In the place of the one before, which must have ended. */
  async startRouter(): Promise<void> {
    this.#router = await startRouterProcess(this.place, this.#options.router);
  }

  /** `changes`: over those of all gateways. */
  async startGateway(id: string, changes: object = {}): Promise<GatewayProcess> {
    const gateway = await startGatewayProcess(this.place, id, { ...this.#options.gateway, ...changes });
    this.#gateways.push(gateway);
    return gateway;
  }

  /** POST /v1/notifications, whatever it answers. */
  publish(notifications: readonly object[]): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.router.httpPort}/v1/notifications`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ notifications }),
    });
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#gateways.map((gateway) => gateway.process.kill()), this.#router?.process.kill()]);
    await this.redis.stop();
    await this.#folder.remove();
  }
}
