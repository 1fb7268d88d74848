import { type Clock, type Logger, type Readiness, type RunningPart, startAdminServer, systemClock } from "@pushfleet/service";
import { collectDefaultMetrics, Registry } from "prom-client";
import { createKubernetesApi } from "./api/api.js";
import { pause } from "./api/back-off.js";
import { EventRecorder } from "./api/events.js";
import { LeaderElection, type LeaderTiming, writeTimeoutMs } from "./api/leader-election.js";
import { resources } from "./api/resources.js";
import type { KubernetesApi, ObjectKey } from "./api/types.js";
import { ClusterCaches } from "./cluster-caches.js";
import type { OperatorConfig } from "./configuration.js";
import { FleetController } from "./fleet-controller.js";
import { highestEpoch } from "./highest-epoch.js";
import { loadKubeConfig } from "./kube-config.js";
import { releaseAll } from "./release-fleets.js";
import { fieldManager } from "./writer-name.js";

/** Connects, watches, stands for leader and, while it leads, reconciles. A process that loses its Lease ends: the next one starts with nothing in
 *  its memory, which is the state that is tested. */
export async function startOperator(config: OperatorConfig, logger: Logger, clock: Clock = systemClock): Promise<RunningPart> {
  const operator = new Operator(config, logger, clock);
  await operator.start();
  return {
    addresses: { admin: operator.adminAddress, id: config.id },
    failed: operator.failed,
    stop: () => operator.stop(),
  };
}

function timingOf({ lease }: OperatorConfig): LeaderTiming {
  const { durationSeconds, renewDeadlineSeconds, retryPeriodSeconds } = lease;
  return { leaseMs: durationSeconds * 1000, renewDeadlineMs: renewDeadlineSeconds * 1000, retryMs: retryPeriodSeconds * 1000 };
}

class Operator {
  readonly failed: Promise<Error>;
  adminAddress = "";
  readonly #config: OperatorConfig;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #metrics = new Registry();
  readonly #api: KubernetesApi;
  /** The Lease's own connections: requests that hang must not keep its renewal waiting. */
  readonly #leaseApi: KubernetesApi;
  readonly #events: EventRecorder;
  readonly #caches: ClusterCaches;
  readonly #election: LeaderElection;
  #controller: FleetController | undefined;
  #isSynced = false;
  readonly #stopping = new AbortController();
  #fail: (cause: Error) => void = () => undefined;
  #stopAdmin: () => Promise<void> = async () => undefined;

