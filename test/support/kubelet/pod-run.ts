import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { RunningProcess } from "../../peers/process.js";
import type { KubeletApi } from "./api.js";
import { containerCommand, containerEnvironment } from "./container-command.js";
import { type BackOff, type ContainerContext, ContainerRun, type Image } from "./container-run.js";
import type { PodPlace } from "./downward.js";
import { emulate } from "./emulated-text.js";
import { type Container, isDeleting, isFinished, type Pod, type PodCondition, type PodStatus } from "./objects.js";
import { buildPodStatus } from "./pod-status.js";
import { PodVolumes } from "./pod-volumes.js";
import { attemptProbe } from "./probes.js";
import type { ProcessGuard } from "./process-guard.js";
import { removePodObject, StatusWriter } from "./status-writer.js";
import type { ObjectLookup } from "./volume-content.js";
import { Wakeup } from "./wakeup.js";

const VOLUME_RETRY_MS = 1_000;
const GRACE_DEFAULT_SECONDS = 30;
const repository = fileURLToPath(new URL("../../../", import.meta.url));
const preload = pathToFileURL(join(repository, "test/support/cluster-dns-preload.mjs")).href;

/** What the pods of one kubelet share. */
export interface PodContext {
  readonly api: KubeletApi;
  readonly lookup: ObjectLookup;
  readonly backOff: BackOff;
  /** host:port */
  readonly nameServer: string;
  readonly guard: ProcessGuard;
  /** Where pods' folders go. */
  readonly folder: string;
  pull(image: string): Promise<Image>;
}

/** One pod on one node, from the moment it was bound to it until its object is gone. */
export class PodRun {
  readonly place: PodPlace;
  readonly #context: PodContext;
  readonly #folder: string;
  readonly #volumes: PodVolumes;
  readonly #containers: readonly ContainerRun[];
  readonly #initContainers: readonly ContainerRun[];
  readonly #writer: StatusWriter;
  readonly #startedAtMs = Date.now();
  readonly #objectsChanged = new Wakeup();
  #pod: Pod;
  #conditions: readonly PodCondition[] = [];
  #isSandboxReady = false;
  #isInitialized = false;
  #isStopping = false;
  #hasEnded = false;
  #isGone = false;
  #run: Promise<void> = Promise.resolve();
  #terminating: Promise<void> | undefined;

  constructor(pod: Pod, place: PodPlace, context: PodContext) {
    this.place = place;
    this.#pod = pod;
    this.#context = context;
    this.#folder = join(context.folder, pod.metadata.uid ?? pod.metadata.name);
    this.#volumes = new PodVolumes({ ...context, pod, place, folder: join(this.#folder, "volumes") });
    this.#containers = (pod.spec?.containers ?? []).map((container) => this.#containerRun(container, pod.spec?.restartPolicy));
    this.#initContainers = (pod.spec?.initContainers ?? []).map((container) => this.#containerRun(container, "OnFailure"));
    this.#writer = new StatusWriter(context.api, pod, () => this.#buildStatus());
  }

  /** The pod as last seen. */
  get pod(): Pod {
    return this.#pod;
  }

