import type { KubeletApi } from "./api.js";
import { type Node, type Taint, timeText } from "./objects.js";

/** Kubelets renew their lease each 10 s; the node controller gives them up after 40 s or more. */
const LEASE_RENEW_MS = 10_000;
const LEASE_SECONDS = 40;

export interface NodeOptions {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly taints?: readonly Taint[];
  /** Default v1.34.4. */
  readonly kubeletVersion?: string;
  /** Default 6.1.0. */
  readonly kernelVersion?: string;
  /** What its kubelet's configuration lists; a pod with another unsafe one is Failed, SysctlForbidden. */
  readonly allowedUnsafeSysctls?: readonly string[];
  /** How many pods it says it takes; default 1000. */
  readonly pods?: number;
}

/** The taints that a node controller puts on a node that no longer reports. */
const unreachable: readonly Taint[] = ["NoSchedule", "NoExecute"].map((effect) => ({ key: "node.kubernetes.io/unreachable", effect }));
const isOfController = ({ key }: Taint): boolean => /^node\.kubernetes\.io\/(not-ready|unreachable)$/.test(key);

const nodePath = (name: string): string => `/api/v1/nodes/${name}`;
const leasePath = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

/** The Node objects of a test kubelet: made, kept ready, or said to be lost. */
export class TestNodes {
  readonly #api: KubeletApi;
  readonly #addresses: ReadonlyMap<string, string>;
  readonly #options: readonly NodeOptions[];
  readonly #lost = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  /** `addresses`: by node. */
  constructor(api: KubeletApi, options: readonly NodeOptions[], addresses: ReadonlyMap<string, string>) {
    this.#api = api;
    this.#options = options;
    this.#addresses = addresses;
  }

  addressOf(name: string): string | undefined {
    return this.#addresses.get(name);
  }

  isLost(name: string): boolean {
    return this.#lost.has(name);
  }

  /** Makes the nodes that are not there, ready, and begins to renew their leases. Throws when the API server does not take them. */
  async start(): Promise<void> {
    for (const options of this.#options) await this.#create(options);
    await this.#renew();
    this.#timer = setInterval(() => void this.#renew(), LEASE_RENEW_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** The node says nothing more, and the API server is told what a node controller would find out later. */
  async lose(name: string): Promise<void> {
    this.#lost.add(name);
    await this.#setReady(name, "Unknown");
    await this.#setTaints(name, (taints) => [...taints.filter((taint) => !isOfController(taint)), ...unreachable]);
  }

  async recover(name: string): Promise<void> {
    this.#lost.delete(name);
    await this.#renew();
    await this.#setReady(name, "True");
    await this.#setTaints(name, (taints) => taints.filter((taint) => !isOfController(taint)));
  }

  async setUnschedulable(name: string, unschedulable: boolean): Promise<void> {
    await this.#must(this.#api.patch(nodePath(name), "merge", { spec: { unschedulable } }));
  }

  async addTaint(name: string, taint: Taint): Promise<void> {
    await this.#setTaints(name, (taints) => [...taints.filter(({ key, effect }) => key !== taint.key || effect !== taint.effect), taint]);
  }

  async removeTaint(name: string, key: string): Promise<void> {
    await this.#setTaints(name, (taints) => taints.filter((taint) => taint.key !== key));
  }

  /** The machine is gone for good, as when a cloud takes it back. */
  async remove(name: string): Promise<void> {
    this.#lost.add(name);
    await this.#api.delete(nodePath(name), {});
  }

  async #create(options: NodeOptions): Promise<void> {
    const { name, labels = {}, taints = [] } = options;
    const node = {
      apiVersion: "v1",
      kind: "Node",
      metadata: { name, labels: { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", ...labels } },
      spec: { taints },
    };
    const { status } = await this.#api.post("/api/v1/nodes", node);
    if (status !== 201 && status !== 409) throw new Error(`node ${name}: the API server answered ${status}`);
    await this.#must(this.#api.patch(`${nodePath(name)}/status`, "strategic-merge", { status: this.#status(options) }));
    await this.#setTaints(name, (found) => found.filter((taint) => !isOfController(taint))); // admission makes each new node not ready
  }

  #status({ name, kubeletVersion = "v1.34.4", kernelVersion = "6.1.0", pods = 1000 }: NodeOptions): object {
    const room = { cpu: "64", memory: "256Gi", pods: String(pods) };
    return {
      capacity: room,
      allocatable: room,
      conditions: [readyCondition("True")],
      addresses: [
        { type: "InternalIP", address: this.#addresses.get(name) },
        { type: "Hostname", address: name },
      ],
      nodeInfo: {
        kubeletVersion,
        kernelVersion,
        kubeProxyVersion: "",
        operatingSystem: "linux",
        architecture: "amd64",
        osImage: "test kubelet",
        containerRuntimeVersion: "process://1",
        machineID: name,
        systemUUID: name,
        bootID: name,
      },
    };
  }

  async #setReady(name: string, status: "True" | "Unknown"): Promise<void> {
    await this.#must(this.#api.patch(`${nodePath(name)}/status`, "strategic-merge", { status: { conditions: [readyCondition(status)] } }));
  }

  async #setTaints(name: string, change: (taints: readonly Taint[]) => readonly Taint[]): Promise<void> {
    const node = (await this.#must(this.#api.get(nodePath(name)))) as Node;
    await this.#must(this.#api.patch(nodePath(name), "merge", { spec: { taints: change(node.spec?.taints ?? []) } }));
  }

  async #renew(): Promise<void> {
    const renewTime = new Date().toISOString().replace("Z", "000Z"); // MicroTime
    await Promise.all(
      this.#options.map(async ({ name }) => {
        if (this.#lost.has(name)) return;
        const answer = await this.#api.patch(`${leasePath}/${name}`, "merge", { spec: { renewTime } });
        if (answer.status === 200) return await this.#postReady(name);
        if (answer.status !== 404) return;
        const spec = { holderIdentity: name, leaseDurationSeconds: LEASE_SECONDS, renewTime };
        await this.#api.post(leasePath, { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { name }, spec });
      }),
    );
  }

  /** A node controller that was told nothing for a while has called it Unknown; when it is ready again, it loses the taints. */
  async #postReady(name: string): Promise<void> {
    const { status, body } = await this.#api.get(nodePath(name));
    const ready = (body as Node | undefined)?.status?.conditions?.find(({ type }) => type === "Ready");
    if (status !== 200 || ready === undefined || ready.status === "True" || this.#lost.has(name)) return;
    await this.#api.patch(`${nodePath(name)}/status`, "strategic-merge", { status: { conditions: [readyCondition("True")] } });
  }

  async #must(answering: ReturnType<KubeletApi["get"]>): Promise<unknown> {
    const { status, body } = await answering;
    if (status !== 200) throw new Error(`the API server answered ${status}: ${JSON.stringify(body)}`);
    return body;
  }
}

function readyCondition(status: "True" | "Unknown"): object {
  const now = timeText(Date.now());
  const why =
    status === "True"
      ? { reason: "KubeletReady", message: "the test kubelet is ready" }
      : { reason: "NodeStatusUnknown", message: "Kubelet stopped posting node status." };
  return { type: "Ready", status, ...why, lastHeartbeatTime: now, lastTransitionTime: now };
}