  constructor(config: OperatorConfig, logger: Logger, clock: Clock) {
    this.#config = config;
    this.#logger = logger;
    this.#clock = clock;
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
    const shared = { clock, logger, random: Math.random, metrics: this.#metrics };
    const requestMs = writeTimeoutMs(timingOf(config));
    const connect = (): KubernetesApi =>
      createKubernetesApi({ ...shared, kubeConfig: loadKubeConfig(config.kubeconfig), fieldManager, requestMs });
    this.#api = connect();
    this.#leaseApi = connect();
    this.#events = new EventRecorder({
      ...shared,
      api: this.#api,
      reportingController: "pushfleet.dev/operator",
      reportingInstance: config.id,
    });
    this.#caches = new ClusterCaches({ ...shared, api: this.#api, onChange: (fleet, what) => this.#controller?.changed(fleet, what) });
    this.#election = new LeaderElection({
      ...shared,
      api: this.#leaseApi,
      namespace: config.namespace,
      name: config.lease.name,
      identity: config.id,
      timing: timingOf(config),
      onStarted: (epoch, leading) => void this.#lead(epoch, leading).catch((cause: unknown) => this.#fail(cause as Error)),
      onStopped: async (reason) => {
        await this.#controller?.stop();
        void this.#endAfter(reason);
      },
    });
  }

  async start(): Promise<void> {
    collectDefaultMetrics({ register: this.#metrics });
    const { host, port } = this.#config.admin;
    const admin = await startAdminServer({ host, port, metrics: this.#metrics, readiness: () => this.#readiness() });
    this.adminAddress = admin.address;
    this.#stopAdmin = () => admin.stop();
    this.#caches.start();
    void this.#caches.synced().then(() => {
      this.#isSynced = true;
      this.#logger.info("watches are filled");
      // Not before: one that may not read something would keep the Lease from a replica that could do the work.
      this.#election.start();
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#controller?.stop();
    if (this.#controller !== undefined) await this.#releaseWhenUninstalled();
    await this.#election.stop();
    await this.#events.stop();
    await this.#caches.stop();
    await this.#stopAdmin();
    await Promise.all([this.#api.close(), this.#leaseApi.close()]);
  }

  /** A standby is ready too: it could lead at once. */
  #readiness(): Readiness {
    return this.#isSynced ? { kind: "ready" } : { kind: "not_ready", reason: "its watches have not been filled yet" };
  }

  async #lead(first: number, leading: AbortSignal): Promise<void> {
    const epoch = await this.#epochAbove(highestEpoch(this.#caches.pods.list()), first, leading);
    if (epoch === undefined || this.#stopping.signal.aborted || leading.aborted) return;
    this.#logger.info({ epoch }, "leads");
    const { images, namespace } = this.#config;
    this.#controller = new FleetController({
      api: this.#api,
      caches: this.#caches,
      events: this.#events,
      clock: this.#clock,
      random: Math.random,
      logger: this.#logger,
      metrics: this.#metrics,
      leading,
      leadership: this.#election,
      requestMs: writeTimeoutMs(timingOf(this.#config)),
      operator: { images, namespace },
      isWatched: (fleetNamespace) => this.#isWatched(fleetNamespace),
    });
    this.#controller.start();
  }

  /** Its Lease is given back as soon as the API server answers again, and not before its last writes are over: the next start would have to wait
   *  for the Lease's end otherwise, and a process that ends at once would be started over and over meanwhile. */
  async #endAfter(reason: string): Promise<void> {
    const { namespace, lease } = this.#config;
    const { leaseMs, renewDeadlineMs, retryMs } = timingOf(this.#config);
    const { signal } = this.#stopping;
    await pause(this.#clock, leaseMs - renewDeadlineMs, signal);
    while (!signal.aborted && (await this.#api.get(resources.leases, { namespace, name: lease.name })).kind === "unavailable") {
      await pause(this.#clock, retryMs, signal);
    }
    if (signal.aborted) return;
    await this.#election.stop();
    this.#fail(new Error(`does not lead any more: ${reason}`));
  }

  /** Somebody may have deleted the Lease, and with it the count: no leader may have an epoch that one before it had. `undefined`: leads no more. */
  async #epochAbove(highest: number, first: number, leading: AbortSignal): Promise<number | undefined> {
    if (first > highest) return first;
    while (!leading.aborted) {
      const raised = await this.#election.raiseEpochAbove(highest);
      if (raised.kind === "raised") return raised.epoch;
      if (raised.kind === "lost") return undefined;
      this.#logger.warn({ highest, reason: raised.message }, "the Lease could not be raised above the epoch of a pod; trying again");
      await pause(this.#clock, timingOf(this.#config).retryMs, leading);
    }
    return undefined;
  }

  /** The operator's own Deployment is being deleted: fleets must not wait for somebody who does not come back. */
  async #releaseWhenUninstalled(): Promise<void> {
    const { deployment, namespace } = this.#config;
    if (deployment === undefined) return;
    const key: ObjectKey = { namespace, name: deployment };
    const isWatched = (fleetNamespace: string): boolean => this.#isWatched(fleetNamespace);
    await releaseAll(key, {
      ...{ api: this.#api, caches: this.#caches, events: this.#events, clock: this.#clock, logger: this.#logger },
      isWatched,
    });
  }

  #isWatched(fleetNamespace: string): boolean {
    const { watchNamespaces } = this.#config;
    return watchNamespaces.length === 0 || watchNamespaces.includes(fleetNamespace);
  }
}