  start(): void {
    this.#run = this.#start();
    if (isDeleting(this.#pod)) this.#terminate(); // bound or taken over while it was being deleted
  }

  /** The API server has it otherwise: conditions of others, annotations, a deletion. */
  update(pod: Pod): void {
    this.#pod = pod;
    this.objectsChanged();
    this.#writer.report();
    if (isDeleting(pod)) this.#terminate();
  }

  /** A ConfigMap or Secret is another: files follow, as a kubelet's do. */
  objectsChanged(): void {
    if (this.#isGone) return;
    if (this.#isSandboxReady) void this.#volumes.write(this.#pod);
    else this.#objectsChanged.wake();
  }

  /** The process of one container, by default the first. */
  process(container?: string): RunningProcess | undefined {
    const index = container === undefined ? 0 : (this.#pod.spec?.containers ?? []).findIndex(({ name }) => name === container);
    return this.#containers[index]?.process;
  }

  /** Its object is gone, or its node is: nothing of it runs any more, and nothing is said about it. */
  async destroy(): Promise<void> {
    this.#isGone = true;
    this.#isStopping = true;
    this.#objectsChanged.wake();
    await Promise.all([this.#writer.abandon(), ...this.#all().map((container) => container.kill())]);
    await this.#run;
    await this.#volumes.settle(); // a write under way would make the folder anew
    await rm(this.#folder, { recursive: true, force: true });
  }

  #all(): readonly ContainerRun[] {
    return [...this.#initContainers, ...this.#containers];
  }

  async #start(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    this.#writer.report();
    while (!this.#isStopping && (await this.#volumes.write(this.#pod)) !== undefined) await this.#objectsChanged.sleep(VOLUME_RETRY_MS);
    if (this.#isStopping) return;
    this.#isSandboxReady = true;
    this.#writer.report();
    for (const container of this.#initContainers) {
      await container.run();
      if (this.#isStopping) return;
    }
    this.#isInitialized = true;
    this.#writer.report();
    for (const container of this.#containers) void container.run();
  }

  /** Each call with the pod's grace period of now: a second delete may shorten it. */
  #terminate(): void {
    const graceMs = (this.#pod.metadata.deletionGracePeriodSeconds ?? GRACE_DEFAULT_SECONDS) * 1000;
    this.#isStopping = true;
    this.#objectsChanged.wake();
    const ended = Promise.all(this.#all().map((container) => container.terminate(graceMs)));
    this.#terminating ??= this.#leave(ended);
  }

  async #leave(ended: Promise<unknown>): Promise<void> {
    await this.#run;
    await ended;
    if (this.#isGone) return;
    this.#hasEnded = true;
    await this.#writer.finish();
    await removePodObject(this.#context.api, this.#pod, () => !this.#isGone);
  }

  #buildStatus(): PodStatus {
    const status = buildPodStatus(
      this.#pod,
      {
        place: this.place,
        startedAtMs: this.#startedAtMs,
        isSandboxReady: this.#isSandboxReady && !this.#hasEnded,
        isInitialized: this.#isInitialized,
        hasEnded: this.#hasEnded || isFinished(this.#pod),
        containers: this.#containers.map((container) => container.status()),
        initContainers: this.#initContainers.map((container) => container.status()),
      },
      this.#conditions,
      Date.now(),
    );
    this.#conditions = status.conditions ?? [];
    return status;
  }

  #containerRun(container: Container, restartPolicy = "Always"): ContainerRun {
    const { place } = this;
    const emulation = this.#volumes.emulation;
    const former = this.#pod.status?.containerStatuses?.find(({ name }) => name === container.name);
    const context: ContainerContext = {
      podName: this.#pod.metadata.name,
      restarts: restartPolicy === "Never" || restartPolicy === "OnFailure" ? restartPolicy : "Always",
      backOff: this.#context.backOff,
      graceMs: (this.#pod.spec?.terminationGracePeriodSeconds ?? GRACE_DEFAULT_SECONDS) * 1000,
      cwd: repository,
      guard: this.#context.guard,
      pull: (image) => this.#context.pull(image),
      environment: (of) => containerEnvironment(of, this.#pod, place, this.#context.lookup),
      command: (of, program, variables) => containerCommand(of, program, variables, emulation),
      processEnv: (variables) => ({
        ...Object.fromEntries(Object.entries(variables).map(([name, text]) => [name, emulate(text, emulation)])),
        NODE_OPTIONS: `--import=${preload} ${variables["NODE_OPTIONS"] ?? ""}`.trim(),
        PUSHFLEET_TEST_CLUSTER_DNS: this.#context.nameServer,
      }),
      attempt: (probe, of) => attemptProbe(probe, of, place.podIp),
      onChange: () => this.#writer.report(),
    };
    const isAnew = former?.containerID !== undefined; // it ran before its node was lost
    return new ContainerRun(container, context, isAnew ? former.restartCount + 1 : 0);
  }
}
