import type { RunningProcess } from "../peers/process.js";
import { type TemporaryFolder, temporaryFolder } from "../peers/temporary-folder.js";
import { serveClusterDns } from "./cluster-dns.js";
import { type Answer, KubeletApi } from "./kubelet/api.js";
import type { BackOff } from "./kubelet/container-run.js";
import { Images, type ImageWords } from "./kubelet/images.js";
import { type LoopbackNetwork, nameServerPort, takeNetwork } from "./kubelet/loopback-network.js";
import { type NodeOptions, TestNodes } from "./kubelet/nodes.js";
import { ObjectWatch } from "./kubelet/object-watch.js";
import {
  type ConfigMap,
  isDeleting,
  isFinished,
  keyFor,
  type Node,
  type Pod,
  type Secret,
  type Service,
  type Taint,
} from "./kubelet/objects.js";
import { type PodContext, PodRun } from "./kubelet/pod-run.js";
import { PodScheduler } from "./kubelet/pod-scheduler.js";
import { ProcessGuard } from "./kubelet/process-guard.js";
import { StatusOnlyPod } from "./kubelet/status-only-pod.js";
import { podPath, removePodObject } from "./kubelet/status-writer.js";
import { forbiddenSysctl } from "./kubelet/sysctls.js";

export type { NodeOptions } from "./kubelet/nodes.js";

/*
 * Plays the nodes of a cluster, with their kubelets and the scheduler, without containers: a real API server, real objects, real processes.
 *
 * What a container would have and a process here has not is emulated by texts (kubelet/emulated-text.ts):
 * - A pod's address is one of 127.0.0.0/8. `0.0.0.0` and `[::]` in args, env values and mounted ConfigMaps become it, and so does what an
 *   haproxy.cfg binds on all addresses. All pods listen on the ports their objects name, each on its own address.
 * - Mount paths in the same places become the path of the volume's folder. Secrets are files as they are.
 * - An image is the words that start its program; a container's `command` takes their place only as an absolute path of this machine.
 * - Files under a mount with `subPath` follow their object as the others do; with a kubelet they never change.
 * - Names under .svc and .svc.cluster.local are answered by a name server of our own: node processes ask it by a preloaded module
 *   (cluster-dns-preload.mjs), HAProxy by a `nameserver` line that stands in for `parse-resolv-conf`. A ClusterIP name is a ready pod.
 *
 * Not here: resource limits, security contexts, network policies, exec and grpc probes, sidecars, ports of a Service that are not the pods',
 * service account tokens.
 */

export interface TestKubeletOptions {
  readonly kubeconfigFile: string;
  readonly nodes: readonly NodeOptions[];
  /** Image name → the words that start it; paths are the repository's. */
  readonly images?: Readonly<Record<string, ImageWords>>;
  /** The /16 of loopback to use ("127.20"); by default a free one. */
  readonly podNetwork?: string;
  readonly backOff?: BackOff;
  /** No processes: pods are running and, with their gates, ready at once. Cheap enough for thousands. Or which pods are so. */
  readonly statusOnly?: boolean | ((pod: Pod) => boolean);
  /** Called with each pod of `statusOnly` as it comes, changes and goes, for who answers status streams at `podIp`. */
  readonly statusStreams?: StatusStreams;
}

export interface StatusStreams {
  started(pod: Pod, podIp: string): void;
  changed(pod: Pod, podIp: string): void;
  ended(pod: Pod, podIp: string): void;
}

/** A kubelet waits 10 s after a crash, then up to 5 min: too long for a test. */
const backOffDefault: BackOff = { firstMs: 250, maxMs: 4_000, resetAfterMs: 10_000 };

/** Makes the nodes and begins to place and run pods. Throws when the API server does not let it. */
export async function startTestKubelet(options: TestKubeletOptions): Promise<TestKubelet> {
  const network = await takeNetwork(options.podNetwork);
  const folder = await temporaryFolder("kubelet");
  const kubelet = new TestKubelet(options, network, folder);
  try {
    await kubelet.start();
    return kubelet;
  } catch (error) {
    await kubelet.stop();
    throw error;
  }
}

export class TestKubelet {
  /** host:port */
  readonly nameServer: string;
  readonly images: Images;
  readonly #options: TestKubeletOptions;
  readonly #network: LoopbackNetwork;
  readonly #folder: TemporaryFolder;
  readonly #api: KubeletApi;
  readonly #nodes: TestNodes;
  readonly #watches: { readonly [K in keyof Watched]: ObjectWatch<Watched[K]> };
  /** By pod uid. */
  readonly #runs = new Map<string, PodRun | StatusOnlyPod>();
  /** Uids of pods that are not run any more. */
  readonly #evicted = new Set<string>();
  readonly #ending = new Set<Promise<void>>();
  readonly #context: PodContext;
  #stopping: Promise<void> | undefined;

