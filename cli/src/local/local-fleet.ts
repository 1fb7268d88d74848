import { createGateway } from "@pushfleet/gateway";
import {
  type ConsoleServer,
  describeStep,
  type FleetStatus,
  type LocalGateway,
  LocalWorld,
  type Manifest,
  mergeMetrics,
  type PassThrough,
  plan,
  startConsoleServer,
  startPassThrough,
  toFleetSpec,
} from "@pushfleet/operator";
import { createRegistry, type Registry } from "@pushfleet/registry";
import { createRouter, createStore, type Router } from "@pushfleet/router";
import { createLogger, type Logger, systemClock } from "@pushfleet/service";
import { gatewayConfiguration, localNotices, registryConfiguration, routerConfiguration } from "./configurations.js";
import type { Live } from "./live-line.js";
import { WatchedManifest } from "./watched-manifest.js";

export interface LocalFleetOptions {
  readonly manifestFile: string;
  readonly manifest: Manifest;
  readonly jwtSecret: string;
  readonly ports: { readonly client: number; readonly http: number; readonly console: number };
  /** Lines for the person at the terminal: what was applied, what is wrong with an edit. */
  readonly report: (line: string) => void;
}

const host = "127.0.0.1";
const reconcileMs = 250;
const startTimeoutMs = 30_000;
/** Bound of a stop without a drain. */
const stopMs = 3_000;

/** The whole system in one process: operator loop, router, gateways, balancer, console (DESIGN §8). */
export class LocalFleet {
  readonly name: string;
  readonly manifestFile: string;
  readonly #options: LocalFleetOptions;
  readonly #logger: Logger = createLogger("local", "silent");
  readonly #manifest: WatchedManifest;
  #status: FleetStatus | undefined;
  #registry: Registry | undefined;
  #router: Router | undefined;
  #passThrough: PassThrough | undefined;
  #console: ConsoleServer | undefined;
  #world: LocalWorld | undefined;
  #starting: Promise<void> | undefined;
  #loop: Promise<void> | undefined;
  #stopping = false;
  #deliveries = { total: 0, atMs: 0, perSecond: 0 };

  constructor(options: LocalFleetOptions) {
    this.#options = options;
    this.#manifest = new WatchedManifest({ file: options.manifestFile, manifest: options.manifest, report: options.report });
    this.name = options.manifest.name;
    this.manifestFile = options.manifestFile;
  }

  /** Resolves when the first `minReplicas` gateways serve, or when it is stopped before; rejects when a port is taken or a gateway does not
   *  come up. */
  async start(): Promise<void> {
    this.#starting = this.#startAll();
    await this.#starting;
  }

  async #startAll(): Promise<void> {
    const { ports, report } = this.#options;
    for (const notice of localNotices(this.#manifest.current)) report(notice);
    const parts = { clock: systemClock, logger: this.#logger };
    this.#passThrough = await startPassThrough({ host, port: ports.client });
    this.#registry = createRegistry(registryConfiguration(this.#manifest.current), parts);
    await this.#registry.start();
    const configuration = routerConfiguration(this.#manifest.current, ports.http);
    const store = createStore(configuration.store, parts);
    this.#router = await createRouter(configuration, { ...parts, registry: this.#registry, store });
    this.#world = new LocalWorld({ ...parts, passThrough: this.#passThrough, startGateway: (pod) => this.#startGateway(pod) });
    this.#console = await startConsoleServer({ host, port: ports.console, source: this.#consoleSource() });
    this.#loop = this.#run();
    await this.#serving();
  }

  live(): Live {
    const total = this.#router?.totals().written ?? 0;
    const nowMs = performance.now();
    const seconds = (nowMs - this.#deliveries.atMs) / 1000;
    if (seconds >= 0.5) this.#deliveries = { total, atMs: nowMs, perSecond: (total - this.#deliveries.total) / seconds };
    return { status: this.#status, deliveriesPerSecond: this.#deliveries.perSecond };
  }

  /** Within `stopMs`, without a drain: connections are closed with 1001. */
  async stop(): Promise<void> {
    this.#stopping = true;
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise((resolve) => {
      timer = setTimeout(resolve, stopMs);
    });
    await Promise.race([this.#stopAll(), tooLate]);
    clearTimeout(timer);
  }

  async #stopAll(): Promise<void> {
    await this.#starting?.catch(() => {}); // told by `start`
    await this.#loop;
    await this.#world?.stop();
    await Promise.all([this.#router?.stop(), this.#console?.stop(), this.#passThrough?.stop()]);
    await this.#registry?.stop();
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      this.#manifest.reread();
      await this.#reconcile();
      await new Promise((resolve) => setTimeout(resolve, reconcileMs));
    }
  }

  async #reconcile(): Promise<void> {
    const world = this.#world;
    if (world === undefined) return;
    const next = plan(world.observe(toFleetSpec(this.#manifest.current), this.#status), systemClock.nowMs());
    this.#status = next.status;
    await world.apply(next.actions);
  }

  async #serving(): Promise<void> {
    const wanted = toFleetSpec(this.#manifest.current).pools.reduce((sum, pool) => sum + (pool.replicas ?? pool.minReplicas), 0);
    const giveUpMs = performance.now() + startTimeoutMs;
    while ((this.#status?.podsByState.Serving ?? 0) < wanted && !this.#manifest.current.spec.dryRun) {
      if (this.#stopping) return;
      if (performance.now() > giveUpMs) throw new Error(`no ${wanted} gateways in ${startTimeoutMs / 1000} s: ${this.#why()}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  #why(): string {
    const [step] = this.#status?.plan ?? [];
    return step === undefined ? "the plan is empty" : describeStep(step);
  }

  async #startGateway(pod: { readonly name: string; readonly pool: string }): Promise<LocalGateway> {
    const registry = this.#registry;
    const router = this.#router;
    if (registry === undefined || router === undefined) throw new Error("the fleet is not started");
    const configuration = gatewayConfiguration(this.#manifest.current, pod, this.#options.jwtSecret);
    const gateway = await createGateway(configuration, { registry, router: router.link, clock: systemClock, logger: this.#logger });
    return {
      clientAddress: gateway.addresses.client,
      status: () => gateway.status(),
      readiness: () => gateway.readiness(),
      drain: (grant, reason) => gateway.drain(grant, reason),
      abortDrain: (epoch) => gateway.abortDrain(epoch),
      metrics: () => gateway.metrics.metrics(),
      stop: () => gateway.stop({ kind: "close" }),
    };
  }

  #consoleSource() {
    return {
      fleet: () => ({ name: this.name, status: this.#status }),
      events: () => this.#router?.recentClientEvents() ?? [],
      metrics: () => this.#metrics(),
      leave: (name: string) => this.#world?.leave(name) ?? false,
    };
  }

  async #metrics(): Promise<string> {
    const gateways = [...(this.#world?.gateways() ?? [])];
    const instances = await Promise.all(
      gateways.map(async ([name, gateway]) => ({ labels: { gateway: name }, text: await gateway.metrics() })),
    );
    const router = (await this.#router?.metrics.metrics()) ?? "";
    return mergeMetrics([...instances, { labels: {}, text: router }]);
  }
}