  constructor(options: TestKubeletOptions, network: LoopbackNetwork, folder: TemporaryFolder) {
    const api = new KubeletApi(options.kubeconfigFile);
    const addresses = options.nodes.map(({ name }, index) => [name, network.nodeAddress(index)] as const);
    this.nameServer = `${network.prefix}.0.1:${nameServerPort}`;
    this.images = new Images(options.images ?? {});
    this.#options = options;
    this.#network = network;
    this.#folder = folder;
    this.#api = api;
    this.#nodes = new TestNodes(api, options.nodes, new Map(addresses));
    this.#watches = {
      pods: new ObjectWatch<Pod>(api, "/api/v1/pods"),
      nodes: new ObjectWatch<Node>(api, "/api/v1/nodes"),
      services: new ObjectWatch<Service>(api, "/api/v1/services"),
      configMaps: new ObjectWatch<ConfigMap>(api, "/api/v1/configmaps"),
      secrets: new ObjectWatch<Secret>(api, "/api/v1/secrets"),
    };
    const { pods, services, configMaps, secrets } = this.#watches;
    this.#context = {
      api,
      backOff: options.backOff ?? backOffDefault,
      nameServer: this.nameServer,
      folder: folder.path,
      guard: new ProcessGuard(folder.path),
      pull: (image) => this.images.pull(image),
      lookup: {
        configMap: (namespace, name) => configMaps.objects.get(keyFor(name, namespace)),
        secret: (namespace, name) => secrets.objects.get(keyFor(name, namespace)),
      },
    };
    new PodScheduler({ api, pods, nodes: this.#watches.nodes, isCheap: options.statusOnly === true });
    pods.onChange((before, after) => this.#onPod(before, after));
    for (const watch of [configMaps, secrets]) watch.onChange((before, after) => this.#onSource(after ?? before));
    serveClusterDns(network.socket, { services: () => services.objects.values(), pods: () => pods.objects.values() });
  }

  async start(): Promise<void> {
    await this.#nodes.start();
    const { pods, nodes, ...sources } = this.#watches;
    await nodes.start();
    if (this.#options.statusOnly !== true) for (const watch of Object.values(sources)) await watch.start();
    await pods.start();
  }

  /** Ends every process by its id, and removes all folders. The objects stay with the API server. Fine to call twice. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#nodes.stop();
    await Promise.all(Object.values(this.#watches).map((watch) => watch.stop()));
    for (const uid of [...this.#runs.keys()]) this.#destroy(uid);
    await Promise.all(this.#ending);
    this.#network.socket.close();
    await this.#api.close();
    await this.#context.guard.stop();
    await this.#folder.remove();
  }

  /** The last answers of the API server that said no. */
  get refusals(): readonly string[] {
    return this.#api.refusals;
  }

  /** As last seen. */
  pod(name: string, namespace = "default"): Pod | undefined {
    return this.#watches.pods.objects.get(keyFor(name, namespace));
  }

  /** The process of a pod's container (by default its first), of now or of last time; its output is in it. */
  process(name: string, namespace = "default", container?: string): RunningProcess | undefined {
    const run = this.#runOf(name, namespace);
    return run instanceof PodRun ? run.process(container) : undefined;
  }

  /** SIGKILL to the processes of a pod's container. It is started again. */
  async kill(name: string, namespace = "default", container?: string): Promise<void> {
    await this.#mustRun(name, namespace, container).kill();
  }

  /** SIGSTOP: connections stay open, nothing answers. */
  freeze(name: string, namespace = "default", container?: string): void {
    this.#mustRun(name, namespace, container).pause();
  }

  thaw(name: string, namespace = "default", container?: string): void {
    this.#mustRun(name, namespace, container).resume();
  }

  /** Through the eviction API: 201 when it is granted, 429 when a disruption budget forbids it. */
  evict(name: string, namespace = "default"): Promise<Answer> {
    const eviction = { apiVersion: "policy/v1", kind: "Eviction", metadata: { name, namespace } };
    return this.#api.post(`/api/v1/namespaces/${namespace}/pods/${name}/eviction`, eviction);
  }

  /** As a kubelet whose node runs out of something: the pod's processes are killed, and it is said why. */
  async evictUnderPressure(name: string, namespace: string, message: string): Promise<void> {
    const pod = this.pod(name, namespace);
    const uid = pod?.metadata.uid;
    if (pod === undefined || uid === undefined) throw new Error(`no pod ${namespace}/${name} is here`);
    this.#evicted.add(uid);
    this.#destroy(uid);
    await Promise.all(this.#ending);
    const status = { phase: "Failed", reason: "Evicted", message };
    await this.#api.patch(`${podPath(pod)}/status`, "strategic-merge", { metadata: { uid }, status });
  }

  /** Power off: its processes are gone, it is not ready, its pods stay as objects until somebody deletes them by force. */
  async killNode(name: string): Promise<void> {
    const runs = [...this.#runs].filter(([, run]) => run.place.nodeName === name);
    const losing = this.#nodes.lose(name);
    for (const [uid] of runs) this.#destroy(uid);
    await Promise.all([losing, ...this.#ending]);
    const conditions = [{ type: "Ready", status: "False" }];
    await Promise.all(runs.map(([, { pod }]) => this.#api.patch(`${podPath(pod)}/status`, "strategic-merge", { status: { conditions } })));
  }

  /** Power on: what is still bound to it starts again. */
  async reviveNode(name: string): Promise<void> {
    await this.#nodes.recover(name);
    for (const pod of this.#watches.pods.objects.values()) if (pod.spec?.nodeName === name) this.#onPod(pod, pod);
  }

  /** Power off, and the Node object is deleted too. */
  async removeNode(name: string): Promise<void> {
    await this.killNode(name);
    await this.#nodes.remove(name);
  }

  setUnschedulable(node: string, unschedulable = true): Promise<void> {
    return this.#nodes.setUnschedulable(node, unschedulable);
  }

  taint(node: string, taint: Taint): Promise<void> {
    return this.#nodes.addTaint(node, taint);
  }

  untaint(node: string, key: string): Promise<void> {
    return this.#nodes.removeTaint(node, key);
  }

  #onPod(before: Pod | undefined, after: Pod | undefined): void {
    const pod = after ?? before;
    const uid = pod?.metadata.uid ?? "";
    if (after === undefined) return this.#destroy(uid);
    const nodeName = after.spec?.nodeName ?? "";
    const hostIp = this.#nodes.addressOf(nodeName);
    if (hostIp === undefined || this.#nodes.isLost(nodeName)) return;
    const known = this.#runs.get(uid);
    if (known !== undefined) {
      known.update(after);
      this.#options.statusStreams?.changed(after, known.place.podIp);
    } else if (isFinished(after)) {
      if (isDeleting(after)) void removePodObject(this.#api, after, () => true);
    } else if (!this.#evicted.has(uid) && !this.#rejects(after, nodeName)) this.#begin(after, nodeName, hostIp);
  }

  #rejects(pod: Pod, nodeName: string): boolean {
    const { allowedUnsafeSysctls } = this.#options.nodes.find(({ name }) => name === nodeName) ?? {};
    const message = forbiddenSysctl(pod, this.#watches.nodes.objects.get(nodeName), allowedUnsafeSysctls);
    if (message === undefined) return false;
    const { uid } = pod.metadata;
    const status = { phase: "Failed", reason: "SysctlForbidden", message };
    void this.#api.patch(`${podPath(pod)}/status`, "strategic-merge", { metadata: { uid }, status });
    return true;
  }

  #begin(pod: Pod, nodeName: string, hostIp: string): void {
    const place = { podIp: this.#network.nextPodAddress(), hostIp, nodeName };
    const { statusOnly } = this.#options;
    const isHollow = typeof statusOnly === "function" ? statusOnly(pod) : statusOnly === true;
    const run = isHollow ? new StatusOnlyPod(pod, place, this.#api) : new PodRun(pod, place, this.#context);
    this.#runs.set(pod.metadata.uid ?? "", run);
    this.#options.statusStreams?.started(pod, place.podIp);
    run.start();
  }

  #destroy(uid: string): void {
    const run = this.#runs.get(uid);
    if (run === undefined) return;
    this.#runs.delete(uid);
    this.#options.statusStreams?.ended(run.pod, run.place.podIp);
    const ending = run.destroy().finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  #onSource(source: ConfigMap | Secret | undefined): void {
    for (const run of this.#runs.values()) {
      if (run instanceof PodRun && run.pod.metadata.namespace === source?.metadata.namespace) run.objectsChanged();
    }
  }

  #runOf(name: string, namespace: string): PodRun | StatusOnlyPod | undefined {
    return this.#runs.get(this.pod(name, namespace)?.metadata.uid ?? "");
  }

  #mustRun(name: string, namespace: string, container?: string): RunningProcess {
    const process = this.process(name, namespace, container);
    if (process === undefined) throw new Error(`no container of pod ${namespace}/${name} has run here`);
    return process;
  }
}

interface Watched {
  readonly pods: Pod;
  readonly nodes: Node;
  readonly services: Service;
  readonly configMaps: ConfigMap;
  readonly secrets: Secret;
}
